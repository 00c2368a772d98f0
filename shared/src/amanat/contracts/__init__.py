"""Event contracts, one file per publisher, and the records they carry. Importing this package registers all of them."""

from amanat.contracts import checkpoints, custody, disclosures, forensics, legal_aid, looks, police_link, withdrawals
from amanat.contracts.base import EVENTS, FACTS, Contract, Event, Fact, Part, Record, SealedFact

__all__ = [
    "EVENTS",
    "FACTS",
    "Contract",
    "Event",
    "Fact",
    "Part",
    "Record",
    "SealedFact",
    "checkpoints",
    "custody",
    "disclosures",
    "forensics",
    "legal_aid",
    "looks",
    "police_link",
    "withdrawals",
]
