"""The relay: publishes what transactions left in the outbox, each referral's events in their order.

It looks for unpublished rows, never for `id > last`: sequences commit out of order. After a crash between publishing
and marking it publishes again, and the consumers' inboxes know the event.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

import asyncpg
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import BigInteger, Text

from amanat.db import Database, is_transient
from amanat.kafka import Outgoing, Published
from amanat.outbox import WITHDRAWN
from amanat.tables import outbox, relay_lease
from amanat.waiting import waited

POLL_S = 0.25
LEASE_S = 6.0
BATCH = 500
_TOPIC_HELD_S = 2.0
_KEY_HELD_S = 30.0
_MARKED = Counter("amanat_relayed_total", "Outbox rows marked as published", ["service"])
_HOLDS = Gauge("amanat_relay_holds_lease", "1 while this process is its service's relay", ["service"])
_log = structlog.get_logger(__name__)

_UNPUBLISHED = (
    select(outbox.c.id, outbox.c.topic, outbox.c.key, outbox.c.headers, outbox.c.body)
    .where(
        outbox.c.published_at.is_(None),
        outbox.c.cancelled_at.is_(None),
        outbox.c.topic != func.all(bindparam("topics", type_=ARRAY(Text))),
        # A withdrawal is never held back by an earlier row of its key: consumers compare epochs, not arrivals.
        or_(
            outbox.c.type == WITHDRAWN,
            func.coalesce(outbox.c.key, "") != func.all(bindparam("keys", type_=ARRAY(Text))),
        ),
        outbox.c.id != func.all(bindparam("unmarked", type_=ARRAY(BigInteger))),
    )
    .order_by(outbox.c.id)
    .limit(BATCH)
)
# Rows that a withdrawal is cancelling just now are marked later: the relay must never be what a request waits for.
_FREE = select(outbox.c.id).where(outbox.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
_MARK = (
    update(outbox)
    .where(outbox.c.id.in_(_FREE.with_for_update(skip_locked=True)))
    .values(published_at=func.now())
    .returning(outbox.c.id)
)


class Publishes(Protocol):
    """What the relay needs of a producer."""

    async def publish(self, rows: Sequence[Outgoing], /) -> Published: ...

    async def stop(self) -> None: ...


class Relay:
    """The relay of service `name`. Several may run; one holds the lease and works, another takes over seconds after it
    fell silent. Two that overlap do no harm: each keeps the order, so no event's first arrival is ever out of it.
    """

    def __init__(self, database: Database, producer: Publishes, name: str, *, holder: str | None = None) -> None:
        self.name = f"relay {name}"
        self._database = database
        self._producer = producer
        self._service = name
        self._holder = holder or f"{socket.gethostname()}/{os.getpid()}/{uuid4()}"
        self._woken = asyncio.Event()
        self._ear: asyncpg.Connection[asyncpg.Record] | None = None
        self._mine_until = 0.0
        self._renew_at = 0.0
        self._held: dict[tuple[str, str], float] = {}
        self._unmarked: set[int] = set()
        self._well = False

    @property
    def ready(self) -> bool:
        """Whether the last look at the outbox succeeded."""
        return self._well

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop`, through the absence of database or broker; then lets the lease go."""
        wait = POLL_S
        try:
            while not stop.is_set():
                try:
                    more = await self.once()
                except Exception as error:
                    if not is_transient(error):
                        raise
                    self._well = False
                    _log.warning("relay_waits", service=self._service, error=type(error).__name__)
                    await self._wait(stop, wait)
                    wait = min(2 * wait, 5.0)
                    continue
                self._well, wait = True, POLL_S
                if not more:
                    await self._wait(stop, POLL_S)
        finally:
            self._well = False
            await self._let_go()

    async def once(self) -> bool:
        """One look at the outbox; returns whether another is due at once.

        Raises the database's errors. What Kafka refused stays unpublished and is held back for a while.
        """
        self._woken.clear()
        await self._listen()
        if not await self._is_mine():
            return False
        await self._mark([])
        rows = await self._unpublished()
        if not rows:
            return False
        published = await self._producer.publish(rows)
        self._hold_back(published)
        await self._mark(published.sent)
        return len(rows) == BATCH and bool(published.sent)

    async def _unpublished(self) -> list[Outgoing]:
        now = self._now()
        self._held = {what: until for what, until in self._held.items() if until > now}
        held = {
            "topics": [name for kind, name in self._held if kind == "topic"],
            "keys": [name for kind, name in self._held if kind == "key"],
            "unmarked": sorted(self._unmarked),
        }
        async with self._database.transaction(()) as session:
            found = await session.execute(_UNPUBLISHED, held)
            return [Outgoing(row.id, row.topic, row.key, row.headers, row.body) for row in found]

    def _hold_back(self, published: Published) -> None:
        # Without it, rows that cannot go would fill each look and keep the others from their turn.
        now = self._now()
        self._held |= {("topic", topic): now + _TOPIC_HELD_S for topic in published.failed_topics}
        self._held |= {("key", key): now + _KEY_HELD_S for key in published.failed_keys}

    async def _mark(self, sent: Sequence[int]) -> None:
        self._unmarked.update(sent)
        if not self._unmarked:
            return
        async with self._database.transaction(()) as session:
            marked = list(await session.scalars(_MARK, {"ids": sorted(self._unmarked)}))
        self._unmarked.difference_update(marked)
        _MARKED.labels(self._service).inc(len(marked))

    async def _is_mine(self) -> bool:
        now = self._now()
        if now < self._renew_at:
            return now < self._mine_until
        until = func.now() + timedelta(seconds=LEASE_S)
        taken = (
            insert(relay_lease)
            .values(name=self._service, holder=self._holder, until=until)
            .on_conflict_do_update(
                index_elements=[relay_lease.c.name],
                set_={"holder": self._holder, "until": until},
                where=(relay_lease.c.until < func.now()) | (relay_lease.c.holder == self._holder),
            )
            .returning(relay_lease.c.holder)
        )
        async with self._database.transaction(()) as session:
            mine = await session.scalar(taken) is not None
        # Counted from before the statement, so that the lease never seems longer here than it is there.
        self._mine_until = now + LEASE_S if mine else 0.0
        self._renew_at = now + (LEASE_S / 3 if mine else LEASE_S / 6)
        _HOLDS.labels(self._service).set(int(mine))
        return mine

    async def _let_go(self) -> None:
        await self._producer.stop()
        ear, self._ear = self._ear, None
        with contextlib.suppress(Exception):  # on the way out; the lease ends by itself
            if ear is not None:
                await ear.close(timeout=2)
            async with self._database.transaction(()) as session:
                await session.execute(
                    update(relay_lease)
                    .where(relay_lease.c.name == self._service, relay_lease.c.holder == self._holder)
                    .values(until=func.now())
                )
        self._mine_until = self._renew_at = 0.0
        _HOLDS.labels(self._service).set(0)

    async def _listen(self) -> None:
        if self._ear is None or self._ear.is_closed():
            self._ear = await self._database.listen(self._woken.set)

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        # A stop is noticed a quarter of a second later; a notification at once.
        if not stop.is_set():
            await waited(self._woken, seconds)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
