"""What happened, as given to the examiner. The laboratory gets what its examination needs, never the narrative."""

from typing import Annotated, Literal

from pydantic import Field

from amanat.categories import Agency, Category, Reaches
from amanat.contracts.base import Part, Record
from amanat.contracts.values import Flag, Line, Moment, Paragraph

_NOT_THE_LABORATORY = Reaches(Agency.POLICE_LINK, Agency.LEGAL_AID)


class Accused(Part):
    """One person accused, as far as she knows."""

    name: Annotated[Line | None, Category.INCIDENT] = None
    relationship: Annotated[Line | None, Category.INCIDENT] = None
    description: Annotated[Paragraph | None, Category.INCIDENT] = None
    known: Annotated[Flag | None, Category.INCIDENT] = None


class Incident(Record):
    """Time, place, acts, history, accused. An uncertain time is accepted and flagged by `time_certainty`."""

    occurred_at: Annotated[Moment | None, Category.INCIDENT] = None
    occurred_until: Annotated[Moment | None, Category.INCIDENT, _NOT_THE_LABORATORY] = None
    time_certainty: Annotated[Literal["exact", "approximate", "unknown"] | None, Category.INCIDENT] = None
    place: Annotated[Paragraph | None, Category.INCIDENT, _NOT_THE_LABORATORY] = None
    acts: Annotated[tuple[Line, ...], Field(max_length=100), Category.INCIDENT] = ()
    history: Annotated[Paragraph | None, Category.INCIDENT, _NOT_THE_LABORATORY] = None
    accused: Annotated[tuple[Accused, ...], Field(max_length=100), Category.INCIDENT, _NOT_THE_LABORATORY] = ()
    weapon: Annotated[Line | None, Category.INCIDENT, _NOT_THE_LABORATORY] = None
    # The six types of the GBVIMS.
    gbvims_type: Annotated[
        Literal[
            "rape",
            "sexual_assault",
            "physical_assault",
            "forced_marriage",
            "denial_of_resources",
            "psychological_abuse",
        ]
        | None,
        Category.INCIDENT,
        _NOT_THE_LABORATORY,
    ] = None
    police_docket: Annotated[Line | None, Category.INCIDENT, _NOT_THE_LABORATORY] = None
