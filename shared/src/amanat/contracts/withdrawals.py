"""What every agency reports of withdrawals: that it applied a tombstone, and, when asked, all that it holds."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from amanat.categories import OUTSIDE, Agency, Category
from amanat.contracts.base import Fact, Part
from amanat.contracts.values import Count, Identifier, Moment, ReferralCode


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
    """All tombstones of the agency, in answer to one `TombstonesRequested`."""

    type: ClassVar[str] = "pk.amanat.tombstones-reported.v1"
    publishers: ClassVar[frozenset[Agency]] = OUTSIDE

    referral: Annotated[Literal["*"], Category.OPERATIONAL] = "*"
    request_id: Annotated[UUID, Category.OPERATIONAL]
    tombstones: Annotated[tuple[Tombstone, ...], Category.OPERATIONAL]
