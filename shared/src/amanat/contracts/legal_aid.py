"""What legal-aid reports."""

from typing import Annotated, ClassVar

from amanat.categories import Agency, Category
from amanat.contracts.base import Fact
from amanat.contracts.records.legal_aid import Assignment, Decline

_LEGAL_AID = frozenset({Agency.LEGAL_AID})


class LawyerAssigned(Fact):
    """Counsel stands ready for her, or what is known of counsel and hearings has changed."""

    type: ClassVar[str] = "pk.amanat.lawyer-assigned.v1"
    publishers: ClassVar[frozenset[Agency]] = _LEGAL_AID

    record: Annotated[Assignment, Category.REPRESENTATION]


class LegalAidDeclined(Fact):
    """The partner cannot represent her, so that the cell can offer another."""

    type: ClassVar[str] = "pk.amanat.legal-aid-declined.v1"
    publishers: ClassVar[frozenset[Agency]] = _LEGAL_AID

    record: Annotated[Decline, Category.REPRESENTATION]
