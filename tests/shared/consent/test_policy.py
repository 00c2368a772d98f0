"""The policy case by case: what a grant opens, until when, and which terms cannot be meant."""

from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from amanat.categories import PERSONAL, Agency, Category
from amanat.consent import ConsentGiven, ceiling, decide, fold

from .consents import ASSENT, GUARDIAN, HOUR, NOW, consent, opened


def test_her_consent_opens_what_it_names_and_nothing_else() -> None:
    assert opened(consent()) == {"identity", "incident"}


def test_contact_is_never_implied_and_goes_only_where_she_names_it() -> None:
    every_other = sorted(ceiling(Agency.POLICE_LINK, adult=True) - {Category.CONTACT})
    assert "contact" not in opened(consent(categories=every_other))
    assert opened(consent(categories=["contact"])) == {"contact"}


def test_a_grant_beyond_the_ceiling_opens_only_what_is_below_it() -> None:
    assert opened(consent(categories=["care", "counselling", "incident"])) == {"incident"}


@pytest.mark.parametrize(
    "event",
    [
        consent(given_at=(NOW + HOUR).isoformat()),
        consent(at=NOW + HOUR),
        consent(expires_at=NOW.isoformat()),
        consent(recipient={"agency": "police-link", "organisation": "station-clifton"}),
        consent(recipient={"agency": "legal-aid", "organisation": "station-saddar"}),
        consent(purpose="research"),
        consent(deciders=[]),
        consent(deciders=[GUARDIAN], basis="guardian"),
        consent(deciders=[ASSENT]),
        consent(capacity="absent"),
        consent(capacity="uncertain"),
        consent(age=None),
        consent(basis="court_order"),
        consent(basis="statutory_duty", basis_reference="  "),
    ],
    ids=[
        "given in the future",
        "recorded in the future",
        "expired",
        "other organisation",
        "other agency",
        "other purpose",
        "nobody decided",
        "a relative of an adult",
        "an adult's mere assent",
        "unconscious",
        "intoxicated",
        "age unknown",
        "court order without reference",
        "duty without reference",
    ],
)
def test_what_is_not_valid_opens_nothing(event: ConsentGiven) -> None:
    assert opened(event) == set()


def test_a_court_order_is_a_basis_of_its_own_and_needs_no_decider() -> None:
    assert opened(consent(basis="court_order", basis_reference="order 7", deciders=[], age=None)) == {
        "identity",
        "incident",
    }


def test_until_is_the_earliest_end_of_what_the_access_rests_on() -> None:
    grants = fold(
        [
            consent(categories=["identity"], expires_at=(NOW + 2 * HOUR).isoformat()),
            consent(number=2, categories=["incident"], expires_at=(NOW + HOUR).isoformat()),
            consent(number=3, categories=["digital"]),
        ]
    )
    access = decide(grants, PERSONAL, Agency.POLICE_LINK, "station-saddar", "investigation", NOW)
    assert (access.until, access.basis) == (NOW + HOUR, "consent")


def test_a_time_without_zone_is_no_time_to_decide_at() -> None:
    with pytest.raises(ValueError, match="zone"):
        decide([], PERSONAL, Agency.POLICE_LINK, "station-saddar", "investigation", datetime(2026, 3, 1))  # noqa: DTZ001  the planted mistake


@pytest.mark.parametrize(
    "changed",
    [
        {"categories": []},
        {"categories": ["operational"]},
        {"recipient": {"agency": "intake", "organisation": "arcc-karachi"}},
        {"given_at": NOW.isoformat(), "expires_at": NOW.isoformat()},
        {"given_at": 1700000000},
        {"unknown": 1},
    ],
)
def test_terms_that_cannot_be_meant_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        consent(**changed)


def test_the_json_of_terms_is_the_same_for_the_same_terms() -> None:
    one = consent(categories=["identity", "incident", "digital"]).model_dump_json()
    other = consent(categories=["digital", "incident", "identity"]).model_dump_json()
    assert one == other
    assert ConsentGiven.model_validate_json(one) == consent(categories=["identity", "incident", "digital"])
