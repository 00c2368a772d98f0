"""A service's own checkpoints: signed over what its tables hold now, on a timetable that tells nothing.

The root is computed from all leaves anew each time, never from what was stored before: whoever changes a leaf, an entry
or an older checkpoint in the database makes this service sign a tree that its witnesses know is not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import merkle, outbox
from amanat.contracts.base import Event
from amanat.contracts.checkpoints import HASHES_AT_ONCE, CheckpointPublished, ConsistencyShown
from amanat.db import AnyRow, Database
from amanat.ledger import alarms, tree
from amanat.notes import Checkpoint, NoteSigner
from amanat.tables import ledger_checkpoints

EVERYBODY = "*"
_ONE = text("SELECT pg_advisory_xact_lock(4703396)")


@dataclass(frozen=True)
class Speaker:
    """Who speaks on `checkpoints.<service>`, in whose name, and with what."""

    service: str
    signer: NoteSigner
    new_id: Callable[[], UUID]

    @property
    def origin(self) -> str:
        """The ledger's name."""
        return self.signer.name

    async def say(self, session: AsyncSession, event: Event, now: datetime) -> None:
        """Saves an event for all other services, in the caller's transaction."""
        await outbox.add(
            session,
            outbox.row(
                topic=f"checkpoints.{self.service}",
                event=event,
                event_id=self.new_id(),
                tenant=EVERYBODY,
                seq=None,
                now=now,
                source=f"/{self.service}",
                traced=False,
            ),
        )


async def latest(session: AsyncSession) -> AnyRow | None:
    """The checkpoint published last: {published_at, size, root, note, number}."""
    statement = select(ledger_checkpoints).order_by(ledger_checkpoints.c.number.desc()).limit(1)
    return (await session.execute(statement)).one_or_none()


async def publish(database: Database, speaker: Speaker, at: datetime, every_s: float) -> Checkpoint | None:
    """Integrates what waits, then signs and publishes the checkpoint of this tick; None if another process did, for
    this tick or the next one, `every_s` later.

    A checkpoint further ahead than that was published under a clock that has gone back since, or put in by a hand: an
    alarm, and no reason to fall silent until its time comes.

    A history of one's own that does not hold is published as it is found, so that all others see it, and is an alarm
    here as well.
    """
    try:
        await tree.integrate(database)
    except tree.Damaged as damage:
        await alarms.raise_alarm(database, speaker.origin, damage.alarm, {}, at)
    async with database.transaction(()) as session:
        before = await latest(session)
        size = await tree.size_of(session)
    if before is not None and before.published_at >= at:
        if before.published_at <= at + timedelta(seconds=every_s):
            return None
        detail: dict[str, JsonValue] = {"published_at": before.published_at.isoformat()}
        await alarms.raise_alarm(database, speaker.origin, alarms.CLOCK_WENT_BACK, detail, at)
    previous = 0 if before is None else int(before.size)
    wanted = merkle.nodes_for_consistency(previous, size) if previous <= size else set[merkle.Node]()
    found = await tree.recompute(database, wanted, upto=size)
    proof = _proof(previous, found)
    if before is not None and not merkle.verify_consistency(
        previous, found.size, proof, bytes(before.root), found.root
    ):
        detail = {"published": previous, "found": found.size}
        await alarms.raise_alarm(database, speaker.origin, "own_history_changed", detail, at)
    checkpoint = Checkpoint(speaker.origin, found.size, found.root)
    note = speaker.signer.sign_checkpoint(checkpoint)
    async with database.transaction(()) as session:
        await session.execute(_ONE)
        last = await latest(session)
        if (None if last is None else last.number) != (None if before is None else before.number):
            return None  # another process was quicker, and what was found here may be older than what it signed
        row = {"published_at": at, "size": checkpoint.size, "root": checkpoint.root, "note": note}
        await session.execute(insert(ledger_checkpoints).values(row))
        for event in _events(previous, checkpoint, proof, note):
            await speaker.say(session, event, at)
    return checkpoint


def _proof(previous: int, found: tree.Tree) -> list[bytes]:
    if previous > found.size or not merkle.nodes_for_consistency(previous, found.size) <= set(found.found):
        return []
    return merkle.consistency_proof(previous, found.size, found.found)


def _events(previous: int, checkpoint: Checkpoint, proof: Sequence[bytes], note: str) -> list[Event]:
    pieces = [proof[begin : begin + HASHES_AT_ONCE] for begin in range(0, len(proof), HASHES_AT_ONCE)]
    shown: list[Event] = [
        ConsistencyShown(previous=previous, size=checkpoint.size, part=number, hashes=b"".join(piece))
        for number, piece in enumerate(pieces)
    ]
    return [*shown, CheckpointPublished(previous=previous, parts=len(pieces), note=note)]
