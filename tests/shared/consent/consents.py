"""A consent as it is posted, a withdrawal, and what they open at the police."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from amanat.categories import Agency
from amanat.consent import ConsentEvent, ConsentGiven, ConsentWithdrawn, GrantTerms, ceiling, decide, fold

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HERSELF = {"role": "survivor", "decision": "consent"}
ASSENT = {"role": "survivor", "decision": "assent"}
WRITTEN = {"role": "survivor", "decision": "written_assent"}
GUARDIAN = {"role": "guardian", "decision": "consent", "relationship": "mother", "authority_reference": "g-1"}
COURT = {"role": "court_substitute", "decision": "consent", "authority_reference": "order 12/2026"}
UNSAFE = {"guardian_unsafe": True, "reason": "lives with the accused"}


def consent(
    *,
    number: int = 1,
    age: int | None = 27,
    at: datetime = NOW - HOUR,
    guardian_is_accused: bool = False,
    adult_on: date | None = None,
    **changed: Any,
) -> ConsentGiven:
    """An adult's valid consent to identity and incident for station-saddar, with what a test changes of it."""
    posted: dict[str, Any] = {
        "recipient": {"agency": "police-link", "organisation": "station-saddar"},
        "categories": ["identity", "incident"],
        "basis": "consent",
        "deciders": [HERSELF],
        **changed,
    }
    return ConsentGiven(
        consent_id=UUID(int=number),
        terms=GrantTerms.model_validate(posted),
        age_years=age,
        guardian_is_accused=guardian_is_accused,
        adult_on=adult_on,
        recorded_at=at,
    )


def opened(*events: ConsentEvent, now: datetime = NOW, organisation: str = "station-saddar") -> set[str]:
    """What police, for investigation, may read of an adult's case."""
    allowed = ceiling(Agency.POLICE_LINK, adult=True)
    return set(decide(fold(events), allowed, Agency.POLICE_LINK, organisation, "investigation", now).categories)


def withdrawal(at: datetime = NOW, **changed: Any) -> ConsentWithdrawn:
    return ConsentWithdrawn.model_validate({"agency": "police-link", "withdrawn_at": at, **changed})
