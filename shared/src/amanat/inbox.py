"""The inbox: each event takes effect once, in the transaction that notes its arrival, in the order of its referral."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from opentelemetry.trace import SpanKind
from prometheus_client import Counter
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, Text, Uuid

from amanat import parked
from amanat.db import Database, is_transient
from amanat.received import Received, UnknownType
from amanat.telemetry import span
from amanat.waiting import Patience

__all__ = ["Handler", "Hold", "Inbox", "TryAgain", "UnknownType", "unseen"]

Handler = Callable[[AsyncSession, Sequence[Received]], Awaitable[None]]
"""Takes events of one type, several referrals' in the referrals' order, one referral's in its own."""
Hold = Callable[[AsyncSession, Sequence[Received]], Awaitable[None]]
"""Locks what the effects of all these events will change, before the first of them takes effect."""

_APPLIED = Counter("amanat_applied_total", "Events whose effect was committed", ["type"])
_NOTE = text(
    "INSERT INTO inbox (event_id, type, referral, received_at)"
    # Remembered from its own time on where its sender's clock ran ahead: what is too old to be new goes by that time.
    " SELECT event_id, type, referral, greatest(now(), time)"
    " FROM unnest(:ids, :types, :referrals, :times) AS new (event_id, type, referral, time)"
    " ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
).bindparams(
    bindparam("times", type_=ARRAY(DateTime(timezone=True))),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("types", type_=ARRAY(Text)),
    bindparam("referrals", type_=ARRAY(Text)),
)


class TryAgain(Exception):
    """A handler's way to say that what it needs is away for the moment: the batch is tried again, nothing is parked."""


async def unseen(session: AsyncSession, batch: Sequence[Received]) -> list[Received]:
    """Notes the events' arrival and returns those that had not arrived before, each once, in their order.

    Takes the inbox's locks, which come first in the platform's order: call it before anything else is locked.
    """
    first: dict[object, Received] = {}
    for event in batch:
        first.setdefault(event.event_id, event)
    # By id, so that two consumers with the same events after a rebalance do not wait for each other in a circle.
    ordered = sorted(first.values(), key=lambda event: event.event_id)
    new = set(
        await session.scalars(
            _NOTE,
            {
                "ids": [event.event_id for event in ordered],
                "types": [event.type for event in ordered],
                "referrals": [event.referral for event in ordered],
                "times": [event.time for event in ordered],
            },
        )
    )
    return [event for event in first.values() if event.event_id in new]


class Inbox:
    """Applies batches through `handlers`, by type.

    `tenants_of` names the tenant for which an event is handled (at an agency: its organisation), or None where the
    role crosses tenants. A type in `never_park` (withdrawals, `tombstones-requested`) is applied even while its
    referral is parked. `hold` is for effects that each lock several rows: run one after another in one transaction,
    they would take the rows of the second after those of the first, against the order that everybody else keeps.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        never_park: frozenset[str],
        tenants_of: Callable[[Received], str | None],
        hold: Hold | None = None,
    ) -> None:
        self.never_park = never_park
        self.patience = Patience()
        self._database = database
        self._handlers = dict(handlers)
        self._tenants_of = tenants_of
        self._hold = hold

    def tenants(self, events: Sequence[Received]) -> frozenset[str]:
        """The tenants that a transaction for these events sees."""
        return frozenset(tenant for tenant in map(self._tenants_of, events) if tenant)

    async def process(self, batch: Sequence[Received]) -> None:
        """Returns when every event has taken effect or is parked; then its offset may be committed.

        First in one transaction; if that fails, referral by referral; in one that fails, event by event. An event that
        cannot be handled is parked with all that follows of its referral. Raises TryAgain and the database's transient
        errors, and nothing of the transaction in which they came is kept: process the same batch again.
        """
        try:
            await self._settle(batch)
        except Exception as error:
            if _passes(error):
                raise
        else:
            return
        for group in _by_place(batch):
            try:
                await self._settle(group)
            except Exception as error:
                if _passes(error):
                    raise
                for event in group:
                    await self._settle_or_park(event)

    async def apply(self, session: AsyncSession, events: Sequence[Received]) -> None:
        """Notes arrivals and runs the handlers of what is new, in the caller's transaction.

        Raises UnknownType, or whatever a handler raises.
        """
        fresh = await unseen(session, events)
        if self._hold is not None and fresh:
            await self._hold(session, fresh)
        queues = [deque(group) for group in sorted(_by_place(fresh), key=lambda group: group[0].place)]
        while queues:
            kind = queues[0][0].type
            handler = self._handlers.get(kind)
            if handler is None:
                raise UnknownType
            run: list[Received] = []
            for queue in queues:
                while queue and queue[0].type == kind:
                    run.append(queue.popleft())
            queues = [queue for queue in queues if queue]
            await _traced(handler, session, run)

    async def _settle(self, events: Sequence[Received]) -> None:
        async with self._database.transaction(self.tenants(events)) as session:
            stuck = await parked.stuck(session, {event.place for event in events})
            passing = [event for event in events if event.place not in stuck or event.type in self.never_park]
            if passing:
                await self.apply(session, passing)
        for event in passing:
            _APPLIED.labels(event.type).inc()
        waiting = [event for event in events if event.place in stuck and event.type not in self.never_park]
        for group in _by_place(waiting):
            await self._keep_behind(group)

    async def _keep_behind(self, group: Sequence[Received]) -> None:
        async with self._database.transaction(self.tenants(group)) as session:
            await parked.lock(session, group[0].place)
            # Asked again under the lock: a retry may have released the referral since.
            if await parked.stuck(session, {group[0].place}):
                await self._park(session, group, parked.BEHIND)
            else:
                await self.apply(session, group)

    async def _settle_or_park(self, event: Received) -> None:
        try:
            await self._settle([event])
        except Exception as error:
            if _passes(error):
                raise
            async with self._database.transaction(()) as session:
                await parked.lock(session, event.place)
                await self._park(session, [event], type(error).__name__)

    async def _park(self, session: AsyncSession, events: Sequence[Received], reason: str) -> None:
        await parked.park(session, events, reason=reason, tenants=[self._tenants_of(event) for event in events])


def _passes(error: Exception) -> bool:
    return isinstance(error, TryAgain) or is_transient(error)


def _by_place(events: Iterable[Received]) -> list[list[Received]]:
    places: dict[tuple[str, str], list[Received]] = {}
    for event in events:
        places.setdefault(event.place, []).append(event)
    return list(places.values())


async def _traced(handler: Handler, session: AsyncSession, run: Sequence[Received]) -> None:
    # Several events have no one trace; what they cause then starts its own.
    parent = run[0].headers.get("traceparent") if len(run) == 1 else None
    with span(f"apply {run[0].type}", parent=parent, kind=SpanKind.CONSUMER):
        await handler(session, run)
