"""Who is told of arrivals, and how their endpoints fare."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow
from police_link.webhooks.messages import OPENED
from police_link.webhooks.models import FAILED, QUEUED, Instant, deliveries, subscriptions


async def add_subscription(session: AsyncSession, values: dict[str, Any]) -> None:
    """Keeps a new subscription."""
    await session.execute(insert(subscriptions).values(**values))


async def count_subscriptions(session: AsyncSession, tenant: str) -> int:
    """How many the organisation has, failed ones too."""
    statement = select(func.count()).select_from(subscriptions).where(subscriptions.c.tenant == tenant)
    return int((await session.execute(statement)).scalar_one())


def _shown(tenant: str) -> Select[Any]:
    queued = (
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.tenant == subscriptions.c.tenant,
            deliveries.c.subscription_id == subscriptions.c.id,
            deliveries.c.type == OPENED,
            QUEUED,
        )
        .scalar_subquery()
    )
    return select(subscriptions, queued.label("queued")).where(subscriptions.c.tenant == tenant)


async def find(session: AsyncSession, tenant: str, subscription: UUID) -> AnyRow | None:
    """The subscription if it is this organisation's, with how many events it waits for."""
    row: AnyRow | None = (await session.execute(_shown(tenant).where(subscriptions.c.id == subscription))).one_or_none()
    return row


async def page(session: AsyncSession, tenant: str, *, after: int, limit: int) -> Sequence[AnyRow]:
    """The organisation's subscriptions, oldest first, after a position."""
    statement = _shown(tenant).where(subscriptions.c.position > after).order_by(subscriptions.c.position).limit(limit)
    rows: Sequence[AnyRow] = (await session.execute(statement)).all()
    return rows


async def remove(session: AsyncSession, tenant: str, subscription: UUID) -> bool:
    """Deletes the subscription with all its deliveries; whether there was one."""
    statement = delete(subscriptions).where(_is(tenant, subscription)).returning(subscriptions.c.id)
    return (await session.execute(statement)).first() is not None


async def set_health(session: AsyncSession, tenant: str, subscription: UUID, values: dict[str, Any]) -> None:
    """Sets how the endpoint fares."""
    await session.execute(update(subscriptions).where(_is(tenant, subscription)).values(**values))


async def note_failure(session: AsyncSession, tenant: str, subscription: UUID, now: datetime) -> AnyRow | None:
    """Counts one more failed attempt in a row, and locks the subscription: {failures, failing_since}; None if gone."""
    statement = (
        update(subscriptions)
        .where(_is(tenant, subscription))
        .values(
            failures=subscriptions.c.failures + 1,
            failing_since=func.coalesce(subscriptions.c.failing_since, now, type_=Instant),
        )
        .returning(subscriptions.c.failures, subscriptions.c.failing_since)
    )
    return (await session.execute(statement)).one_or_none()


async def receivers(session: AsyncSession, tenants: Collection[str]) -> dict[str, list[UUID]]:
    """The subscriptions that are told of arrivals, by organisation. None of them can be removed until this transaction
    ends: a removal meanwhile would fail the event that brought the referral."""
    statement = (
        select(subscriptions.c.tenant, subscriptions.c.id)
        .where(subscriptions.c.tenant.in_(sorted(tenants)), subscriptions.c.state != FAILED)
        .order_by(subscriptions.c.tenant, subscriptions.c.id)
        .with_for_update(key_share=True, read=True)
    )
    found: dict[str, list[UUID]] = {}
    for row in await session.execute(statement):
        found.setdefault(row.tenant, []).append(row.id)
    return found


def _is(tenant: str, subscription: UUID) -> ColumnElement[bool]:
    return and_(subscriptions.c.tenant == tenant, subscriptions.c.id == subscription)
