"""The policy case by case: who decides at which age, what ends a grant, and who may hold an access."""

import copy
import dataclasses
import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from amanat.categories import PERSONAL, Agency, Category
from amanat.consent import (
    Access,
    AgeRules,
    ConsentEvent,
    ConsentGiven,
    ConsentWithdrawn,
    GrantTerms,
    GuardianExcluded,
    age_rules,
    ceiling,
    decide,
    ends_at,
    fold,
    from_lease,
    missing_deciders,
    own,
)

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


def missing(event: ConsentGiven, *others: ConsentEvent) -> tuple[str, ...]:
    (grant,) = fold([event, *others])
    return missing_deciders(grant, age_rules())


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


@pytest.mark.parametrize(
    ("age", "deciders", "lacking"),
    [
        (18, [HERSELF], ()),
        (18, [GUARDIAN], ("survivor",)),
        (17, [HERSELF, GUARDIAN], ()),
        (17, [HERSELF], ("guardian",)),
        (15, [GUARDIAN, WRITTEN], ("survivor",)),
        (14, [WRITTEN, GUARDIAN], ()),
        (12, [ASSENT, GUARDIAN], ("survivor",)),
        (11, [ASSENT, GUARDIAN], ()),
        (6, [GUARDIAN], ("survivor",)),
        (5, [GUARDIAN], ()),
        (0, [], ("guardian",)),
        (9, [], ("survivor", "guardian")),
    ],
)
def test_each_age_asks_for_its_deciders(age: int, deciders: list[dict[str, str]], lacking: tuple[str, ...]) -> None:
    assert missing(consent(age=age, deciders=deciders)) == lacking


@pytest.mark.parametrize("excluded", [{"guardian_is_accused": True}, {"safety_finding": UNSAFE}])
@pytest.mark.parametrize(("age", "hers"), [(5, []), (8, [ASSENT]), (13, [WRITTEN])])
def test_in_an_excluded_guardians_place_a_substitute_with_authority_decides(
    excluded: dict[str, Any], age: int, hers: list[dict[str, str]]
) -> None:
    assert missing(consent(age=age, deciders=[*hers, GUARDIAN], **excluded)) == ("substitute",)
    assert missing(consent(age=age, deciders=[*hers, COURT], **excluded)) == ()
    unnamed = {"role": "child_protection_substitute", "decision": "consent"}
    assert missing(consent(age=age, deciders=[*hers, unnamed], **excluded)) == ("substitute",)


def test_from_fifteen_her_consent_suffices_where_the_guardian_is_unsafe() -> None:
    assert missing(consent(age=16, deciders=[HERSELF], safety_finding=UNSAFE)) == ()


def test_an_unconscious_small_childs_guardian_decides_and_an_older_childs_assent_waits() -> None:
    assert missing(consent(age=4, deciders=[GUARDIAN], capacity="absent")) == ()
    assert missing(consent(age=9, deciders=[ASSENT, GUARDIAN], capacity="absent")) == ("capacity",)


def test_an_excluded_guardian_takes_the_grants_that_rest_on_that_guardian_along() -> None:
    given = consent(age=9, deciders=[ASSENT, GUARDIAN])
    assert opened(given) == {"identity", "incident"}
    assert opened(given, GuardianExcluded(guardian="g-1", at=NOW)) == set()
    assert opened(given, GuardianExcluded(guardian="g-2", at=NOW)) == {"identity", "incident"}
    assert opened(given, GuardianExcluded(at=NOW)) == set()


def withdrawal(at: datetime = NOW, **changed: Any) -> ConsentWithdrawn:
    return ConsentWithdrawn.model_validate({"agency": "police-link", "withdrawn_at": at, **changed})


def test_a_withdrawal_takes_the_categories_it_names() -> None:
    assert opened(consent(), withdrawal(categories=["incident"])) == {"identity"}
    assert opened(consent(), withdrawal()) == set()
    assert opened(consent(), withdrawal(organisation="station-clifton")) == {"identity", "incident"}


def test_a_later_grant_stands_and_one_recorded_late_but_given_before_does_not() -> None:
    assert opened(consent(at=NOW + HOUR), withdrawal(), now=NOW + 2 * HOUR) == {"identity", "incident"}
    late = consent(at=NOW + HOUR, given_at=(NOW - HOUR).isoformat())
    assert opened(late, withdrawal(), now=NOW + 2 * HOUR) == set()


