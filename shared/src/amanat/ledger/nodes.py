"""The stored nodes of the tree: held against its leaves, and written anew from them.

No signature rests on a stored node; proofs do, and the sequencer goes on from them. Whoever changes one makes a sound
ledger look unproven, or stops it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import ARRAY, BigInteger, LargeBinary, SmallInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import merkle
from amanat.db import AnyRow, Database
from amanat.ledger.checkpoints import latest
from amanat.ledger.tree import STREAM, addresses
from amanat.merkle import Node

BATCH = 5_000
_SEQUENCER = text("SELECT pg_advisory_xact_lock(4703394)")
_ADDRESSES = bindparam("levels", type_=ARRAY(SmallInteger)), bindparam("positions", type_=ARRAY(BigInteger))
_STORED = text(
    "SELECT node.level, node.position, node.hash FROM unnest(:levels, :positions) AS wanted (level, position)"
    " JOIN ledger_nodes node USING (level, position)"
).bindparams(*_ADDRESSES)
_WRITE = text(
    "INSERT INTO ledger_nodes (level, position, hash) SELECT * FROM unnest(:levels, :positions, :hashes)"
    " ON CONFLICT (level, position) DO UPDATE SET hash = excluded.hash"
).bindparams(*_ADDRESSES, bindparam("hashes", type_=ARRAY(LargeBinary)))
# A node is complete where all its leaves are; level 0 is the leaves' own table.
_STRAYS = (
    "FROM ledger_nodes WHERE level NOT BETWEEN 1 AND 62 OR position < 0"
    " OR position >= ((SELECT coalesce(max(position) + 1, 0) FROM ledger_leaves) >> level)"
)
_COUNT_STRAYS = text(f"SELECT count(*) {_STRAYS}")
_DELETE_STRAYS = text(
    f"WITH gone AS (DELETE {_STRAYS} RETURNING 1) SELECT count(*) FROM gone"  # noqa: S608 - a constant of this room
)


class LeavesChanged(Exception):
    """The leaves do not make up the checkpoint that was published last: more is wrong than the nodes over them."""


@dataclass(frozen=True)
class Rebuilt:
    """What was written: of how many leaves, and how many nodes were missing, changed, or none of this tree's."""

    leaves: int
    missing: int
    changed: int
    strays: int


class Compared:
    """Stored nodes against the leaves, as an audit passes over these in their order."""

    def __init__(self) -> None:
        self._stream = merkle.Stream()
        self._spoilt: list[int] = []
        self._follows = True
        self._wrong = 0
        self._first: Node | None = None

    async def over(self, database: Database, leaves: Sequence[AnyRow]) -> None:
        """The next leaves: {position, hash, commitment}. Where a leaf is not its entry's, that is the finding, and what
        stands above it is not judged; nothing is behind a leaf that is missing."""
        due: dict[Node, bytes] = {}
        for leaf in leaves:
            self._follows = self._follows and leaf.position == self._stream.size
            if not self._follows:
                break
            if leaf.commitment is not None and bytes(leaf.commitment) != bytes(leaf.hash):
                self._spoilt.append(leaf.position)
            due |= _inner(leaf.position, self._stream.add(bytes(leaf.hash)))
        judged = {node: digest for node, digest in due.items() if self._is_sound(node)}
        if not judged:
            return
        async with database.transaction(()) as session:
            stored = await _stored(session, judged)
        for node, digest in judged.items():
            if stored.get(node) != digest:
                self._wrong += 1
                self._first = self._first or node

    async def found(self, database: Database) -> dict[str, JsonValue] | None:
        """What an alarm says once all leaves were passed: how many nodes are wrong, and where the first that is not
        what its leaves make it stands; None when all are right."""
        async with database.transaction(()) as session:
            strays = int(await session.scalar(_COUNT_STRAYS) or 0)
        if not self._wrong + strays:
            return None
        where: dict[str, JsonValue] = (
            {} if self._first is None else {"level": self._first[0], "position": self._first[1]}
        )
        return {"nodes": self._wrong + strays, **where}

    def _is_sound(self, node: Node) -> bool:
        level, position = node
        begin = bisect_left(self._spoilt, position << level)
        return begin == len(self._spoilt) or self._spoilt[begin] >= (position + 1) << level


async def rebuild(database: Database, *, batch: int = BATCH) -> Rebuilt:
    """Writes every stored node anew from the leaves, in one transaction, while the sequencer waits.

    Raises LeavesChanged, with nothing written, unless the leaves make up the checkpoint that was published last: else
    the nodes would be made to fit a history that somebody changed, and what they still show of it would be gone.
    """
    async with database.transaction(()) as session:
        await session.execute(_SEQUENCER)
        published = await latest(session)
        signed, stream = merkle.Stream(), merkle.Stream()
        missing = changed = 0
        while True:
            rows = (await session.execute(STREAM, {"after": stream.size - 1, "batch": batch})).all()
            due: dict[Node, bytes] = {}
            for row in rows:
                if row.position != stream.size:
                    raise LeavesChanged
                due |= _inner(row.position, stream.add(bytes(row.leaf)))
                signed.add(bytes(row.hash))
                if published is not None and signed.size == published.size and signed.root() != bytes(published.root):
                    raise LeavesChanged
            stored = await _stored(session, due)
            wrong = {node: digest for node, digest in due.items() if stored.get(node) != digest}
            if wrong:
                await session.execute(_WRITE, {**addresses(wrong), "hashes": list(wrong.values())})
            missing += len(wrong.keys() - stored.keys())
            changed += len(wrong.keys() & stored.keys())
            if len(rows) < batch:
                break
        if published is not None and published.size > stream.size:
            raise LeavesChanged
        strays = int(await session.scalar(_DELETE_STRAYS) or 0)
        return Rebuilt(stream.size, missing, changed, strays)


def _inner(position: int, completed: Sequence[bytes]) -> dict[Node, bytes]:
    """The inner nodes that a leaf completes."""
    return {(level, position >> level): digest for level, digest in enumerate(completed) if level}


async def _stored(session: AsyncSession, wanted: Mapping[Node, bytes]) -> dict[Node, bytes]:
    rows = await session.execute(_STORED, addresses(wanted))
    return {(row.level, row.position): bytes(row.hash) for row in rows}
