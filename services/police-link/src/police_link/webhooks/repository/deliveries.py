"""The queue. Every statement joins its tenant; four cross tenants by the worker's policy: `due_tenants`, `prune`,
`queue_size`, and `claim`, which takes several at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    TableValuedAlias,
    Text,
    Uuid,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.arriving import Referred
from amanat.agency.repository import expected, not_withdrawn
from amanat.db import AnyRow
from amanat.tables import disclosures, referrals
from amanat.unnested import unnested
from police_link.webhooks.messages import HANDSHAKE, OPENED
from police_link.webhooks.models import QUEUED, Instant, deliveries


async def enqueue(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Adds deliveries to the queue."""
    if rows:
        await session.execute(insert(deliveries), list(rows))


async def worth_telling(session: AsyncSession, referred: Sequence[Referred]) -> set[Referred]:
    """Those of these referrals of which something can be read, or is on its way."""
    asked = _asked(referred)
    coming = exists().where(referrals.c.tenant == asked.c.tenant, referrals.c.code == asked.c.referral, expected())
    statement = select(asked.c.tenant, asked.c.referral).where(or_(_readable(asked.c.tenant, asked.c.referral), coming))
    return {(row.tenant, row.referral) for row in await session.execute(statement)}


async def purge(session: AsyncSession, tenant: str, referral: str, now: datetime) -> int:
    """Takes a referral's deliveries out of the queue and out of replays unless some category of it can still be read;
    how many."""
    statement = (
        update(deliveries)
        .where(
            deliveries.c.tenant == tenant,
            deliveries.c.referral == referral,
            deliveries.c.purged_at.is_(None),
            ~_readable(tenant, referral),
        )
        .values(purged_at=now)
        .returning(deliveries.c.id)
    )
    return len((await session.execute(statement)).all())


async def restore(session: AsyncSession, referred: Sequence[Referred], now: datetime) -> int:
    """Puts back what was purged too early, now that some category can be read: those of a referral's latest arrival,
    since each arrival has deliveries of its own. How many."""
    asked = _asked(referred)
    arrived = select(referrals.c.received_at).where(
        referrals.c.tenant == asked.c.tenant, referrals.c.code == asked.c.referral
    )
    statement = (
        update(deliveries)
        .where(
            deliveries.c.tenant == asked.c.tenant,
            deliveries.c.referral == asked.c.referral,
            deliveries.c.purged_at.is_not(None),
            deliveries.c.created_at >= arrived.scalar_subquery(),
            _readable(asked.c.tenant, asked.c.referral),
        )
        .values(purged_at=None, next_attempt_at=now)
        .returning(deliveries.c.id)
    )
    return len((await session.execute(statement)).all())


def _asked(referred: Sequence[Referred]) -> TableValuedAlias:
    return unnested("asked", {"tenant": Text(), "referral": Text()}, referred)


def _readable(tenant: ColumnElement[str] | str, referral: ColumnElement[str] | str) -> ColumnElement[bool]:
    return exists().where(
        disclosures.c.tenant == tenant,
        disclosures.c.referral == referral,
        not_withdrawn(tenant, referral, disclosures.c.category, disclosures.c.epoch),
    )


async def requeue(session: AsyncSession, tenant: str, subscription: UUID, now: datetime, since: datetime | None) -> int:
    """Makes due at once what waits, and what was created since then in whatever state; what is just being sent is left
    alone. How many are due."""
    again: ColumnElement[bool] = QUEUED if since is None else or_(QUEUED, deliveries.c.created_at >= since)
    statement = (
        update(deliveries)
        .where(
            deliveries.c.tenant == tenant,
            deliveries.c.subscription_id == subscription,
            deliveries.c.type == OPENED,
            deliveries.c.purged_at.is_(None),
            again,
            or_(deliveries.c.claim.is_(None), deliveries.c.next_attempt_at <= now),
        )
        .values(attempts=0, next_attempt_at=now, claim=None, delivered_at=None, gave_up_at=None)
        .returning(deliveries.c.id)
    )
    return len((await session.execute(statement)).all())


async def due_tenants(session: AsyncSession, now: datetime) -> list[str]:
    """Organisations for whom something is due, by the background policy."""
    statement = select(deliveries.c.tenant).distinct().where(QUEUED, deliveries.c.next_attempt_at <= now)
    return list((await session.execute(statement)).scalars())


