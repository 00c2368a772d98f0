"""Her page: what is shared until when, who looked, what she took back. Her own look is on record first (law 6)."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency, Category
from amanat.consent import Access, Grant, ended, ends_at, fold, missing_deciders, own
from amanat.db import AnyRow, Database
from amanat.errors import NotFound
from amanat.looks import fetch
from intake.break_glass.service.secrecy import secret_consents, secret_orders_besides
from intake.my_case import schemas
from intake.my_case.repository import claims, persons
from intake.my_case.repository import looks as looks_repository
from intake.my_case.service import keeping
from intake.my_case.service.endings import endings
from intake.my_case.service.found import Found, Leased, Looked, Shared
from intake.my_case.service.her_age import known_at, known_of_her
from intake.my_case.service.herself import PURPOSE, herself
from intake.my_case.service.hiding import visible
from intake.my_case.service.keeping import Kept, Key
from intake.my_case.service.showing import Names
from intake.my_case.service.signing_in import Claim
from intake.my_case.service.tools import Tools
from intake.my_case.texts import Language
from intake.repository import consents, looks
from intake.service.ages import by_age
from intake.service.ending import readable_events
from intake.service.instruments import Instruments


async def view(database: Database, claim: Claim, language: Language, now: datetime, tools: Tools) -> schemas.MyCase:
    """Her page, after her look is on record. Raises NotFound when the claim has ended meanwhile."""
    she, instruments = herself(claim), tools.instruments
    access, look_id = own(she), instruments.new_id()
    rows = await fetch(
        database,
        tenants=she.tenants,
        look=instruments.look(
            she,
            look_id=look_id,
            tenant=claim.tenant,
            code=claim.case,
            purpose=PURPOSE,
            categories=(),
            at=now,
        ),
        statement=claims.claim_statement(access, claim.tenant, claim.case, claim.id),
    )
    if not rows:
        raise NotFound
    async with database.transaction(she.tenants) as session:
        found = await find(session, access, claim, now, instruments)
        hers = await claims.read_own_looks(session, access, claim.tenant, claim.case, PURPOSE, look_id)
    return Names(instruments, language, claim.tenant).my_case(
        found, schemas.OwnLooks(times=hers.times, last_before=hers.last_before)
    )


async def find(session: AsyncSession, access: Access, claim: Claim, now: datetime, instruments: Instruments) -> Found:
    """What is on record of the case, by office, as far as she may know of it.

    What happened is read first, then the consents, and what is secret of them last: an order that is approved between
    two of these statements has opened nothing yet in the earlier ones.
    """
    tenant, case = claim.tenant, claim.case
    referrals = await consents.read_referrals(session, access, tenant, case)
    of = {row.code: row for row in referrals}
    shares = await consents.read_shares(session, tenant, list(of))
    cells_own = await looks.read_looks(session, access, tenant, case)
    told = await looks_repository.read_each(session, access, tenant, case, list(of))
    leased = await claims.read_unaccounted(session, access, tenant, case)
    events, unread = await readable_events(session, access, tenant, case, instruments)
    known = known_of_her(await persons.read_persons(session, access, tenant, case), instruments)
    now = keeping.latest(now, events, known)
    secret = await secret_consents(session, access, tenant, case, now)
    if unread:
        events += await secret_orders_besides(session, access, tenant, case, now, secret, events)
    epochs: dict[Key, list[AnyRow]] = {}
    for row in shares:
        epochs.setdefault(_key(of[row.referral], row.category), []).append(row)
    kept = keeping.kept(events, secret, known, instruments.age_rules, now).opened(epochs)
    grants = [each for each in by_age(fold(events), known_at(known, now)) if each.grant_id not in secret]
    found = Found(
        shared=tuple(
            _shared(row, of[row.referral], grants, kept, now, instruments, unread=unread)
            for row in shares
            # One that has run out ends with the gate's next sweep; nothing is leased under it.
            if row.ended_at is None
            and (row.until is None or row.until > now)
            and not kept.hides(_key(of[row.referral], row.category), now)
        ),
        looked=(*_of_cells(cells_own), *_of_offices(told)),
        leased=tuple(
            Leased(Agency(row.agency), row.organisation, frozenset(Category(each) for each in row.categories), row.at)
            for row in leased
        ),
        over=endings(epochs, kept, instruments.lease_of, now),
    )
    return visible(found, kept)


def _of_cells(grouped: Iterable[AnyRow]) -> Iterable[Looked]:
    for row in grouped:
        if row.agency == Agency.INTAKE and row.purpose != PURPOSE:
            yield Looked(
                agency=Agency.INTAKE,
                organisation=row.organisation,
                purpose=row.purpose,
                categories=frozenset(Category(each) for each in row.categories),
                times=row.times,
                first_at=row.first_at,
                last_at=row.last_at,
            )


def _of_offices(each_alone: Iterable[AnyRow]) -> Iterable[Looked]:
    for row in each_alone:
        yield Looked(
            agency=Agency(row.agency),
            organisation=row.organisation,
            purpose=row.purpose,
            categories=frozenset(Category(each) for each in row.categories),
            times=1,
            first_at=row.at,
            last_at=row.at,
        )


def _key(referral: AnyRow, category: str) -> Key:
    return Agency(referral.agency), referral.organisation, Category(category)


def _shared(
    row: AnyRow,
    referral: AnyRow,
    grants: Collection[Grant],
    kept: Kept,
    now: datetime,
    instruments: Instruments,
    *,
    unread: bool,
) -> Shared:
    category = Category(row.category)
    valid = [
        grant
        for grant in grants
        if (grant.agency, grant.organisation) == (referral.agency, referral.organisation)
        and category in grant.categories
        and max(grant.given_at, grant.recorded_at) <= now
        and not ended(grant, now)
        and not missing_deciders(grant, instruments.age_rules)
    ]
    ends = [ends_at(grant) for grant in valid]
    bounded = [end for end in ends if end is not None]
    # Of what a secret order opens as well, only what she is told of has an end that she is told.
    of_these = max(bounded) if bounded and len(bounded) == len(ends) else None
    return Shared(
        agency=Agency(referral.agency),
        organisation=referral.organisation,
        purpose=referral.purpose,
        category=category,
        until=of_these if _key(referral, category) in kept.secret else row.until,
        # What rests on a consent that does not open is hers to take back like any other.
        bases=frozenset(grant.basis for grant in valid) or frozenset({"consent"} if unread else ()),
    )
