"""The outbox: an event is saved in the transaction of the fact it tells of, and published later by the relay.

Each row is a CloudEvents 1.0 event in Kafka's binary mode: attributes are headers, the body is the event's JSON.
Headers hold ids, types, times and the pseudonym of the referral, nothing personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.contracts.base import Event
from amanat.db import wake
from amanat.settings import RELAY_MARGIN_DAYS
from amanat.tables import idempotency, inbox, outbox, parked
from amanat.telemetry import traceparent

WITHDRAWN = "pk.amanat.category-withdrawn.v1"
DISCLOSED = "pk.amanat.category-disclosed.v1"
_NEWS = ("pk.amanat.referral-opened.v1", "pk.amanat.kit-announced.v1")
_PRUNE_STEP = 5_000
_IDEMPOTENCY_DAYS = 7


class Retention(Protocol):
    """The settings that pruning reads, in days."""

    @property
    def outbox_retention_days(self) -> int: ...

    @property
    def topic_retention_days(self) -> int: ...

    @property
    def inbox_retention_days(self) -> int: ...


def row(
    *,
    topic: str,
    event: Event,
    event_id: UUID,
    tenant: str,
    seq: int | None,
    now: datetime,
    source: str,
    category: str | None = None,
    epoch: int | None = None,
    organisation: str | None = None,
    traced: bool = True,
) -> dict[str, Any]:
    """The row of an event that is to be published after its transaction commits; the key is the event's referral.

    `seq` is assigned by the caller under the referral's row lock. `category`, `epoch` and `organisation` are the
    event's own when not given. `source` names the sender, `/intake` for instance. `now` has a time zone.
    `traced=False` leaves the trace context out: where one request writes to several agencies, a trace that they all
    saw would tell that their pseudonyms are one case (law 3).
    """
    category = category if category is not None else getattr(event, "category", None)
    epoch = epoch if epoch is not None else getattr(event, "epoch", None)
    organisation = organisation or getattr(event, "organisation", None)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(event_id),
        "ce_type": event.type,
        "ce_source": source,
        "ce_subject": event.referral,
        "ce_time": now.astimezone(UTC).isoformat(),
        "content-type": "application/json",
    }
    if seq is not None:
        headers["ce_seq"] = str(seq)
    if organisation:
        headers["ce_organisation"] = organisation
    if traced and (trace := traceparent()):
        headers["traceparent"] = trace
    return {
        "event_id": event_id,
        "topic": topic,
        "key": event.referral,
        "tenant": tenant,
        "type": event.type,
        "headers": headers,
        "body": event.body(),
        "referral": event.referral,
        "seq": seq,
        "category": category,
        "epoch": epoch,
        "created_at": now,
    }


async def add(session: AsyncSession, *rows: Mapping[str, Any]) -> None:
    """Saves events in their order, as `row` made them, to be published after this transaction commits."""
    if rows:
        await session.execute(insert(outbox), list(rows))
        wake(session)


async def cancel(session: AsyncSession, *, tenant: str, referral: str, category: str, epoch_upto: int) -> int:
    """Takes back disclosures of a category up to an epoch that have not been published; returns how many.

    The tombstone itself is never cancelled, though it names the same category and epoch.
    """
    of_it = (outbox.c.category == category, outbox.c.epoch <= epoch_upto, outbox.c.type == DISCLOSED)
    return await _take_back(session, tenant, referral, *of_it)


async def cancel_news(session: AsyncSession, *, tenant: str, referral: str) -> int:
    """Takes back what would still tell of a referral that nothing of is shared any more: its opening and its kits, as
    far as unpublished; returns how many. Its tombstones go out, since a row may have been sent and not yet marked."""
    return await _take_back(session, tenant, referral, outbox.c.type.in_(_NEWS))


async def _take_back(session: AsyncSession, tenant: str, referral: str, *which: ColumnElement[bool]) -> int:
    statement = (
        update(outbox)
        .where(
            outbox.c.tenant == tenant,
            outbox.c.referral == referral,
            outbox.c.published_at.is_(None),
            outbox.c.cancelled_at.is_(None),
            *which,
        )
        .values(cancelled_at=func.now())
    )
    return await _rows(session, statement)


async def replay(session: AsyncSession, topic: str | None = None) -> int:
    """Marks what was published as unpublished, so that the relay refills a broker that lost its log; returns how many.

    Cancelled rows stay cancelled. A disclosure whose epoch has been withdrawn stays unsent: its key is gone. Rows go
    out in their order, so that a tombstone precedes every later epoch of its category.
    """
    withdrawal = outbox.alias("withdrawal")
    dead = exists().where(
        withdrawal.c.type == WITHDRAWN,
        withdrawal.c.referral == outbox.c.referral,
        withdrawal.c.category == outbox.c.category,
        withdrawal.c.epoch >= outbox.c.epoch,
    )
    statement = (
        update(outbox)
        .where(
            outbox.c.published_at.is_not(None),
            outbox.c.cancelled_at.is_(None),
            or_(outbox.c.type != DISCLOSED, ~dead),
        )
        .values(published_at=None)
    )
    if topic is not None:
        statement = statement.where(outbox.c.topic == topic)
    wake(session)
    return await _rows(session, statement)


async def prune(session: AsyncSession, settings: Retention, now: datetime) -> int:
    """Deletes what has outlived its use: published or cancelled outbox rows, inbox rows and released parked events by
    the settings' ages, idempotency keys by a week (of the session's tenants). Returns how many; at most 5,000 of each,
    so that a long backlog is taken in steps: call again until it returns 0.

    What was published late, because the broker was long away, stays as long as the topic keeps it and a week: a broker
    that loses it then is refilled too, and people see that it went out late and was not sent by somebody else.
    """
    outbox_age = now - timedelta(days=settings.outbox_retention_days)
    sent_age = now - timedelta(days=settings.topic_retention_days + RELAY_MARGIN_DAYS)
    inbox_age = now - timedelta(days=settings.inbox_retention_days)
    settled = or_(outbox.c.published_at < sent_age, outbox.c.cancelled_at.is_not(None))
    old_outbox = select(outbox.c.id).where(outbox.c.created_at < outbox_age, settled).limit(_PRUNE_STEP)
    old_inbox = select(inbox.c.event_id).where(inbox.c.received_at < inbox_age).limit(_PRUNE_STEP)
    old_parked = select(parked.c.id).where(parked.c.released_at < inbox_age).limit(_PRUNE_STEP)
    gone = await _rows(session, delete(inbox).where(inbox.c.event_id.in_(old_inbox)))
    gone += await _rows(session, delete(parked).where(parked.c.id.in_(old_parked)))
    gone += await _rows(session, delete(outbox).where(outbox.c.id.in_(old_outbox)))
    gone += await _rows(
        session, delete(idempotency).where(idempotency.c.created_at < now - timedelta(days=_IDEMPOTENCY_DAYS))
    )
    return gone


async def _rows(session: AsyncSession, statement: Any) -> int:
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101 - for the type checker: an UPDATE or DELETE
    return result.rowcount
