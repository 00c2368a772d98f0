"""Her page: what is shared until when, who looked, what she took back. Her own look is on record first (law 6)."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency, Category
from amanat.consent import Access, Grant, ended, ends_at, fold, missing_deciders, own
from amanat.db import AnyRow, Database
from amanat.errors import NotFound
from amanat.looks import fetch
from intake.break_glass.service.secrecy import secret_consents
from intake.my_case import schemas
from intake.my_case.repository import claims
from intake.my_case.repository import looks as looks_repository
from intake.my_case.service import keeping
from intake.my_case.service.found import Found, Leased, Looked, Over, Shared
from intake.my_case.service.herself import PURPOSE, herself
from intake.my_case.service.hiding import visible
from intake.my_case.service.keeping import Kept, Key
from intake.my_case.service.showing import Names
from intake.my_case.service.signing_in import Claim
from intake.my_case.service.tools import Tools
from intake.my_case.texts import Language
from intake.repository import cases, consents, looks
from intake.service.ages import by_age, newest_telling_age
from intake.service.documents import open_document
from intake.service.instruments import Instruments
from intake.service.loading import load_events


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
        statement=claims.claim_statement(access, claim.tenant, claim.id),
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
    """What is on record of the case, by office, as far as she may know of it."""
    tenant, case = claim.tenant, claim.case
    secret = await secret_consents(session, access, tenant, case, now)
    events = await load_events(session, access, tenant, case, instruments)
    persons = await cases.current_records(session, access, tenant, case, kind="person")
    person = newest_telling_age(open_document(row, instruments).record for row in reversed(persons))
    kept = keeping.kept(events, secret, person, instruments.age_rules, now)
    grants = [each for each in by_age(fold(events), person) if each.grant_id not in secret]
    referrals = await consents.read_referrals(session, access, tenant, case)
    shares = await consents.read_shares(session, tenant, [row.code for row in referrals])
    of = {row.code: row for row in referrals}
    epochs: dict[Key, list[AnyRow]] = {}
    for row in shares:
        epochs.setdefault(_key(of[row.referral], row.category), []).append(row)
    found = Found(
        shared=tuple(
            _shared(row, of[row.referral], grants, kept, now, instruments)
            for row in shares
            # One that has run out ends with the gate's next sweep; nothing is leased under it.
            if row.ended_at is None
            and (row.until is None or row.until > now)
            and not kept.hides(_key(of[row.referral], row.category), now)
        ),
        looked=await _looked(session, access, claim, referrals, kept),
        leased=tuple(
            Leased(Agency(row.agency), row.organisation, frozenset(Category(each) for each in row.categories), row.at)
            for row in await claims.read_unaccounted(session, access, tenant, case)
        ),
        over=(
            *(
                Over(
                    *_key(row, row.category),
                    ended_at=row.ended_at,
                    confirmed_at=row.confirmed_at,
                    closed_no_later_than=None if row.confirmed_at is not None else row.closed_no_later_than,
                )
                for row in await consents.read_endings(session, access, tenant, case)
                if _key(row, row.category) not in kept.secret
            ),
            *(
                over
                for key, rows in epochs.items()
                if key in kept.secret
                and (over := kept.over(key, rows, timedelta(seconds=instruments.lease_of(key[0])))) is not None
            ),
        ),
    )
    return visible(found, kept)


async def _looked(
    session: AsyncSession, access: Access, claim: Claim, referrals: Collection[AnyRow], kept: Kept
) -> tuple[Looked, ...]:
    secretly = kept.offices()
    codes = [row.code for row in referrals if (Agency(row.agency), row.organisation) in secretly]
    grouped = await looks.read_looks(session, access, claim.tenant, claim.case)
    each_alone = await looks_repository.read_each(session, access, claim.tenant, claim.case, codes) if codes else ()
    return (
        *(
            Looked(
                agency=Agency(row.agency),
                organisation=row.organisation,
                purpose=row.purpose,
                categories=frozenset(Category(each) for each in row.categories),
                times=row.times,
                first_at=row.first_at,
                last_at=row.last_at,
            )
            for row in grouped
            if row.purpose != PURPOSE and (Agency(row.agency), row.organisation) not in secretly
        ),
        *(
            Looked(
                agency=Agency(row.agency),
                organisation=row.organisation,
                purpose=row.purpose,
                categories=frozenset(Category(each) for each in row.categories),
                times=1,
                first_at=row.at,
                last_at=row.at,
            )
            for row in each_alone
        ),
    )


def _key(referral: AnyRow, category: str) -> Key:
    return Agency(referral.agency), referral.organisation, Category(category)


def _shared(
    row: AnyRow, referral: AnyRow, grants: Collection[Grant], kept: Kept, now: datetime, instruments: Instruments
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
        bases=frozenset(grant.basis for grant in valid),
    )