# The row is judged again where it is locked: another worker may have claimed it after this statement began.
_CLAIM = text(
    """
    WITH busy AS (
        SELECT tenant, subscription_id, count(*) AS number FROM webhook_deliveries
        WHERE tenant = ANY (:tenants) AND claim IS NOT NULL AND next_attempt_at > :now
            AND delivered_at IS NULL AND gave_up_at IS NULL AND purged_at IS NULL
        GROUP BY tenant, subscription_id
    ), due AS (
        SELECT d.tenant, d.id, s.failures, s.url_sealed, s.secret_sealed, coalesce(busy.number, 0) AS busy,
            row_number() OVER (PARTITION BY d.tenant, d.subscription_id ORDER BY d.next_attempt_at, d.id) AS place
        FROM webhook_deliveries d
        JOIN webhook_subscriptions s ON s.tenant = d.tenant AND s.id = d.subscription_id
        LEFT JOIN busy ON busy.tenant = d.tenant AND busy.subscription_id = d.subscription_id
        WHERE d.tenant = ANY (:tenants) AND d.delivered_at IS NULL AND d.gave_up_at IS NULL
            AND d.purged_at IS NULL
            AND d.next_attempt_at <= :now AND (s.not_before IS NULL OR s.not_before <= :now)
            AND (s.state = 'active' OR (s.state = 'pending' AND d.type = :handshake))
    ), picked AS (
        SELECT d.tenant, d.id, due.url_sealed, due.secret_sealed
        FROM webhook_deliveries d JOIN due ON due.tenant = d.tenant AND due.id = d.id
        WHERE due.place + due.busy <= CASE WHEN due.failures > 0 THEN 1 ELSE :each END
            AND d.next_attempt_at <= :now AND d.delivered_at IS NULL AND d.gave_up_at IS NULL
            AND d.purged_at IS NULL
        ORDER BY due.place, d.next_attempt_at
        LIMIT :room
        FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE webhook_deliveries d
    SET claim = :claim, next_attempt_at = :leased_until, attempts = d.attempts + 1
    FROM picked WHERE d.tenant = picked.tenant AND d.id = picked.id
    RETURNING d.tenant, d.id, d.subscription_id, d.type, d.referral, d.created_at, d.attempts, d.claim,
        picked.url_sealed, picked.secret_sealed
    """
).bindparams(
    bindparam("tenants", type_=ARRAY(Text)),
    bindparam("now", type_=Instant),
    bindparam("leased_until", type_=Instant),
    bindparam("claim", type_=Uuid),
    bindparam("each", type_=Integer),
    bindparam("room", type_=Integer),
    bindparam("handshake", HANDSHAKE, type_=Text),
)


async def claim(
    session: AsyncSession,
    tenants: Collection[str],
    *,
    claim: UUID,
    now: datetime,
    lease: timedelta,
    room: int,
    each: int,
) -> Sequence[AnyRow]:
    """Takes up to `room` due deliveries of these organisations for the time of a lease, at most `each` at a time of one
    endpoint, and one of an endpoint that fails. The transaction is these tenants'."""
    given = {"tenants": sorted(tenants), "now": now, "leased_until": now + lease, "claim": claim}
    rows: Sequence[AnyRow] = (await session.execute(_CLAIM, given | {"room": room, "each": each})).all()
    return rows


async def mark_delivered(session: AsyncSession, tenant: str, delivery: UUID, values: dict[str, Any]) -> None:
    """Ends a delivery, whoever claims it by now: the endpoint has it."""
    await session.execute(
        update(deliveries)
        .where(deliveries.c.tenant == tenant, deliveries.c.id == delivery)
        .values(claim=None, **values)
    )


async def mark_failed(session: AsyncSession, tenant: str, delivery: UUID, claim: UUID, values: dict[str, Any]) -> None:
    """Ends this claim's attempt; nothing if the lease was over and another claimed it."""
    await session.execute(
        update(deliveries)
        .where(deliveries.c.tenant == tenant, deliveries.c.id == delivery, deliveries.c.claim == claim)
        .values(claim=None, **values)
    )


async def prune(session: AsyncSession, before: datetime, limit: int) -> int:
    """Deletes deliveries that were queued before then, sent or not, whosever they are; how many."""
    old = select(deliveries.c.tenant, deliveries.c.id).where(deliveries.c.created_at < before).limit(limit).subquery()
    statement = (
        delete(deliveries)
        .where(deliveries.c.tenant == old.c.tenant, deliveries.c.id == old.c.id)
        .returning(deliveries.c.id)
    )
    return len((await session.execute(statement)).all())


async def queue_size(session: AsyncSession) -> AnyRow:
    """{queued, oldest}: how many deliveries wait, and since when the longest of them, over all organisations."""
    statement = select(func.count().label("queued"), func.min(deliveries.c.created_at).label("oldest")).where(QUEUED)
    row: AnyRow = (await session.execute(statement)).one()
    return row
