"""The medico-legal examination. Treatment, pregnancy, HIV and last period are `care` and leave the cell to nobody."""

from typing import Annotated, Literal

from pydantic import Field

from amanat.categories import Agency, Category, Reaches
from amanat.contracts.base import Part, Record
from amanat.contracts.values import Barcode, Flag, Line, Moment, Paragraph

_NOT_THE_LABORATORY = Reaches(Agency.POLICE_LINK, Agency.LEGAL_AID)


class Injury(Part):
    """One injury. That there is none is said by `Examination.no_injury_found`, not by an empty list."""

    site: Annotated[Line | None, Category.EXAMINATION] = None
    size: Annotated[Line | None, Category.EXAMINATION] = None
    type: Annotated[Line | None, Category.EXAMINATION] = None
    colour: Annotated[Line | None, Category.EXAMINATION] = None
    age: Annotated[Line | None, Category.EXAMINATION] = None
    description: Annotated[Paragraph | None, Category.EXAMINATION] = None


class Sample(Part):
    """One sample taken, or the reason why it was not."""

    site: Annotated[Line | None, Category.EXAMINATION] = None
    taken_at: Annotated[Moment | None, Category.EXAMINATION] = None
    collected_by: Annotated[Line | None, Category.EXAMINATION] = None
    reason_not_taken: Annotated[Line | None, Category.EXAMINATION] = None
    packaging: Annotated[Line | None, Category.EXAMINATION] = None


class Examination(Record):
    """The medico-legal report's facts. The laboratory gets the sample list and the examination request."""

    examiner_name: Annotated[Line | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    examiner_designation: Annotated[Line | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    requested_by: Annotated[Line | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    started_at: Annotated[Moment | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    ended_at: Annotated[Moment | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    reason_for_delay: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    consent_note: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    identity_marks: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    accompanied_by: Annotated[Line | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    general_condition: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    mental_state: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    washed: Annotated[Flag | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    changed_clothes: Annotated[Flag | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    injuries: Annotated[tuple[Injury, ...], Field(max_length=500), Category.EXAMINATION, _NOT_THE_LABORATORY] = ()
    no_injury_found: Annotated[Flag | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    genital_findings: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    anal_findings: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    samples: Annotated[tuple[Sample, ...], Field(max_length=500), Category.EXAMINATION] = ()
    clothing: Annotated[tuple[Line, ...], Field(max_length=100), Category.EXAMINATION, _NOT_THE_LABORATORY] = ()
    photographs_taken: Annotated[Flag | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    examination_request: Annotated[Paragraph | None, Category.EXAMINATION] = None
    seal_number: Annotated[Line | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    # The laboratory learns the serial from `KitAnnounced`.
    kit_barcode: Annotated[Barcode | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    opinion: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    opinion_reasons: Annotated[Paragraph | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    pending: Annotated[Line | None, Category.EXAMINATION, _NOT_THE_LABORATORY] = None
    treatment: Annotated[Paragraph | None, Category.CARE] = None
    pregnancy_test: Annotated[Literal["positive", "negative", "not_done"] | None, Category.CARE] = None
    hiv_test: Annotated[Literal["reactive", "non_reactive", "not_done"] | None, Category.CARE] = None
    last_period: Annotated[Line | None, Category.CARE] = None
    medication: Annotated[tuple[Line, ...], Field(max_length=100), Category.CARE] = ()
