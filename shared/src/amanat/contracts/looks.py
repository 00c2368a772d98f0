"""What every agency reports of who looked: digests of the looks at one referral (DESIGN.md, "Looks")."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from amanat.categories import OUTSIDE, Agency, Category
from amanat.contracts.base import Fact, Part
from amanat.contracts.values import Identifier, Moment

LOOKS_AT_ONCE = 500
"""Looks that one fact carries, about 100 KB sealed; more go into another."""


class LookTold(Part):
    """One look, by office and not by officer: the organisation is the referral's, and nobody is named.

    `categories` are those that were opened; none where the organisation read only what it had recorded itself, or held
    keys and found nothing yet.
    """

    look_id: Annotated[UUID, Category.OPERATIONAL]
    at: Annotated[Moment, Category.OPERATIONAL]
    categories: Annotated[tuple[Category, ...], Category.OPERATIONAL]
    purpose: Annotated[Identifier, Category.OPERATIONAL]


class LooksReported(Fact):
    """Looks at the referral that the gate has not been told of before, in any order. Its reader knows a look by its id,
    and tells it to no one but the cell."""

    type: ClassVar[str] = "pk.amanat.looks-reported.v1"
    publishers: ClassVar[frozenset[Agency]] = OUTSIDE

    looks: Annotated[tuple[LookTold, ...], Field(min_length=1, max_length=LOOKS_AT_ONCE), Category.OPERATIONAL]
