"""The policy: who may read what, on whose decision. Pure: no clock, no database; its input is events and the law."""

from amanat.consent.access import Access, ceiling, decide, ended, from_lease, own
from amanat.consent.age_rules import ADULT, AgeRules, age_rules, ends_at, missing_deciders
from amanat.consent.fold import fold, purpose_of
from amanat.consent.terms import (
    Basis,
    ConsentEvent,
    ConsentGiven,
    ConsentWithdrawn,
    Decider,
    Grant,
    GrantTerms,
    GuardianExcluded,
    Recipient,
    SafetyFinding,
)

__all__ = [
    "ADULT",
    "Access",
    "AgeRules",
    "Basis",
    "ConsentEvent",
    "ConsentGiven",
    "ConsentWithdrawn",
    "Decider",
    "Grant",
    "GrantTerms",
    "GuardianExcluded",
    "Recipient",
    "SafetyFinding",
    "age_rules",
    "ceiling",
    "decide",
    "ended",
    "ends_at",
    "fold",
    "from_lease",
    "missing_deciders",
    "own",
    "purpose_of",
]
