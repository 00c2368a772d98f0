"""What a legal aid partner records. Police sees the hearing dates and nothing else of it."""

from typing import Annotated

from pydantic import Field

from amanat.categories import Agency, Category, Reaches
from amanat.contracts.base import Record
from amanat.contracts.values import Line, Moment, Paragraph

_COUNSEL_ONLY = Reaches(Agency.LEGAL_AID)


class Assignment(Record):
    """Counsel, her authority to act (Vakalatnama) and the hearings."""

    counsel_name: Annotated[Line | None, Category.REPRESENTATION, _COUNSEL_ONLY] = None
    bar_number: Annotated[Line | None, Category.REPRESENTATION, _COUNSEL_ONLY] = None
    phone: Annotated[Line | None, Category.REPRESENTATION, _COUNSEL_ONLY] = None
    assigned_at: Annotated[Moment | None, Category.REPRESENTATION, _COUNSEL_ONLY] = None
    vakalatnama_at: Annotated[Moment | None, Category.REPRESENTATION, _COUNSEL_ONLY] = None
    hearing_dates: Annotated[tuple[Moment, ...], Field(max_length=500), Category.REPRESENTATION] = ()


class Decline(Record):
    """Why a partner cannot represent her: conflict, eligibility, capacity."""

    reason: Annotated[Paragraph | None, Category.REPRESENTATION, _COUNSEL_ONLY] = None
