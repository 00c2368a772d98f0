"""What every agency reports of withdrawals: that it applied a tombstone, and, when asked, all that it holds."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import model_validator

from amanat.categories import OUTSIDE, Agency, Category
from amanat.contracts.base import Fact, Part
from amanat.contracts.values import Count, Identifier, Moment, ReferralCode

TOMBSTONES_AT_ONCE = 1_000
"""Tombstones that one fact carries, about 200 KB sealed; more go into another piece. A broker takes 1 MB by default."""
MOST_PARTS = 100_000


class TombstoneConfirmed(Fact):
    """The tombstone is committed in the agency's database: no answer begun later carries the category."""

    type: ClassVar[str] = "pk.amanat.tombstone-confirmed.v1"
    publishers: ClassVar[frozenset[Agency]] = OUTSIDE

    category: Annotated[Category, Category.OPERATIONAL]
    epoch: Annotated[Count, Category.OPERATIONAL]
    confirmed_at: Annotated[Moment, Category.OPERATIONAL]


class Tombstone(Part):
    """The highest withdrawn epoch of one referral's category."""

    referral: Annotated[ReferralCode, Category.OPERATIONAL]
    organisation: Annotated[Identifier, Category.OPERATIONAL]
    category: Annotated[Category, Category.OPERATIONAL]
    epoch: Annotated[Count, Category.OPERATIONAL]
    withdrawn_at: Annotated[Moment, Category.OPERATIONAL]


class TombstonesReported(Fact):
    """Tombstones of the agency, in answer to one `TombstonesRequested`: all of them, or the piece `part` of `parts`.

    Pieces of one answer share its `answer_id` and come in any order; the agency has answered when all of one answer are
    there. A fact that names no piece is the whole answer.
    """

    type: ClassVar[str] = "pk.amanat.tombstones-reported.v1"
    publishers: ClassVar[frozenset[Agency]] = OUTSIDE

    referral: Annotated[Literal["*"], Category.OPERATIONAL] = "*"
    request_id: Annotated[UUID, Category.OPERATIONAL]
    tombstones: Annotated[tuple[Tombstone, ...], Category.OPERATIONAL]
    answer_id: Annotated[UUID | None, Category.OPERATIONAL] = None
    part: Annotated[Count | None, Category.OPERATIONAL] = None
    parts: Annotated[Count | None, Category.OPERATIONAL] = None

    @model_validator(mode="after")
    def _is_a_whole_or_a_piece(self) -> Self:
        named = (self.answer_id, self.part, self.parts)
        if any(each is None for each in named) != all(each is None for each in named):
            raise ValueError("a piece names its answer, its number and how many there are")
        if self.part is not None and self.parts is not None and not 1 <= self.part <= self.parts <= MOST_PARTS:
            raise ValueError("a piece's number is between one and how many there are")
        return self
