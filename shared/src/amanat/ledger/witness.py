"""What a service does with the checkpoints of all others: verify against all it has seen, keep, and only then cosign.

Independence holds where the services' operators differ; where one administrator holds all databases and keys, witnesses
prove nothing. What happened before a ledger's first cosigned checkpoint is not protected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import merkle
from amanat.contracts.checkpoints import LONGEST, CheckpointCosigned, CheckpointPublished, ConsistencyShown
from amanat.db import AnyRow, Database
from amanat.ledger import alarms
from amanat.ledger.checkpoints import Speaker
from amanat.ledger.known import Ledgers
from amanat.notes import BadSignature, Checkpoint, MalformedNote, signed_note, split_note
from amanat.received import Received
from amanat.tables import cosignatures, ledger_checkpoints, proof_parts, witness_states, witnessed

SILENT_AFTER = 2.5
"""Intervals without a checkpoint before it is an alarm."""
SILENT_AFTER_S = 120.0
"""And no less than that, however short the interval: a service that is started again is not silent."""
BEHIND = 0.5
"""Intervals: what was cosigned so long before a ledger's newest checkpoint must have come here before that one did. As
much as clocks of two services may differ."""
TOPIC = "checkpoints."
JUDGED_AT_ONCE = 200
_COSIGNED = ("origin", "size", "root", "witness")


@dataclass(frozen=True)
class Witness:
    """One service's eyes on the ledgers of the others."""

    speaker: Speaker
    ledgers: Ledgers
    every_s: float
    """Between two checkpoints of a ledger, the same for all."""

    @property
    def behind(self) -> timedelta:
        """As much as clocks of two services may differ."""
        return timedelta(seconds=BEHIND * self.every_s)

    async def refuse(self, session: AsyncSession, event: Received, now: datetime) -> None:
        """An event that has no business on a ledger's topic: an alarm over whoever wrote it, and no effect."""
        service = event.topic.removeprefix(TOPIC)
        origin = self.ledgers.origin(service) or service
        await alarms.add(session, origin, "bad_checkpoint", {"because": "another type"}, now)

    async def hear(self, session: AsyncSession, event: Received, now: datetime) -> None:
        """Takes one event of `checkpoints.<service>`. Never raises for what it says: a bad one is an alarm."""
        service = event.topic.removeprefix(TOPIC)
        origin = self.ledgers.origin(service) or service
        try:
            said = _said(event)
            if isinstance(said, ConsistencyShown):
                await _keep_part(session, origin, said, now)
            elif isinstance(said, CheckpointPublished):
                checkpoint = self.ledgers.checkpoint(service, said.note)
                await self._published(session, checkpoint, said, event.time, now)
            else:
                await self._cosigned(session, service, said, now)
        except (MalformedNote, BadSignature, ValidationError) as error:
            await alarms.add(session, origin, "bad_checkpoint", {"because": type(error).__name__}, now)

    async def _published(
        self,
        session: AsyncSession,
        checkpoint: Checkpoint,
        said: CheckpointPublished,
        told_at: datetime,
        now: datetime,
    ) -> None:
        origin = checkpoint.origin
        state = await alarms.lock(session, origin, now)
        if state.told_at is not None and told_at <= state.told_at and await _is_known(session, checkpoint):
            return  # the broker hands out again what was heard before; a restored ledger says it anew
        wrong = await _wrong(session, state, checkpoint, said)
        too_early = told_at > now + self.behind
        seen = insert(witnessed).values(
            origin=origin, size=checkpoint.size, root=checkpoint.root, note=said.note, seen_at=now
        )
        key = list(witnessed.primary_key.columns)
        await session.execute(seen.on_conflict_do_update(index_elements=key, set_={"seen_at": now}))
        await session.execute(
            delete(proof_parts).where(proof_parts.c.origin == origin, proof_parts.c.size <= checkpoint.size)
        )
        if wrong is not None:
            detail = {"size": checkpoint.size, "root": checkpoint.root.hex(), "known": state.size}
            await alarms.add(session, origin, wrong, detail, now)
        if too_early:
            await alarms.add(session, origin, "bad_checkpoint", {"because": "a time that has not come"}, now)
        # A time that has not come would make all that is said until then look as if it had been heard before.
        changes: dict[str, Any] = {"heard_at": now, "told_at": min(told_at, now)}
        if wrong is None:
            changes |= {"size": checkpoint.size, "root": checkpoint.root}
        await session.execute(update(witness_states).where(witness_states.c.origin == origin).values(changes))
        await alarms.end(session, origin, {alarms.SILENCE, alarms.UNHEARD}, now)
        if wrong is not None or too_early or state.stopped_at is not None:
            return
        # Kept above, in this transaction; the cosignature leaves only after its commit.
        body, lines = split_note(said.note)
        note = signed_note(body, [*lines, self.speaker.signer.cosign(checkpoint, now)])
        await self.speaker.say(session, CheckpointCosigned(note=note), now)

    async def _cosigned(self, session: AsyncSession, witness: str, said: CheckpointCosigned, now: datetime) -> None:
        body, lines = split_note(said.note)
        if len(lines) != 2:
            raise MalformedNote("the ledger's own signature and one cosignature")
        # The ledger's own signature stands in it too: no witness can put a tree into another's mouth.
        checkpoint = self.ledgers.checkpoint(self.ledgers.service(Checkpoint.parse(body).origin), said.note)
        cosigned_at = self.ledgers.cosignature(witness, checkpoint, lines[1])
        if cosigned_at > now + self.behind:
            raise MalformedNote("cosigned at a time that has not come")
        row = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "witness": self.ledgers.origin(witness) or witness,
            "line": lines[1],
            "cosigned_at": cosigned_at,
            "received_at": now,
        }
        new = insert(cosignatures).values(row)
        await session.execute(
            new.on_conflict_do_update(
                index_elements=list(cosignatures.primary_key.columns),
                set_={name: row[name] for name in ("line", "cosigned_at")},
                where=cosignatures.c.cosigned_at < cosigned_at,
            )
        )

    async def watch(self, database: Database, since: datetime, now: datetime) -> None:
        """What only time shows: who has fallen silent, whether anybody cosigns, and which checkpoints were shown to
        others and never here. Silence is not judged before this process has listened (`since`) for so long itself.

        One ledger a transaction: two of them locked at once, in another order than `hear` has, would be a deadlock.
        """
        long_ago = now - timedelta(seconds=max(SILENT_AFTER * self.every_s, SILENT_AFTER_S))
        await self._judge(database, long_ago, since, now)
        if since > long_ago:
            return
        for origin in self._others():
            async with database.transaction(()) as session:
                state = await alarms.lock(session, origin, now)
                if state.heard_at < long_ago:
                    await alarms.fall_silent(session, state, now)
        async with database.transaction(()) as session:
            await self._ask_who_cosigns(session, long_ago, now)
            await session.execute(delete(proof_parts).where(proof_parts.c.received_at < now - timedelta(days=1)))

    async def _judge(self, database: Database, long_ago: datetime, since: datetime, now: datetime) -> None:
        for judged in await self._unjudged(database, long_ago if since <= long_ago else None):
            async with database.transaction(()) as session:
                if not judged.seen:
                    ours = judged.origin == self.speaker.origin
                    detail = {"size": judged.size, "root": bytes(judged.root).hex(), "witness": judged.witness}
                    await alarms.add(session, judged.origin, "not_ours" if ours else "shown_to_another", detail, now)
                await session.execute(
                    update(cosignatures)
                    .where(*(cosignatures.c[each] == getattr(judged, each) for each in _COSIGNED))
                    .values(judged_at=now)
                )

    def _others(self) -> list[str]:
        origins = {self.ledgers.origin(service) for service in self.ledgers.verifiers}
        return sorted(origin for origin in origins if origin is not None and origin != self.speaker.origin)

    async def _ask_who_cosigns(self, session: AsyncSession, long_ago: datetime, now: datetime) -> None:
        mine = self.speaker.origin
        earliest = select(ledger_checkpoints.c.published_at).order_by(ledger_checkpoints.c.number).limit(1)
        first = await session.scalar(earliest)
        last = await session.scalar(select(func.max(cosignatures.c.cosigned_at)).where(cosignatures.c.origin == mine))
        if first is not None and first < long_ago and self._others() and (last is None or last < long_ago):
            await alarms.add(session, mine, alarms.UNCOSIGNED, {}, now)
        else:
            await alarms.end(session, mine, {alarms.UNCOSIGNED}, now)

    async def _unjudged(self, database: Database, before: datetime | None) -> Sequence[AnyRow]:
        """Cosigned checkpoints, not judged yet, that would have come here by now, and whether this service saw or
        published them itself; a bounded number.

        A ledger's checkpoints come in their order: once a newer one is here, none that was cosigned well before it is
        still on its way. Without a newer one, time decides.
        """
        seen = exists().where(
            witnessed.c.origin == cosignatures.c.origin,
            witnessed.c.size == cosignatures.c.size,
            witnessed.c.root == cosignatures.c.root,
        )
        published = exists().where(
            cosignatures.c.origin == self.speaker.origin,
            ledger_checkpoints.c.size == cosignatures.c.size,
            ledger_checkpoints.c.root == cosignatures.c.root,
        )
        newer = exists().where(
            witness_states.c.origin == cosignatures.c.origin,
            witness_states.c.told_at > cosignatures.c.received_at + self.behind,
        )
        due = [newer] if before is None else [newer, cosignatures.c.received_at < before]
        statement = (
            select(cosignatures, or_(seen, published).label("seen"))
            .where(cosignatures.c.judged_at.is_(None), or_(*due))
            .order_by(cosignatures.c.received_at)
            .limit(JUDGED_AT_ONCE)
        )
        async with database.transaction(()) as session:
            return (await session.execute(statement)).all()


