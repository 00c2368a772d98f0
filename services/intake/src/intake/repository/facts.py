"""Where a fact belongs: the gate's reads across cells, by named policy."""

from collections.abc import Sequence

from sqlalchemy import ARRAY, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow
from intake.models import kits, referrals


async def find_referral(session: AsyncSession, agency: str, code: str) -> AnyRow | None:
    """The referral of this code if it is this agency's; not locked: the case comes first in the order of locks."""
    statement = select(
        referrals.c.tenant, referrals.c.case_code, referrals.c.organisation, referrals.c.opened_at
    ).where(referrals.c.code == code, referrals.c.agency == agency)
    return (await session.execute(statement)).one_or_none()


async def locate(session: AsyncSession, codes: Sequence[str]) -> Sequence[AnyRow]:
    """(code, agency, tenant, case_code) of those of the codes that are referrals; not locked."""
    named = func.any(bindparam("codes", type_=ARRAY(Text)))
    columns = (referrals.c.code, referrals.c.agency, referrals.c.tenant, referrals.c.case_code)
    return (await session.execute(select(*columns).where(referrals.c.code == named), {"codes": list(codes)})).all()


async def find_kit(session: AsyncSession, tenant: str, barcode: str) -> AnyRow | None:
    """The kit of this barcode at this cell."""
    return (await session.execute(select(kits).where(kits.c.tenant == tenant, kits.c.barcode == barcode))).one_or_none()
