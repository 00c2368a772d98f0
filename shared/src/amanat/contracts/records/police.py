"""What a reporting centre records: acknowledgement, FIR, refusal. The laboratory gets FIR number and IO's name."""

from typing import Annotated, Literal

from pydantic import Field

from amanat.categories import Agency, Category, Reaches
from amanat.contracts.base import Record
from amanat.contracts.values import Line, Moment, Paragraph

_NOT_THE_LABORATORY = Reaches(Agency.POLICE_LINK, Agency.LEGAL_AID)


class Fir(Record):
    """A first information report and its investigation officer."""

    fir_number: Annotated[Line | None, Category.INVESTIGATION] = None
    registered_at: Annotated[Moment | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    police_station: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    sections: Annotated[tuple[Line, ...], Field(max_length=100), Category.INVESTIGATION, _NOT_THE_LABORATORY] = ()
    io_name: Annotated[Line | None, Category.INVESTIGATION] = None
    io_rank: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    io_belt_number: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    io_phone: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None


class Acknowledgement(Record):
    """Who took the referral up, and when."""

    received_by: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    received_by_rank: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    received_by_belt_number: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    at: Annotated[Moment | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    diary_number: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None


class Refusal(Record):
    """Why a FIR was not registered, and by whom."""

    reason_code: Annotated[
        Literal["no_cognizable_offence", "other_jurisdiction", "duplicate", "she_does_not_wish", "other"] | None,
        Category.INVESTIGATION,
        _NOT_THE_LABORATORY,
    ] = None
    reason: Annotated[Paragraph | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
    refused_by: Annotated[Line | None, Category.INVESTIGATION, _NOT_THE_LABORATORY] = None