def _said(event: Received) -> ConsistencyShown | CheckpointPublished | CheckpointCosigned:
    """Raises MalformedNote or pydantic's ValidationError unless it is one of these, and short."""
    if len(event.body) > LONGEST:
        raise MalformedNote("longer than a checkpoint may be")
    said = event.event()
    if not isinstance(said, ConsistencyShown | CheckpointPublished | CheckpointCosigned):
        raise MalformedNote("an event of another kind")
    return said


async def _keep_part(session: AsyncSession, origin: str, said: ConsistencyShown, now: datetime) -> None:
    row = {"origin": origin, "received_at": now, **said.model_dump(exclude={"referral"})}
    await session.execute(insert(proof_parts).values(row).on_conflict_do_nothing())


async def _is_known(session: AsyncSession, checkpoint: Checkpoint) -> bool:
    return bool(
        await session.scalar(
            select(
                exists().where(
                    witnessed.c.origin == checkpoint.origin,
                    witnessed.c.size == checkpoint.size,
                    witnessed.c.root == checkpoint.root,
                )
            )
        )
    )


async def _wrong(session: AsyncSession, state: AnyRow, checkpoint: Checkpoint, said: CheckpointPublished) -> str | None:
    """The alarm that this checkpoint is, against what was seen before; None if it is consistent with it."""
    if state.size is None:
        return None  # the first one, or the first after an operator's word: trust begins here
    if checkpoint.size < state.size:
        return "rollback"
    proof: list[bytes] | None = []
    if 0 < state.size < checkpoint.size:
        proof = await _proof(session, checkpoint, said) if said.previous == state.size else None
    if proof is None:
        return "unlinked"
    consistent = merkle.verify_consistency(state.size, checkpoint.size, proof, bytes(state.root), checkpoint.root)
    return None if consistent else "fork"


async def _proof(session: AsyncSession, checkpoint: Checkpoint, said: CheckpointPublished) -> list[bytes] | None:
    rows = (
        await session.execute(
            select(proof_parts.c.part, proof_parts.c.hashes)
            .where(
                proof_parts.c.origin == checkpoint.origin,
                proof_parts.c.previous == said.previous,
                proof_parts.c.size == checkpoint.size,
            )
            .order_by(proof_parts.c.part)
        )
    ).all()
    if [row.part for row in rows] != list(range(said.parts)):
        return None
    joined = b"".join(bytes(row.hashes) for row in rows)
    return [joined[begin : begin + merkle.HASH_BYTES] for begin in range(0, len(joined), merkle.HASH_BYTES)]


async def cosignatures_of(session: AsyncSession, origin: str, size: int, root: bytes) -> Sequence[AnyRow]:
    """Who cosigned a checkpoint: {witness, line, cosigned_at}, by witness."""
    statement = (
        select(cosignatures.c.witness, cosignatures.c.line, cosignatures.c.cosigned_at)
        .where(cosignatures.c.origin == origin, cosignatures.c.size == size, cosignatures.c.root == root)
        .order_by(cosignatures.c.witness)
    )
    return (await session.execute(statement)).all()
