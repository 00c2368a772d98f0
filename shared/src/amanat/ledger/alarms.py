"""Alarms over ledgers, one's own and others': kept until an operator says why they are understood, and never hidden.

| kind | of whom | what it says |
|---|---|---|
| `fork` | another | a second tree of one size, or one that does not begin with what was seen before |
| `rollback` | another | a checkpoint smaller than one that was seen |
| `unlinked` | another | a checkpoint without a proof from the last one that was seen |
| `bad_checkpoint` | another | not signed by its ledger's key, or not in its one form |
| `shown_to_another` | another | a witness cosigned a checkpoint that never came here |
| `silence` | another | no checkpoint for two and a half intervals; it ends with the next good one |
| `own_history_changed` | oneself | the leaves no longer make up the root that was published |
| `not_ours` | oneself | a witness cosigned, in this ledger's name, a checkpoint that was never published here |
| `entry_missing` | oneself | a leaf whose entry is gone |
| `record_changed` | oneself | an entry, or the row that it is of, that no longer matches its leaf |
| `record_without_entry` | oneself | a row that should be in the ledger and is not |

All but `silence` stop this service's cosigning of that ledger until they are acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog
from prometheus_client import Gauge
from pydantic import JsonValue
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow, Database
from amanat.tables import ledger_alarms, witness_states

SILENCE = "silence"
_OPEN = Gauge("amanat_ledger_alarm", "Alarms over a ledger that nobody has acknowledged", ["origin", "kind"])
_log = structlog.get_logger(__name__)
_STANDING = (ledger_alarms.c.ended_at.is_(None), ledger_alarms.c.acknowledged_at.is_(None))


async def raise_alarm(
    database: Database, origin: str, kind: str, detail: Mapping[str, JsonValue], now: datetime
) -> None:
    """In a transaction of its own."""
    async with database.transaction(()) as session:
        await add(session, origin, kind, detail, now)


async def add(session: AsyncSession, origin: str, kind: str, detail: Mapping[str, JsonValue], now: datetime) -> None:
    """Raises an alarm, once while it stands; all but a silence stop the cosigning of that ledger."""
    added = await session.scalar(
        insert(ledger_alarms)
        .values(origin=origin, kind=kind, detail=dict(detail), raised_at=now)
        .on_conflict_do_nothing(
            index_elements=[text("origin"), text("kind"), text("md5(detail::text)")],
            index_where=text("ended_at IS NULL AND acknowledged_at IS NULL"),
        )
        .returning(ledger_alarms.c.id)
    )
    if kind != SILENCE:
        stopped = insert(witness_states).values(origin=origin, heard_at=now, stopped_at=now)
        await session.execute(
            stopped.on_conflict_do_update(
                index_elements=[witness_states.c.origin],
                set_={"stopped_at": func.coalesce(witness_states.c.stopped_at, now)},
            )
        )
    if added is not None:
        _log.error("ledger_alarm", origin=origin, alarm=kind, detail=dict(detail))


async def end(session: AsyncSession, origin: str, kind: str, now: datetime) -> None:
    """Ends alarms that end by themselves."""
    await session.execute(
        update(ledger_alarms)
        .where(ledger_alarms.c.origin == origin, ledger_alarms.c.kind == kind, *_STANDING)
        .values(ended_at=now)
    )


async def standing(session: AsyncSession) -> Sequence[AnyRow]:
    """What nobody has acknowledged yet: {id, origin, kind, detail, raised_at}, oldest first."""
    statement = select(ledger_alarms).where(*_STANDING).order_by(ledger_alarms.c.id)
    return (await session.execute(statement)).all()


async def acknowledge(session: AsyncSession, origin: str, by: str, reason: str, now: datetime) -> int:
    """An operator knows why, and says so: what stands is closed under that name and reason, and the next checkpoint of
    that ledger is where this service begins to trust it anew. How many alarms were closed.
    """
    closed = await session.scalars(
        update(ledger_alarms)
        .where(ledger_alarms.c.origin == origin, *_STANDING)
        .values(acknowledged_at=now, acknowledged_by=by, reason=reason)
        .returning(ledger_alarms.c.id)
    )
    await session.execute(
        update(witness_states)
        .where(witness_states.c.origin == origin)
        .values(size=None, root=None, stopped_at=None, heard_at=now)
    )
    return len(closed.all())


class Board:
    """What stands, as metrics and `/readyz` tell it; looked up by the worker every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._shown: set[tuple[str, str]] = set()
        self.told: tuple[str, ...] = ()

    async def look(self) -> None:
        """Brings metrics and `told` ("kind: origin") up to date."""
        async with self._database.transaction(()) as session:
            rows = await standing(session)
        counts: dict[tuple[str, str], int] = {}
        for row in rows:
            counts[row.origin, row.kind] = counts.get((row.origin, row.kind), 0) + 1
        for origin, kind in self._shown - counts.keys():
            _OPEN.labels(origin, kind).set(0)
        for (origin, kind), number in counts.items():
            _OPEN.labels(origin, kind).set(number)
        self._shown = set(counts)
        self.told = tuple(sorted(f"{kind}: {origin}" for origin, kind in counts))
