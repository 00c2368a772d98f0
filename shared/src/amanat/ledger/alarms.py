"""Alarms over ledgers, one's own and others': kept until an operator says why they are understood, and never hidden.

| kind | of whom | what it says |
|---|---|---|
| `fork` | another | a second tree of one size, or one that does not begin with what was seen before |
| `rollback` | another | a checkpoint smaller than one that was seen |
| `unlinked` | another | a checkpoint without a proof from the last one that was seen |
| `bad_checkpoint` | another | not signed by its ledger's key, not in its one form, or of a time that has not come |
| `shown_to_another` | another | a witness cosigned a checkpoint that never came here |
| `silence` | another | no checkpoint for two and a half intervals, and one before; `since` is when it was last heard |
| `unheard` | another | never a checkpoint, in all that time that this service has listened |
| `uncosigned` | oneself | nobody cosigned for two and a half intervals |
| `sequencer_waits` | oneself | an entry waits longer than that for the sequencer: a transaction stays open |
| `own_history_changed` | oneself | the leaves no longer make up the root that was published |
| `clock_went_back` | oneself | the checkpoint published last is of a time that has not come |
| `not_ours` | oneself | a witness cosigned, in this ledger's name, a checkpoint that was never published here |
| `tree_damaged` | oneself | stored nodes are not what the leaves make them; `amanat ledger rebuild` mends that |
| `entry_missing` | oneself | a leaf whose entry is gone |
| `record_changed` | oneself | an entry, or the row that it is of, that no longer matches its leaf |
| `record_without_entry` | oneself | a row that should be in the ledger and is not |

All but `unheard`, `uncosigned` and `sequencer_waits`, which end by themselves, stop this service's cosigning of that
ledger until they are acknowledged. A silence has its end as well (`ended_at`), and stands beyond it: what a ledger did
while nobody heard it is an operator's to explain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Gauge
from pydantic import JsonValue
from sqlalchemy import or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow, Database
from amanat.tables import ledger_alarms, witness_states, witnessed

SILENCE, UNHEARD, UNCOSIGNED, SEQUENCER_WAITS = "silence", "unheard", "uncosigned", "sequencer_waits"
TREE_DAMAGED, CLOCK_WENT_BACK = "tree_damaged", "clock_went_back"
ENDING = frozenset({UNHEARD, UNCOSIGNED, SEQUENCER_WAITS})
"""What ends by itself, and stops nothing."""
_ONCE = ENDING | {SILENCE, TREE_DAMAGED, CLOCK_WENT_BACK, "fork", "rollback", "unlinked", "bad_checkpoint"}
"""Of these, one stands at a time for each ledger: a stranger cannot fill the table with them."""
_OPEN = Gauge("amanat_ledger_alarm", "Alarms over a ledger that nobody has acknowledged", ["origin", "kind"])
_log = structlog.get_logger(__name__)
_GOES_ON = (ledger_alarms.c.ended_at.is_(None), ledger_alarms.c.acknowledged_at.is_(None))
_STANDING = (
    ledger_alarms.c.acknowledged_at.is_(None),
    or_(ledger_alarms.c.ended_at.is_(None), ledger_alarms.c.kind.not_in(ENDING)),
)


async def lock(session: AsyncSession, origin: str, now: datetime) -> AnyRow:
    """What is known of a ledger, locked: always before its alarms. One that was never heard of counts from now."""
    await session.execute(insert(witness_states).values(origin=origin, heard_at=now).on_conflict_do_nothing())
    statement = select(witness_states).where(witness_states.c.origin == origin).with_for_update()
    row: AnyRow = (await session.execute(statement)).one()
    return row


async def raise_alarm(
    database: Database, origin: str, kind: str, detail: Mapping[str, JsonValue], now: datetime
) -> None:
    """In a transaction of its own."""
    async with database.transaction(()) as session:
        await add(session, origin, kind, detail, now)


async def add(session: AsyncSession, origin: str, kind: str, detail: Mapping[str, JsonValue], now: datetime) -> None:
    """Raises an alarm, once while it stands; all but those that end by themselves stop the cosigning of that ledger."""
    await lock(session, origin, now)
    stands = select(ledger_alarms.c.id).where(ledger_alarms.c.origin == origin, ledger_alarms.c.kind == kind, *_GOES_ON)
    if kind in _ONCE and await session.scalar(stands.limit(1)) is not None:
        return
    added = await session.scalar(
        insert(ledger_alarms)
        .values(origin=origin, kind=kind, detail=dict(detail), raised_at=now)
        .on_conflict_do_nothing(
            index_elements=[text("origin"), text("kind"), text("md5(detail::text)")],
            index_where=text("ended_at IS NULL AND acknowledged_at IS NULL"),
        )
        .returning(ledger_alarms.c.id)
    )
    if kind not in ENDING:
        await session.execute(
            update(witness_states)
            .where(witness_states.c.origin == origin, witness_states.c.stopped_at.is_(None))
            .values(stopped_at=now)
        )
    if added is not None:
        _log.error("ledger_alarm", origin=origin, alarm=kind, detail=dict(detail))


async def fall_silent(session: AsyncSession, state: AnyRow, now: datetime) -> None:
    """Raises the alarm over a ledger (`state`, locked) that says nothing: one for each silence, acknowledged or not."""
    kind = UNHEARD if state.told_at is None else SILENCE
    raised = select(ledger_alarms.c.id).where(
        ledger_alarms.c.origin == state.origin,
        ledger_alarms.c.kind == kind,
        ledger_alarms.c.raised_at > state.heard_at,
    )
    if await session.scalar(raised.limit(1)) is None:
        await add(session, state.origin, kind, {"since": state.heard_at.isoformat()}, now)


async def end(session: AsyncSession, origin: str, kinds: Collection[str], now: datetime) -> None:
    """Ends what ends by itself, acknowledged or not."""
    await session.execute(
        update(ledger_alarms)
        .where(ledger_alarms.c.origin == origin, ledger_alarms.c.kind.in_(kinds), ledger_alarms.c.ended_at.is_(None))
        .values(ended_at=now)
    )


async def standing(session: AsyncSession) -> Sequence[AnyRow]:
    """What nobody has acknowledged yet: {id, origin, kind, detail, raised_at, ended_at}, oldest first."""
    statement = select(ledger_alarms).where(*_STANDING).order_by(ledger_alarms.c.id)
    return (await session.execute(statement)).all()


async def acknowledge(session: AsyncSession, origin: str, through: int, by: str, reason: str, now: datetime) -> int:
    """An operator knows why, and says so: of what stands over a ledger, all up to the alarm `through` is closed under
    that name and reason. How many alarms; with none, nothing changes.

    When nothing stands any more that had stopped the cosigning, it goes on. After a silence it does so from the last
    checkpoint that was consistent; after anything else from the newest one that was seen: what the operator looked at,
    and no other, is where trust begins anew.
    """
    await lock(session, origin, now)
    mine = ledger_alarms.c.origin == origin
    closed = set(
        await session.execute(
            update(ledger_alarms)
            .where(mine, ledger_alarms.c.id <= through, *_STANDING)
            .values(acknowledged_at=now, acknowledged_by=by, reason=reason)
            .returning(ledger_alarms.c.id, ledger_alarms.c.kind)
        )
    )
    left = set(await session.scalars(select(ledger_alarms.c.kind).where(mine, *_STANDING))) - ENDING
    stopped = {row.kind for row in closed} - ENDING
    changes: dict[str, Any] = {}
    if stopped - {SILENCE} and not left - {SILENCE}:
        newest = select(witnessed).where(witnessed.c.origin == origin).order_by(witnessed.c.seen_at.desc()).limit(1)
        seen = (await session.execute(newest)).one_or_none()
        changes |= {"size": None, "root": None} if seen is None else {"size": seen.size, "root": seen.root}
    if stopped and not left:
        changes["stopped_at"] = None
    if changes:
        await session.execute(update(witness_states).where(witness_states.c.origin == origin).values(changes))
    return len(closed)


class Board:
    """What stands, as metrics and `/readyz` tell it; looked up by the worker every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._shown: set[tuple[str, str]] = set()
        self.told: tuple[str, ...] = ()

    async def look(self) -> None:
        """Brings metrics and `told` ("kind: origin"; "silence, over: origin" once it ended) up to date."""
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
        told = {f"{row.kind}{'' if row.ended_at is None else ', over'}: {row.origin}" for row in rows}
        self.told = tuple(sorted(told))
