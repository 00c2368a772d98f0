"""What the gate alone may do with keys: lease, rewrap, and find what has come to its end."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow
from intake.models import clocks, keys, leases, referrals, request_secrets, rotations, shares
from intake.repository.cases import page_of
from intake.repository.changes import KEY_FENCE

ROTATION = 4_246_002  # advisory lock: one rotation at a time


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
    """Up to `limit` keys wrapped under an older generation, with their secrets; not locked."""
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
    )
    return (await session.execute(statement)).all()


async def lock_unchanged(session: AsyncSession, secret_of: Mapping[UUID, UUID]) -> set[UUID]:
    """Those of the keys {key: secret} that still have that secret, locked.

    Those that a withdrawal is deleting just now are left out: the two must never wait for each other in a circle.
    """
    statement = (
        select(keys.c.key_id, keys.c.secret_id)
        .where(keys.c.key_id.in_(secret_of))
        .order_by(keys.c.key_id)
        .with_for_update(skip_locked=True)
    )
    return {row.key_id for row in await session.execute(statement) if row.secret_id == secret_of[row.key_id]}


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


async def left_below(session: AsyncSession, generation: int) -> int:
    """How many secrets are still sealed to an older generation."""
    statement = select(func.count()).select_from(request_secrets).where(request_secrets.c.generation < generation)
    return int((await session.execute(statement)).scalar_one())


async def only_rotation(session: AsyncSession) -> bool:
    """Whether no other rotation runs; until this transaction ends none begins."""
    statement = text("SELECT pg_try_advisory_xact_lock(:rotation)")
    return bool((await session.execute(statement, {"rotation": ROTATION})).scalar_one())


async def stay(session: AsyncSession) -> None:
    """A statement that does nothing, so that a transaction that only holds a lock is not ended as idle."""
    await session.execute(text("SELECT 1"))


async def begin_rotation(session: AsyncSession, generation: int, now: datetime) -> None:
    """Note that a generation was made."""
    await session.execute(insert(rotations).values(generation=generation, began_at=now).on_conflict_do_nothing())


async def end_rotation(session: AsyncSession, generation: int, now: datetime) -> None:
    """Note that everything older than this generation is destroyed."""
    await session.execute(update(rotations).where(rotations.c.generation == generation).values(ended_at=now))


async def rotated_at(session: AsyncSession) -> datetime | None:
    """When the last complete rotation began; None if there was none."""
    statement = select(func.max(rotations.c.began_at)).where(rotations.c.ended_at.is_not(None))
    last: datetime | None = (await session.execute(statement)).scalar_one_or_none()
    return last


async def cases_with_ended_shares(
    session: AsyncSession, now: datetime, limit: int, skip: int = 0
) -> list[tuple[str, str]]:
    """(tenant, case) of referrals that have an open share whose last basis has expired."""
    statement = (
        select(referrals.c.tenant, referrals.c.case_code)
        .join(shares, and_(shares.c.referral == referrals.c.code, shares.c.tenant == referrals.c.tenant))
        .where(shares.c.ended_at.is_(None), shares.c.until <= now)
        .group_by(referrals.c.tenant, referrals.c.case_code)
        .order_by(func.min(shares.c.until), referrals.c.case_code)
    )
    return await page_of(session, statement, limit, skip)


async def retire_superseded(session: AsyncSession, before: datetime, limit: int) -> int:
    """Delete keys of disclosures that a later one of the same epoch replaced before this time; returns how many.

    Each amendment has a key of its own, and every lease carries all of an epoch: without this they would only grow.
    """
    newer = keys.alias("newer")
    superseded = (
        select(keys.c.key_id)
        .where(
            select(newer.c.key_id)
            .where(
                newer.c.tenant == keys.c.tenant,
                newer.c.referral == keys.c.referral,
                newer.c.category == keys.c.category,
                newer.c.epoch == keys.c.epoch,
                # The referral's own order, given under its lock: the clocks of two processes order nothing.
                newer.c.seq > keys.c.seq,
                newer.c.created_at < before,
            )
            .exists()
        )
        .limit(limit)
        .with_for_update(of=keys, skip_locked=True)
    )
    gone = await session.execute(delete(keys).where(keys.c.key_id.in_(superseded)).returning(keys.c.key_id))
    return len(gone.all())


async def cases_with_overdue_clocks(
    session: AsyncSession, now: datetime, limit: int, skip: int = 0
) -> list[tuple[str, str]]:
    """(tenant, case) with a clock past its due time, not met and not yet noted; most overdue first."""
    statement = (
        select(clocks.c.tenant, clocks.c.case_code)
        .where(clocks.c.due_at <= now, clocks.c.met_at.is_(None), clocks.c.overdue_noted_at.is_(None))
        .group_by(clocks.c.tenant, clocks.c.case_code)
        .order_by(func.min(clocks.c.due_at), clocks.c.case_code)
    )
    return await page_of(session, statement, limit, skip)


async def note_overdue(session: AsyncSession, tenant: str, case: str, now: datetime) -> Sequence[AnyRow]:
    """Say that the case's late clocks are on the timeline now; returns them. The case is locked by the caller."""
    noted = await session.execute(
        update(clocks)
        .where(
            clocks.c.tenant == tenant,
            clocks.c.case_code == case,
            clocks.c.due_at <= now,
            clocks.c.met_at.is_(None),
            clocks.c.overdue_noted_at.is_(None),
        )
        .values(overdue_noted_at=now)
        .returning(clocks.c.kind, clocks.c.due_at)
    )
    return sorted(noted.all(), key=lambda row: (row.due_at, row.kind))


_SILENT = and_(referrals.c.state == "open", referrals.c.progress == "sent", referrals.c.reminded_at.is_(None))


async def silent_cases(
    session: AsyncSession, opened_before: datetime, limit: int, skip: int = 0
) -> list[tuple[str, str]]:
    """(tenant, case) with an open referral that nobody acknowledged since before this time, not yet noted as such."""
    statement = (
        select(referrals.c.tenant, referrals.c.case_code)
        .where(_SILENT, referrals.c.opened_at <= opened_before)
        .group_by(referrals.c.tenant, referrals.c.case_code)
        .order_by(func.min(referrals.c.opened_at), referrals.c.case_code)
    )
    return await page_of(session, statement, limit, skip)


async def note_silence(
    session: AsyncSession, tenant: str, case: str, opened_before: datetime, now: datetime
) -> Sequence[AnyRow]:
    """Say that silent referrals are on the timeline now; returns them. The case is locked by the caller."""
    noted = await session.execute(
        update(referrals)
        .where(
            _SILENT,
            referrals.c.tenant == tenant,
            referrals.c.case_code == case,
            referrals.c.opened_at <= opened_before,
        )
        .values(reminded_at=now)
        .returning(referrals.c.code, referrals.c.agency, referrals.c.organisation, referrals.c.opened_at)
    )
    return sorted(noted.all(), key=lambda row: str(row.code))
