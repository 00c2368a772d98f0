"""Consents given and taken back. What follows from them for each agency is decided in `sharing.plan`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency, Category
from amanat.codes import PREFIX, new_code
from amanat.consent import (
    ConsentGiven,
    ConsentWithdrawn,
    GrantTerms,
    GuardianExcluded,
    ended,
    missing_deciders,
    own,
)
from amanat.errors import FieldError, InvalidInput
from amanat.principal import Principal
from intake import schemas
from intake.changes import Changes, Referral
from intake.repository import consents
from intake.service import cases as case_service
from intake.service.ages import adult_on, age_in_years, person_of
from intake.service.ending import readable_grants
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, add_event, load, plan_all, save, setting_of
from intake.service.recipients import OUTSIDE_HER_CONSENT, check_terms
from intake.service.referrals import find_referral, states

CLOCK_SKEW_S = 300


def add_grant(
    case: LoadedCase,
    changes: Changes,
    terms: GrantTerms,
    pointer: str,
    instruments: Instruments,
    now: datetime,
    told: Mapping[str, JsonValue] | None = None,
) -> UUID:
    """Records one consent and makes sure that its recipient has a referral. `told` goes on its line of the timeline.

    A guardian whom it finds unsafe is excluded from all consents of the case, earlier and later ones. Raises
    InvalidInput, below `pointer`, for a future one.
    """
    if terms.given_at is not None and (terms.given_at - now).total_seconds() > CLOCK_SKEW_S:
        error = FieldError(pointer=f"{pointer}/given_at", code="in-the-future", message="lies in the future")
        raise InvalidInput([error])
    if terms.safety_finding is not None and terms.safety_finding.guardian_unsafe:
        named = {decider.authority_reference for decider in terms.deciders if decider.role == "guardian"}
        # A guardian without a reference could be any.
        for guardian in named if named and None not in named else {None}:
            exclude_guardian(case, changes, guardian, instruments, now)
    given = terms.given_at if terms.given_at is not None and terms.given_at < now else now
    if terms.expires_at is not None and terms.expires_at <= given:
        error = FieldError(pointer=f"{pointer}/expires_at", code="ends-before-it-begins", message="is over already")
        raise InvalidInput([error])
    if withdrawn_since(case, terms, given):
        error = FieldError(pointer=f"{pointer}/categories", code="withdrawn-since", message="was withdrawn since")
        raise InvalidInput([error])
    terms = terms.model_copy(
        update={"purpose": instruments.directory.purpose(terms.recipient.agency), "given_at": given}
    )
    consent_id = instruments.new_id()
    person = person_of(case.documents)
    event = ConsentGiven(
        consent_id=consent_id,
        terms=terms,
        age_years=age_in_years(person, given),
        guardian_is_accused=every_guardian_excluded(case),
        adult_on=adult_on(person),
        recorded_at=now,
    )
    add_event(case, changes, event, instruments, now)
    recipient = schemas.Recipient(agency=terms.recipient.agency, organisation=terms.recipient.organisation)
    add_referrals(case, changes, [recipient], instruments, now)
    changes.timeline.append(
        {
            **case_service.entry(
                now,
                "consent_given",
                **{**(told or {}), "consent": str(consent_id), "categories": sorted(terms.categories)},
            ),
            "agency": terms.recipient.agency,
            "organisation": terms.recipient.organisation,
        }
    )
    return consent_id


def withdrawn_since(case: LoadedCase, terms: GrantTerms, given: datetime) -> frozenset[Category]:
    """Categories of these terms that she took back from this recipient after she is said to have given them.

    An old consent that is written down late, or again, revives nothing: she is asked anew.
    """
    if terms.basis in OUTSIDE_HER_CONSENT:
        return frozenset()
    # An order that ended is nothing that she took back.
    orders = {
        event.consent_id
        for event in case.events
        if isinstance(event, ConsentGiven) and event.terms.basis in OUTSIDE_HER_CONSENT
    }
    taken_back: set[Category] = set()
    for event in case.events:
        if (
            isinstance(event, ConsentWithdrawn)
            and event.consent_id not in orders
            and event.agency == terms.recipient.agency
            and event.organisation in (None, terms.recipient.organisation)
            and event.withdrawn_at >= given
        ):
            taken_back |= terms.categories if event.categories is None else event.categories
    return frozenset(taken_back & terms.categories)


def exclude_guardian(
    case: LoadedCase,
    changes: Changes,
    guardian: str | None,
    instruments: Instruments,
    now: datetime,
) -> None:
    """Records that a guardian (None: every one) is the accused, or unsafe: what rests on that guardian is void."""
    add_event(case, changes, GuardianExcluded(guardian=guardian, at=now), instruments, now)
    changes.timeline.append(case_service.entry(now, "guardian_excluded"))


def add_referrals(
    case: LoadedCase,
    changes: Changes,
    recipients: Iterable[schemas.Recipient],
    instruments: Instruments,
    now: datetime,
) -> None:
    """Asks for referrals that the case does not have yet; each waits until `plan` finds a valid grant for it."""
    for recipient in recipients:
        if find_referral(case, recipient.agency, recipient.organisation) is not None:
            continue
        referral = Referral(
            code=new_code(PREFIX[recipient.agency], instruments.randomness),
            agency=recipient.agency,
            organisation=recipient.organisation,
            purpose=instruments.directory.purpose(recipient.agency),
            state="waiting_for_consent",
            consent_version=0,
            next_seq=1,
            shares={},
            last_epochs={},
        )
        changes.referrals_asked.append(
            {
                "tenant": case.tenant,
                "code": referral.code,
                "case_code": case.code,
                "agency": referral.agency,
                "organisation": referral.organisation,
                "purpose": referral.purpose,
                "state": referral.state,
                "progress": "sent",
                "requested_at": now,
            }
        )
        case.referrals = sorted([*case.referrals, referral], key=lambda known: known.code)


async def give(
    session: AsyncSession,
    principal: Principal,
    code: str,
    terms: GrantTerms,
    now: datetime,
    instruments: Instruments,
) -> schemas.ConsentRecorded:
    """Records a consent on an open case and discloses what it newly allows. Raises NotFound, UnknownRecipient."""
    case = await load(session, own(principal), principal.cells, code, instruments)
    check_terms(terms, "", case.tenant, instruments)
    changes = Changes()
    consent_id = add_grant(case, changes, terms, "", instruments, now)
    minter = instruments.minter()
    plan_all(changes, case, setting_of(case, minter, instruments, now))
    await save(session, case, changes, minter, instruments, now)
    referral = find_referral(case, terms.recipient.agency, terms.recipient.organisation)
    [state] = states(case, instruments, only=referral)
    return schemas.ConsentRecorded(case=code, consent=consent_id, referral=state)


async def show(
    session: AsyncSession, principal: Principal, tenant: str, code: str, now: datetime, instruments: Instruments
) -> schemas.ConsentsShown:
    """All consents of a case that the caller has looked up already, with what withdrawals have reached."""
    grants, unread = await readable_grants(session, own(principal), tenant, code, instruments)
    shown = []
    for grant in sorted(grants, key=lambda grant: (grant.given_at, str(grant.grant_id))):
        missing = missing_deciders(grant, instruments.age_rules)
        shown.append(
            schemas.ConsentShown(
                consent=grant.grant_id,
                agency=grant.agency,
                organisation=grant.organisation,
                categories=tuple(sorted(grant.categories)),
                purpose=grant.purpose,
                basis=grant.basis,
                given_at=grant.given_at,
                expires_at=grant.expires_at,
                valid=not missing and bool(grant.categories) and not ended(grant, now),
                missing=missing,
            )
        )
    return schemas.ConsentsShown(
        case=code,
        consents=tuple(shown),
        endings=await endings(session, principal, tenant, code),
        unread=unread,
    )


async def endings(
    session: AsyncSession, principal: Principal, tenant: str, code: str
) -> tuple[schemas.AgencyEnding, ...]:
    """Every category that ended: the agency's own word, or the moment at which its leases are over at the latest."""
    rows = await consents.read_endings(session, own(principal), tenant, code)
    return tuple(
        schemas.AgencyEnding(
            agency=Agency(row.agency),
            organisation=row.organisation,
            category=Category(row.category),
            confirmed_at=row.confirmed_at,
            closed_no_later_than=None if row.confirmed_at is not None else row.closed_no_later_than,
        )
        for row in rows
    )


def every_guardian_excluded(case: LoadedCase) -> bool:
    """Once said of a case it holds for all its consents."""
    return any(isinstance(event, GuardianExcluded) and event.guardian is None for event in case.events)
