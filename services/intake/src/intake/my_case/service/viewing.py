"""Her page: what is shared until when, who looked, what she took back. Her own look is on record first (law 6)."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency, Category
from amanat.consent import Access, Grant, ended, missing_deciders, own
from amanat.consent.age_rules import ends_at
from amanat.db import AnyRow, Database
from amanat.errors import NotFound
from amanat.looks import fetch, look
from intake.break_glass.service.secrecy import under_secrecy
from intake.my_case import schemas
from intake.my_case.repository import claims
from intake.my_case.service.found import BY_LAW, Found, Leased, Looked, Over, Shared, visible
from intake.my_case.service.herself import PURPOSE, herself
from intake.my_case.service.showing import Names
from intake.my_case.service.signing_in import Claim
from intake.my_case.service.tools import Tools
from intake.my_case.texts import Language
from intake.repository import consents, looks
from intake.service.instruments import Instruments
from intake.service.loading import load_grants


async def view(database: Database, claim: Claim, language: Language, now: datetime, tools: Tools) -> schemas.MyCase:
    """Her page, after her look is on record. Raises NotFound when the claim has ended meanwhile."""
    she, instruments = herself(claim), tools.instruments
    access, look_id = own(she), instruments.new_id()
    rows = await fetch(
        database,
        tenants=she.tenants,
        look=look(
            she,
            look_id=look_id,
            tenant=claim.tenant,
            referral=claim.case,
            refused=instruments.macs.refusal(claim.case),
            purpose=PURPOSE,
            categories=(),
            at=now,
            at_rest=instruments.at_rest,
            randomness=instruments.randomness,
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
    hidden = await under_secrecy(session, access, tenant, case, now, instruments)
    grants = await load_grants(session, access, tenant, case, instruments)
    referrals = await consents.read_referrals(session, access, tenant, case)
    shares = await consents.read_shares(session, tenant, [row.code for row in referrals])
    of = {row.code: row for row in referrals}
    found = Found(
        shared=tuple(
            _shared(row, of[row.referral], grants, now, instruments)
            for row in shares
            # One that has run out ends with the gate's next sweep; nothing is leased under it.
            if row.ended_at is None and (row.until is None or row.until > now)
        ),
        looked=tuple(
            Looked(
                agency=Agency(row.agency),
                organisation=row.organisation,
                purpose=row.purpose,
                categories=frozenset(Category(each) for each in row.categories),
                times=row.times,
                first_at=row.first_at,
                last_at=row.last_at,
            )
            for row in await looks.read_looks(session, access, tenant, case)
            if row.purpose != PURPOSE
        ),
        leased=tuple(
            Leased(Agency(row.agency), row.organisation, frozenset(Category(each) for each in row.categories), row.at)
            for row in await claims.read_unaccounted(session, access, tenant, case)
        ),
        over=tuple(
            Over(
                agency=Agency(row.agency),
                organisation=row.organisation,
                category=Category(row.category),
                ended_at=row.ended_at,
                confirmed_at=row.confirmed_at,
                closed_no_later_than=None if row.confirmed_at is not None else row.closed_no_later_than,
            )
            for row in await consents.read_endings(session, access, tenant, case)
        ),
    )
    return visible(found, hidden)


def _shared(
    row: AnyRow, referral: AnyRow, grants: Collection[Grant], now: datetime, instruments: Instruments
) -> Shared:
    category = Category(row.category)
    valid = [
        grant
        for grant in grants
        if (grant.agency, grant.organisation) == (referral.agency, referral.organisation)
        and category in grant.categories
        and not ended(grant, now)
        and not missing_deciders(grant, instruments.age_rules)
    ]
    ends = [ends_at(grant) for grant in valid if grant.basis not in BY_LAW]
    bounded = [end for end in ends if end is not None]
    return Shared(
        agency=Agency(referral.agency),
        organisation=referral.organisation,
        purpose=referral.purpose,
        category=category,
        until=row.until,
        bases=frozenset(grant.basis for grant in valid),
        consented_until=max(bounded) if bounded and len(bounded) == len(ends) else None,
    )
