"""Looks one by one: a secret order makes that some of an office's are told and some are not."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from intake.models import agency_looks, referrals
from intake.repository.cases import own_only


async def read_each(
    session: AsyncSession, access: Access, tenant: str, case: str, codes: Collection[str]
) -> Sequence[AnyRow]:
    """The looks that agencies told of under these referrals: {agency, organisation, categories, purpose, at}."""
    statement = (
        select(
            referrals.c.agency,
            referrals.c.organisation,
            agency_looks.c.categories,
            agency_looks.c.purpose,
            agency_looks.c.at,
        )
        .join(referrals, and_(referrals.c.code == agency_looks.c.referral, referrals.c.tenant == agency_looks.c.tenant))
        .where(
            agency_looks.c.tenant == tenant,
            agency_looks.c.case_code == case,
            agency_looks.c.referral.in_(codes),
            own_only(access),
        )
        .order_by(agency_looks.c.at)
    )
    return (await session.execute(statement)).all()
