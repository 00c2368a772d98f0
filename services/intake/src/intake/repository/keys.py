"""What the gate alone may do with keys: lease, rewrap, and find what has come to its end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow
from intake.models import clocks, keys, leases, referrals, request_secrets, shares
from intake.repository.changes import KEY_FENCE


async def lock_for_lease(
    session: AsyncSession, agency: str, organisation: str, purpose: str, code: str
) -> AnyRow | None:
    """The referral, locked `FOR SHARE`, if it is open to exactly this agency, organisation and purpose."""
    statement = (
        select(referrals.c.code, referrals.c.tenant, referrals.c.consent_version)
        .where(
            referrals.c.code == code,
            referrals.c.agency == agency,
            referrals.c.organisation == organisation,
            referrals.c.purpose == purpose,
            referrals.c.state == "open",
        )
        .with_for_update(read=True)
    )
    return (await session.execute(statement)).one_or_none()


async def live_keys(session: AsyncSession, tenant: str, referral: str, now: datetime) -> Sequence[AnyRow]:
    """Wrapped keys of the referral's open shares whose end is not reached: columns of the key, secret, end."""
    statement = (
        select(
            keys.c.key_id,
            keys.c.category,
            keys.c.epoch,
            keys.c.wrap,
            request_secrets.c.id.label("secret_id"),
            request_secrets.c.generation,
            request_secrets.c.sealed,
            shares.c.until,
        )
        .join(request_secrets, request_secrets.c.id == keys.c.secret_id)
        .join(
            shares,
            and_(
                shares.c.referral == keys.c.referral,
                shares.c.category == keys.c.category,
                shares.c.epoch == keys.c.epoch,
                shares.c.tenant == keys.c.tenant,
            ),
        )
        .where(
            keys.c.tenant == tenant,
            keys.c.referral == referral,
            shares.c.ended_at.is_(None),
            or_(shares.c.until.is_(None), shares.c.until > now),
        )
        .order_by(keys.c.created_at, keys.c.key_id)
    )
    return (await session.execute(statement)).all()


async def record_leases(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Put leases on record; committed before any key leaves."""
    if rows:
        await session.execute(insert(leases), list(rows))


async def fence_minting(session: AsyncSession) -> None:
    """Wait until no transaction is minting under a generation that it read earlier."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:fence)"), {"fence": KEY_FENCE})


async def keys_below(session: AsyncSession, generation: int, limit: int) -> Sequence[AnyRow]:
    """Up to `limit` keys wrapped under an older generation, locked, with their secrets."""
    statement = (
        select(
            keys.c.key_id,
            keys.c.tenant,
            keys.c.wrap,
            keys.c.secret_id,
            request_secrets.c.generation,
            request_secrets.c.sealed,
        )
        .join(request_secrets, request_secrets.c.id == keys.c.secret_id)
        .where(request_secrets.c.generation < generation)
        .order_by(keys.c.tenant, keys.c.key_id)
        .limit(limit)
        .with_for_update(of=keys)
    )
    return (await session.execute(statement)).all()


async def add_secret(session: AsyncSession, *, secret_id: UUID, tenant: str, generation: int, sealed: bytes) -> None:
    """Store a secret that keys will be wrapped under."""
    await session.execute(
        insert(request_secrets).values(id=secret_id, tenant=tenant, generation=generation, sealed=sealed)
    )


async def rewrap(session: AsyncSession, key_id: UUID, secret_id: UUID, wrap: bytes) -> None:
    """Replace a key's wrap."""
    await session.execute(update(keys).where(keys.c.key_id == key_id).values(secret_id=secret_id, wrap=wrap))


async def drop_unused_secrets(session: AsyncSession, below: int | None = None) -> int:
    """Delete secrets that wrap no key any more; with `below`, only of generations before it. Returns how many."""
    used = select(keys.c.secret_id).where(keys.c.secret_id == request_secrets.c.id).exists()
    statement = delete(request_secrets).where(~used).returning(request_secrets.c.id)
    if below is not None:
        statement = statement.where(request_secrets.c.generation < below)
    return len((await session.execute(statement)).all())


async def count_below(session: AsyncSession, generation: int) -> int:
    """How many secrets are still sealed to an older generation."""
    statement = select(func.count()).select_from(request_secrets).where(request_secrets.c.generation < generation)
    return int((await session.execute(statement)).scalar_one())


async def cases_with_ended_shares(session: AsyncSession, now: datetime, limit: int) -> list[tuple[str, str]]:
    """(tenant, case) of referrals that have an open share whose last basis has expired."""
    statement = (
        select(referrals.c.tenant, referrals.c.case_code)
        .join(shares, and_(shares.c.referral == referrals.c.code, shares.c.tenant == referrals.c.tenant))
        .where(shares.c.ended_at.is_(None), shares.c.until <= now)
        .distinct()
        .limit(limit)
    )
    return [(row.tenant, row.case_code) for row in await session.execute(statement)]


async def overdue_clocks(session: AsyncSession, now: datetime, limit: int) -> Sequence[AnyRow]:
    """Clocks past their due time, not met and not yet noted; locked, others' left out."""
    statement = (
        select(clocks)
        .where(clocks.c.due_at <= now, clocks.c.met_at.is_(None), clocks.c.overdue_noted_at.is_(None))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await session.execute(statement)).all()


async def note_overdue(session: AsyncSession, tenant: str, case: str, kind: str, now: datetime) -> None:
    """Say that a clock's lateness is on the timeline now."""
    await session.execute(
        update(clocks)
        .where(clocks.c.tenant == tenant, clocks.c.case_code == case, clocks.c.kind == kind)
        .values(overdue_noted_at=now)
    )


async def unacknowledged(session: AsyncSession, opened_before: datetime, limit: int) -> Sequence[AnyRow]:
    """Open referrals that nobody acknowledged since before this time and that are not yet on the timeline as such."""
    statement = (
        select(referrals)
        .where(
            referrals.c.state == "open",
            referrals.c.progress == "sent",
            referrals.c.opened_at <= opened_before,
            referrals.c.reminded_at.is_(None),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await session.execute(statement)).all()


async def note_reminded(session: AsyncSession, tenant: str, code: str, now: datetime) -> None:
    """Say that a referral's silence is on the timeline now."""
    await session.execute(
        update(referrals).where(referrals.c.tenant == tenant, referrals.c.code == code).values(reminded_at=now)
    )
