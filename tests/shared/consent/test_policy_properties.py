"""The policy under any events: never more than ceiling and valid grants allow, and the same state in any order."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from amanat.categories import OUTSIDE, PERSONAL, Agency, Category
from amanat.consent import (
    ConsentEvent,
    ConsentGiven,
    ConsentWithdrawn,
    Decider,
    GrantTerms,
    GuardianExcluded,
    Recipient,
    SafetyFinding,
    age_rules,
    ceiling,
    decide,
    fold,
    missing_deciders,
    purpose_of,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
ORGANISATIONS = ("station-saddar", "partner-hamdam")
REFERENCES = ("guardian-1", "guardian-2")

# Few organisations, ids and hours, so that events meet.
agencies = st.sampled_from(sorted(OUTSIDE))
organisations = st.sampled_from(ORGANISATIONS)
times = st.integers(0, 12).map(lambda hours: START + timedelta(hours=hours))
categories = st.frozensets(st.sampled_from(sorted(PERSONAL)), min_size=1, max_size=6)
ids = st.integers(1, 4).map(lambda number: UUID(int=number))
deciders = st.builds(
    Decider,
    role=st.sampled_from(["survivor", "survivor", "guardian", "court_substitute", "child_protection_substitute"]),
    decision=st.sampled_from(["consent", "consent", "assent", "written_assent"]),
    authority_reference=st.none() | st.sampled_from(REFERENCES),
)


@st.composite
def _terms(draw: st.DrawFn) -> GrantTerms:
    agency = draw(agencies)
    given_at = draw(st.none() | times)
    ends = draw(st.none() | st.integers(1, 12))
    return GrantTerms(
        recipient=Recipient(agency=agency, organisation=draw(organisations)),
        categories=draw(categories),
        purpose=draw(st.sampled_from([None, purpose_of(agency), "research"])),
        basis=draw(st.sampled_from(["consent", "consent", "guardian", "court_order", "statutory_duty"])),
        basis_reference=draw(st.none() | st.just("order 7/2026")),
        deciders=tuple(draw(st.lists(deciders, max_size=3))),
        safety_finding=draw(st.none() | st.builds(SafetyFinding, guardian_unsafe=st.booleans())),
        capacity=draw(st.sampled_from(["present", "present", "present", "absent", "uncertain"])),
        given_at=given_at,
        expires_at=None if ends is None else (given_at or START + timedelta(hours=12)) + timedelta(hours=ends),
    )


given_events = st.builds(
    ConsentGiven,
    consent_id=ids,
    terms=_terms(),
    age_years=st.none() | st.integers(0, 40),
    guardian_is_accused=st.booleans(),
    recorded_at=times,
)
withdrawn_events = st.builds(
    ConsentWithdrawn,
    consent_id=st.none() | ids,
    agency=agencies,
    organisation=st.none() | organisations,
    categories=st.none() | categories,
    withdrawn_at=times,
)
excluded_events = st.builds(GuardianExcluded, guardian=st.none() | st.sampled_from(REFERENCES), at=times)
consent_events = st.lists(st.one_of(given_events, given_events, withdrawn_events, excluded_events), max_size=8)


@given(consent_events, agencies, organisations, times, st.booleans())
@settings(max_examples=400, deadline=None)
def test_an_access_is_exactly_the_ceilings_share_of_the_consents_that_stand(
    events: list[ConsentEvent], agency: Agency, organisation: str, now: datetime, adult: bool
) -> None:
    allowed = ceiling(agency, adult=adult)
    access = decide(fold(events), allowed, agency, organisation, purpose_of(agency), now)
    standing = {
        category
        for event in events
        if isinstance(event, ConsentGiven)
        and event.terms.recipient == Recipient(agency=agency, organisation=organisation)
        and event.terms.purpose in (None, purpose_of(agency))
        for category in PERSONAL
        if _stands(event, events, category, now)
    }
    assert access.categories == allowed & standing
    assert access.until is None or access.until > now


@given(consent_events, st.data())
@settings(deadline=None)
def test_any_order_and_any_repetition_of_events_give_the_same_state(
    events: list[ConsentEvent], data: st.DataObject
) -> None:
    repeated = events + (data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else [])
    assert fold(data.draw(st.permutations(repeated))) == fold(events)


@given(consent_events, agencies, organisations, times)
@settings(deadline=None)
def test_nothing_is_left_after_everything_is_withdrawn_but_what_rests_on_no_consent(
    events: list[ConsentEvent], agency: Agency, organisation: str, now: datetime
) -> None:
    last = START + timedelta(hours=12)
    grants = fold([*events, ConsentWithdrawn(agency=agency, withdrawn_at=last)])
    access = decide(grants, PERSONAL, agency, organisation, purpose_of(agency), last + (now - START))
    assert set(access.basis.split("+")) <= {"none", "court_order", "statutory_duty"}
    assert (access.basis == "none") == (not access.categories)


@given(consent_events, st.sampled_from(sorted(OUTSIDE)), organisations, times)
@settings(deadline=None)
def test_another_purpose_opens_nothing(
    events: list[ConsentEvent], agency: Agency, organisation: str, now: datetime
) -> None:
    access = decide(fold(events), PERSONAL, agency, organisation, "curiosity", now)
    assert access.categories == frozenset()


@given(consent_events)
@settings(deadline=None)
def test_excluding_every_guardian_leaves_no_grant_that_rests_on_one(events: list[ConsentEvent]) -> None:
    for grant in fold([*events, GuardianExcluded(at=START)]):
        assert all(decider.role != "guardian" for decider in grant.deciders)
        if grant.basis in ("consent", "guardian") and (grant.age_years_at_grant or 0) < 15:
            valid = not missing_deciders(grant, age_rules())
            assert not valid or any(decider.role.endswith("_substitute") for decider in grant.deciders)


def _stands(event: ConsentGiven, events: list[ConsentEvent], category: Category, now: datetime) -> bool:
    """By the words of the rules, one consent at a time: does this one give this category now?"""
    posted = event.terms
    began = posted.given_at or event.recorded_at
    if category not in posted.categories or began > now or event.recorded_at > now:
        return False
    if posted.expires_at is not None and posted.expires_at <= now:
        return False
    if any(isinstance(e, ConsentGiven) and e.consent_id == event.consent_id and e != event for e in events):
        return False
    withdrawals = [e for e in events if isinstance(e, ConsentWithdrawn) and category in (e.categories or PERSONAL)]
    if any(e.consent_id == event.consent_id for e in withdrawals):
        return False
    by_recipient = [
        e
        for e in withdrawals
        if e.consent_id is None
        and e.agency == posted.recipient.agency
        and e.organisation in (None, posted.recipient.organisation)
    ]
    if posted.basis in ("court_order", "statutory_duty"):
        return posted.basis_reference is not None
    if any(min(began, event.recorded_at) <= e.withdrawn_at for e in by_recipient):
        return False
    return _decided(event, [e for e in events if isinstance(e, GuardianExcluded)])


def _decided(event: ConsentGiven, exclusions: list[GuardianExcluded]) -> bool:
    posted, age = event.terms, event.age_years
    if age is None:
        return False
    if age >= 15:
        herself = _said(posted, "survivor", "consent")
    elif age >= 12:
        herself = _said(posted, "survivor", "written_assent")
    elif age >= 6:
        herself = _said(posted, "survivor", "written_assent") or _said(posted, "survivor", "assent")
    else:
        herself = True
    if not herself or (age >= 6 and posted.capacity != "present"):
        return False
    if age >= 18 or any(
        d.role.endswith("_substitute") and d.decision == "consent" and d.authority_reference for d in posted.deciders
    ):
        return True
    unsafe = event.guardian_is_accused or (posted.safety_finding is not None and posted.safety_finding.guardian_unsafe)
    guardians = [d for d in posted.deciders if d.role == "guardian"]
    trusted = [
        d
        for d in guardians
        if not unsafe and not any(None in (e.guardian, d.authority_reference) for e in exclusions)
        if d.authority_reference not in {e.guardian for e in exclusions}
    ]
    if unsafe or len(trusted) < len(guardians):
        return age >= 15
    return any(d.decision == "consent" for d in trusted)


def _said(posted: GrantTerms, role: str, decision: str) -> bool:
    return any(d.role == role and d.decision == decision for d in posted.deciders)
