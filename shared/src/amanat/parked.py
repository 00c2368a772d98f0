"""Events that could not be handled, each kept with what follows of its referral, and nothing else.

Of the error only its class is stored: a message may quote what it failed on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import ColumnElement, Row, bindparam, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from amanat.contracts import EVENTS
from amanat.db import Database, is_transient
from amanat.facts import BadFact, StaleFact
from amanat.received import Received, received
from amanat.tables import inbox, parked
from amanat.waiting import Patience

BEHIND = "ReferralParked"
"""The reason of an event that is parked only because an earlier one of its referral is."""

FORGED = BadFact.__name__
"""The reason of what its agency did not sign, or what does not open: trying again makes it no truer."""

_DISCARDABLE = (FORGED, StaleFact.__name__)
_PARKED = Counter("amanat_parked_total", "Events parked", ["type", "reason"])
_SEEN = select(inbox.c.event_id).where(inbox.c.event_id == func.any(bindparam("ids", type_=ARRAY(Uuid))))
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:place, 4703391))")
_log = structlog.get_logger(__name__)

Place = tuple[str, str]


@dataclass(frozen=True)
class ParkedEvent:
    """A parked event as an operator may see it: no body, no header."""

    id: int
    topic: str
    partition: int
    offset: int
    event_id: UUID
    type: str
    referral: str | None
    tenant: str | None
    reason: str
    parked_at: datetime
    retry_requested: bool


@dataclass(frozen=True)
class Retried:
    """What a retry did. `reason` is the class name of the error that stopped it, or None."""

    released: int
    remaining: int
    reason: str | None


class Handles(Protocol):
    """What a retry needs of an inbox."""

    never_park: frozenset[str]
    patience: Patience

    def tenants(self, events: Sequence[Received]) -> frozenset[str]: ...

    async def apply(self, session: AsyncSession, events: Sequence[Received]) -> None: ...


async def lock(session: AsyncSession, place: Place) -> None:
    """Until the transaction ends, nobody else parks or retries events of this place."""
    await session.execute(_LOCK, {"place": "\n".join(place)})


async def stuck(session: AsyncSession, places: Collection[Place]) -> frozenset[Place]:
    """Those of the places that have an event parked and not released."""
    found = await session.execute(
        select(parked.c.topic, parked.c.referral)
        .distinct()
        .where(tuple_(parked.c.topic, parked.c.referral).in_(sorted(places)), parked.c.released_at.is_(None))
    )
    return frozenset((row.topic, row.referral) for row in found)


async def park(session: AsyncSession, events: Sequence[Received], *, reason: str, tenants: Sequence[str | None]) -> int:
    """Keeps events in their order, those left out whose effect is already there; returns how many are new.

    `reason` is an error's class name; `tenants` stand beside the events. The caller holds the place's lock.
    """
    seen = set(await session.scalars(_SEEN, {"ids": [event.event_id for event in events]}))
    kept = 0
    for event, tenant in zip(events, tenants, strict=True):
        if event.event_id in seen:
            continue
        new = await session.scalar(
            insert(parked)
            .values(
                topic=event.topic,
                kafka_partition=event.partition,
                kafka_offset=event.offset,
                event_id=event.event_id,
                type=event.type,
                referral=event.referral,
                tenant=tenant,
                headers=dict(event.headers),
                body=event.body,
                reason=reason,
                parked_at=func.now(),
            )
            .on_conflict_do_nothing(index_elements=[parked.c.event_id])
            .returning(parked.c.id)
        )
        if new is not None:
            kept += 1
            # What is no type of ours is a stranger's text: it stays out of metrics and logs.
            kind = event.type if event.type in EVENTS else "unknown"
            _PARKED.labels(kind, reason).inc()
            _log.error("event_parked", event_id=str(event.event_id), type=kind, reason=reason)
    return kept


async def list_parked(session: AsyncSession, what: str | None = None) -> list[ParkedEvent]:
    """What is parked and not released, oldest first: all of it, a referral's, or one event by its id."""
    statement = select(parked).where(parked.c.released_at.is_(None)).order_by(parked.c.id)
    if what is not None:
        statement = statement.where(_named(what))
    return [
        ParkedEvent(
            id=row.id,
            topic=row.topic,
            partition=row.kafka_partition,
            offset=row.kafka_offset,
            event_id=row.event_id,
            type=row.type,
            referral=row.referral,
            tenant=row.tenant,
            reason=row.reason,
            parked_at=row.parked_at,
            retry_requested=row.retry_requested_at is not None,
        )
        for row in await session.execute(statement)
    ]


async def retry(database: Database, inbox: Handles, place: Place) -> Retried:
    """Runs a referral's parked events of one topic again, in their order, each in its own transaction; stops at the
    first that fails, which stays parked with all behind it. What another sender put under that referral on a topic of
    its own neither goes along nor stands in the way.

    Raises the database's transient errors; what was released before stays released.
    """
    released = 0
    while True:
        waiting = await _ids(database, _of(place))
        for row_id in waiting:
            reason = await _again(database, inbox, row_id)
            if reason is not None:
                return Retried(released, len(await _ids(database, _of(place))), reason)
            released += 1
        if not waiting:
            return Retried(released, 0, None)