def test_a_date_in_the_future_does_not_outlive_a_withdrawal() -> None:
    dated_tomorrow = consent(given_at=(NOW + 24 * HOUR).isoformat())
    assert opened(dated_tomorrow, withdrawal(), now=NOW + 48 * HOUR) == set()


def test_a_withdrawal_by_id_ends_that_consent_whatever_its_basis_or_the_clocks() -> None:
    ordered = consent(basis="court_order", basis_reference="order 7", at=NOW + HOUR)
    assert opened(ordered, withdrawal(consent_id=UUID(int=1)), now=NOW + 2 * HOUR) == set()
    assert opened(ordered, withdrawal(consent_id=UUID(int=2)), now=NOW + 2 * HOUR) == {"identity", "incident"}


def test_a_court_order_outlasts_the_withdrawal_of_consent() -> None:
    ordered = consent(number=2, basis="court_order", basis_reference="order 7", categories=["incident"])
    assert opened(consent(), ordered, withdrawal()) == {"incident"}


def test_of_two_different_consents_under_one_id_neither_stands() -> None:
    assert opened(consent(), consent(categories=["identity"])) == set()


def test_at_eighteen_she_is_asked_again() -> None:
    birthday = date(2026, 4, 10)
    (grant,) = fold([consent(age=17, deciders=[HERSELF, GUARDIAN], adult_on=birthday)])
    # Midnight in Pakistan.
    assert ends_at(grant) == datetime(2026, 4, 9, 19, tzinfo=UTC)
    (unknown,) = fold([consent(age=17, deciders=[HERSELF, GUARDIAN])])
    assert ends_at(unknown) == datetime(2027, 2, 28, 19, tzinfo=UTC)
    (adult,) = fold([consent()])
    assert ends_at(adult) is None


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


@dataclass(frozen=True)
class _Lease:
    agency: str
    organisation: str
    purpose: str
    categories: frozenset[str]


def test_a_lease_opens_its_categories_and_never_more_than_the_agencys_ceiling() -> None:
    access = from_lease(_Lease("forensics", "lab-karachi", "forensic_analysis", frozenset({"incident", "identity"})))
    assert access.categories == {Category.INCIDENT}
    assert (access.agency, access.organisation, access.basis) == (Agency.FORENSICS, "lab-karachi", "lease")


def test_own_records_stay_open_to_the_organisation_that_made_them() -> None:
    access = own(_Lease("police-link", "station-saddar", "", frozenset()))
    assert (access.categories, access.organisation, access.basis) == (PERSONAL, "station-saddar", "own")


def test_an_access_can_be_made_in_no_other_way() -> None:
    access = decide(fold([consent()]), PERSONAL, Agency.POLICE_LINK, "station-saddar", "investigation", NOW)
    with pytest.raises(TypeError):
        Access(Agency.POLICE_LINK, "station-saddar", "investigation", PERSONAL, None, "own")
    with pytest.raises(TypeError):
        dataclasses.replace(access, categories=PERSONAL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        access.categories = PERSONAL  # type: ignore[misc]  # the planted mistake
    with pytest.raises(TypeError):
        pickle.dumps(access)
    with pytest.raises(TypeError):
        copy.copy(access)


def test_the_ages_of_the_table_are_covered_marked_and_sourced() -> None:
    rules = AgeRules.load("sindh")
    assert [rules.band(age).from_age for age in (0, 5, 6, 11, 12, 14, 15, 17, 18, 90)] == [
        0,
        0,
        6,
        6,
        12,
        12,
        15,
        15,
        18,
        18,
    ]
    assert all(band.source and band.mark for band in rules.bands)
    assert {band.mark for band in rules.bands if band.from_age < 18} == {"G"}


@pytest.mark.parametrize("broken", [[], [0], [18, 6], [0, 18]])
def test_a_table_that_does_not_cover_every_age_is_refused(broken: list[int]) -> None:
    bands = [
        {
            "name": "n",
            "from_age": age,
            "source": "s",
            "mark": "D",
            "required": [] if broken == [0] else [{"role": "survivor", "accepts": ["consent"]}],
        }
        for age in broken
    ]
    with pytest.raises(ValidationError):
        AgeRules.model_validate({"version": 1, "province": "*", "bands": bands})
