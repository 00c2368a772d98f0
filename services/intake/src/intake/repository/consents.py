"""Consent events, referrals and what each referral shares."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ARRAY, Text, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from intake.models import consent_events, referrals, shares
from intake.repository.cases import own_only


async def read_events(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's sealed consent events, oldest first."""
    statement = (
        select(consent_events)
        .where(consent_events.c.tenant == tenant, consent_events.c.case_code == case, own_only(access))
        .order_by(consent_events.c.position)
    )
    return (await session.execute(statement)).all()


async def lock_referrals(session: AsyncSession, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's referrals by code, locked for update: second in the order of locks."""
    statement = (
        select(referrals)
        .where(referrals.c.tenant == tenant, referrals.c.case_code == case)
        .order_by(referrals.c.code)
        .with_for_update()
    )
    return (await session.execute(statement)).all()


async def lock_referrals_of(session: AsyncSession, cases: Collection[tuple[str, str]]) -> None:
    """All referrals of these (tenant, case), locked by code over them all, as leases take them. The caller has locked
    the cases."""
    tenants, codes = (func.any(bindparam(name, type_=ARRAY(Text))) for name in ("tenants", "cases"))
    statement = (
        select(referrals.c.code)
        .where(referrals.c.tenant == tenants, referrals.c.case_code == codes)
        .order_by(referrals.c.code)
        .with_for_update()
    )
    asked = {"tenants": sorted({tenant for tenant, _ in cases}), "cases": [case for _, case in cases]}
    await session.execute(statement, asked)


async def read_referrals(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's referrals by code."""
    statement = (
        select(referrals)
        .where(referrals.c.tenant == tenant, referrals.c.case_code == case, own_only(access))
        .order_by(referrals.c.code)
    )
    return (await session.execute(statement)).all()


async def read_shares(session: AsyncSession, tenant: str, codes: Collection[str]) -> Sequence[AnyRow]:
    """Every share, open or ended, of these referrals, by referral, category, epoch."""
    statement = (
        select(shares)
        .where(shares.c.tenant == tenant, shares.c.referral.in_(codes))
        .order_by(shares.c.referral, shares.c.category, shares.c.epoch)
    )
    return (await session.execute(statement)).all()


async def read_endings(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """Ended shares of the case with their recipients, latest epoch of each category only."""
    latest = (
        select(shares.c.referral, shares.c.category, func.max(shares.c.epoch).label("epoch"))
        .where(shares.c.tenant == tenant)
        .group_by(shares.c.referral, shares.c.category)
        .subquery()
    )
    statement = (
        select(
            referrals.c.agency,
            referrals.c.organisation,
            shares.c.category,
            shares.c.ended_at,
            shares.c.closed_no_later_than,
            shares.c.confirmed_at,
        )
        .select_from(shares)
        .join(referrals, and_(referrals.c.code == shares.c.referral, referrals.c.tenant == shares.c.tenant))
        .join(
            latest,
            and_(
                latest.c.referral == shares.c.referral,
                latest.c.category == shares.c.category,
                latest.c.epoch == shares.c.epoch,
            ),
        )
        .where(
            referrals.c.tenant == tenant,
            referrals.c.case_code == case,
            shares.c.ended_at.is_not(None),
            own_only(access),
        )
        .order_by(referrals.c.code, shares.c.category)
    )
    return (await session.execute(statement)).all()


async def confirm_ending(
    session: AsyncSession, tenant: str, referral: str, category: str, epoch: int, at: datetime
) -> int:
    """Note an agency's word that it closed a category up to this epoch; the first word stands. Returns rows changed."""
    changed = await session.execute(
        update(shares)
        .where(
            shares.c.tenant == tenant,
            shares.c.referral == referral,
            shares.c.category == category,
            shares.c.epoch <= epoch,
            shares.c.ended_at.is_not(None),
            shares.c.confirmed_at.is_(None),
        )
        .values(confirmed_at=at)
        .returning(shares.c.epoch)
    )
    return len(changed.all())


async def set_progress(session: AsyncSession, tenant: str, referral: str, progress: str) -> None:
    """Note how far the agency came with the referral."""
    await session.execute(
        update(referrals).where(referrals.c.tenant == tenant, referrals.c.code == referral).values(progress=progress)
    )
