"""What police-link reports."""

from typing import Annotated, ClassVar

from amanat.categories import Agency, Category
from amanat.contracts.base import Fact
from amanat.contracts.records.police import Acknowledgement, Fir, Refusal
from amanat.contracts.values import Moment

_POLICE = frozenset({Agency.POLICE_LINK})


class ReferralAcknowledged(Fact):
    """The reporting centre has taken the referral up."""

    type: ClassVar[str] = "pk.amanat.referral-acknowledged.v1"
    publishers: ClassVar[frozenset[Agency]] = _POLICE

    at: Annotated[Moment, Category.OPERATIONAL]
    record: Annotated[Acknowledgement, Category.INVESTIGATION]


class FirRegistered(Fact):
    """A first information report is registered; this act stands, whatever is withdrawn later."""

    type: ClassVar[str] = "pk.amanat.fir-registered.v1"
    publishers: ClassVar[frozenset[Agency]] = _POLICE

    record: Annotated[Fir, Category.INVESTIGATION]


class ReferralRefused(Fact):
    """The reporting centre did not register; the reason is on record and may be escalated."""

    type: ClassVar[str] = "pk.amanat.referral-refused.v1"
    publishers: ClassVar[frozenset[Agency]] = _POLICE

    record: Annotated[Refusal, Category.INVESTIGATION]
