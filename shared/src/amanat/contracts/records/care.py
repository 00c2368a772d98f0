"""Treatment and counselling: they leave the cell to nobody."""

from typing import Annotated, Literal

from pydantic import Field

from amanat.categories import Category
from amanat.contracts.base import Record
from amanat.contracts.values import Line, Moment, Paragraph


class CareNote(Record):
    """Treatment given and tests done."""

    pep_given_at: Annotated[Moment | None, Category.CARE] = None
    emergency_contraception_given_at: Annotated[Moment | None, Category.CARE] = None
    hepatitis_b: Annotated[Line | None, Category.CARE] = None
    tetanus: Annotated[Line | None, Category.CARE] = None
    medication: Annotated[tuple[Line, ...], Field(max_length=100), Category.CARE] = ()
    pregnancy_test: Annotated[Literal["positive", "negative", "not_done"] | None, Category.CARE] = None
    hiv_test: Annotated[Literal["reactive", "non_reactive", "not_done"] | None, Category.CARE] = None
    referrals: Annotated[tuple[Line, ...], Field(max_length=100), Category.CARE] = ()
    notes: Annotated[Paragraph | None, Category.CARE] = None


class CounsellingNote(Record):
    """Psychosocial notes."""

    notes: Annotated[Paragraph | None, Category.COUNSELLING] = None
    risk: Annotated[Paragraph | None, Category.COUNSELLING] = None
    plan: Annotated[Paragraph | None, Category.COUNSELLING] = None