async def request_retry(session: AsyncSession, what: str) -> int:
    """Asks the service's worker to retry a referral, or one event by its id, as an operator's command does: the worker
    alone holds the keys that handlers need. Returns how many events wait; the worker clears the request once it tried.
    """
    asked = await session.scalars(
        update(parked)
        .where(_named(what), parked.c.released_at.is_(None))
        .values(retry_requested_at=func.now())
        .returning(parked.c.id)
    )
    return len(asked.all())


async def discard(session: AsyncSession, event_id: UUID) -> bool:
    """Gives up an event that nobody signed, or that is too old to be told from a repetition; whether it was such a one.

    Nothing else can be given up. What waits behind it goes on with the next retry; sent once more, it stays given up
    for as long as released events are kept.
    """
    of_it = (parked.c.event_id == event_id, parked.c.released_at.is_(None), parked.c.reason.in_(_DISCARDABLE))
    row = (await session.execute(select(parked).where(*of_it))).one_or_none()
    if row is None:
        return False
    await lock(session, _event(row).place)
    given_up = update(parked).where(*of_it).values(released_at=func.now()).returning(parked.c.id)
    return await session.scalar(given_up) is not None


async def attend(database: Database, inbox: Handles) -> int:
    """What the worker does every few seconds: retries what an operator asked for, and what must not wait for one.

    A withdrawal is never parked behind its referral. One whose own handling failed is kept aside all the same, or it
    would hold up every other withdrawal on its partition; it is tried again here, more and more seldom, and what waited
    behind it alone follows. What nobody signed is not: anybody with a way to the topic could keep the process busy with
    it. It waits for an operator like anything else. Returns how many events were released.
    """
    asked = parked.c.retry_requested_at.is_not(None)
    released = 0
    for place in await _places(database, asked):
        released += (await retry(database, inbox, place)).released
        await _tried(database, _of(place))
    for row_id in await _ids(database, asked):  # what belongs to no referral
        released += await _again(database, inbox, row_id) is None
        await _tried(database, parked.c.id == row_id)
    urgent = parked.c.type.in_(sorted(inbox.never_park)) & (parked.c.reason != FORGED)
    behind_it = await _places(database, urgent)
    for row_id in inbox.patience.due(await _ids(database, urgent)):
        released += await _again_patiently(database, inbox, row_id)
    for place in behind_it:
        if not await _ids(database, _of(place) & (parked.c.reason != BEHIND)):
            released += (await retry(database, inbox, place)).released
    return released


async def _again_patiently(database: Database, inbox: Handles, row_id: int) -> bool:
    done = False
    try:
        done = await _again(database, inbox, row_id) is None
    finally:
        # Raised or told: of a trouble that this row alone meets the others must not see more than one round.
        if not done:
            inbox.patience.failed(row_id)
    return done


async def _tried(database: Database, condition: Any) -> None:
    async with database.transaction(()) as session:
        await session.execute(update(parked).where(condition).values(retry_requested_at=None))


async def _places(database: Database, condition: Any) -> list[Place]:
    async with database.transaction(()) as session:
        found = select(parked.c.topic, parked.c.referral).distinct().where(condition, parked.c.released_at.is_(None))
        rows = (await session.execute(found.where(parked.c.referral.is_not(None)))).all()
        return sorted((row.topic, row.referral) for row in rows)


def _of(place: Place) -> ColumnElement[bool]:
    topic, referral = place
    return (parked.c.topic == topic) & (parked.c.referral == referral)


def _named(what: str) -> ColumnElement[bool]:
    try:
        return parked.c.event_id == UUID(what)
    except ValueError:
        return parked.c.referral == what


async def _ids(database: Database, condition: Any) -> list[int]:
    async with database.transaction(()) as session:
        found = select(parked.c.id).where(condition, parked.c.released_at.is_(None)).order_by(parked.c.id)
        return list(await session.scalars(found))


async def _again(database: Database, inbox: Handles, row_id: int) -> str | None:
    async with database.transaction(()) as session:
        row = (await session.execute(select(parked).where(parked.c.id == row_id))).one_or_none()
    if row is None or row.released_at is not None:
        return None
    event = _event(row)
    try:
        async with database.transaction(inbox.tenants([event])) as session:
            await lock(session, event.place)
            await inbox.apply(session, [event])
            await session.execute(update(parked).where(parked.c.id == row_id).values(released_at=func.now()))
    except Exception as error:
        if is_transient(error):
            raise
        reason = type(error).__name__
        async with database.transaction(()) as session:
            await session.execute(update(parked).where(parked.c.id == row_id).values(reason=reason))
        return reason
    return None


def _event(row: Row[Any]) -> Received:
    event = received(
        topic=row.topic,
        partition=row.kafka_partition,
        offset=row.kafka_offset,
        timestamp_ms=int(row.parked_at.timestamp() * 1000),
        key=row.referral.encode() if row.referral else None,
        headers=[(name, value.encode()) for name, value in row.headers.items()],
        body=row.body,
    )
    return replace(event, parked_at=row.parked_at, parked_for=row.reason)
