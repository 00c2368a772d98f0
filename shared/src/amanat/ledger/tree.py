"""The tree over a service's entries: one sequencer integrates what transactions appended, and proofs are read from it.

Entries are taken by (transaction, id), and only of transactions below the oldest one still running: no entry that
commits later can belong before one that was taken. The order is therefore the entries' own, and a tree that lost its
end grows again as it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, LargeBinary, SmallInteger, bindparam, func, select, text, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import merkle
from amanat.db import Database
from amanat.ledger import alarms
from amanat.merkle import Node
from amanat.tables import ledger_entries, ledger_leaves, ledger_nodes

BATCH = 5_000
_ONE = text("SELECT pg_try_advisory_xact_lock(4703394)")
_LAST = text(
    "SELECT leaf.position, leaf.entry, entry.transaction FROM ledger_leaves leaf"
    " LEFT JOIN ledger_entries entry ON entry.id = leaf.entry ORDER BY leaf.position DESC LIMIT 1"
)
_NEXT = text(
    "SELECT id, commitment FROM ledger_entries"
    " WHERE (transaction, id) > (:transaction, :entry)"
    " AND transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    " ORDER BY transaction, id LIMIT :batch"
)
_ADD_LEAVES = text(
    "INSERT INTO ledger_leaves (position, entry, hash)"
    " SELECT :size + number - 1, entry, hash"
    " FROM unnest(:entries, :hashes) WITH ORDINALITY AS new (entry, hash, number)"
).bindparams(
    bindparam("size", type_=BigInteger),
    bindparam("entries", type_=ARRAY(BigInteger)),
    bindparam("hashes", type_=ARRAY(LargeBinary)),
)
_ADD_NODES = text(
    "WITH added AS (INSERT INTO ledger_nodes (level, position, hash)"
    " SELECT * FROM unnest(:levels, :positions, :hashes) ON CONFLICT DO NOTHING RETURNING 1)"
    " SELECT count(*) FROM added"
).bindparams(
    bindparam("levels", type_=ARRAY(SmallInteger)),
    bindparam("positions", type_=ARRAY(BigInteger)),
    bindparam("hashes", type_=ARRAY(LargeBinary)),
)
# A leaf and its entry should be one hash. Where they are not, neither is taken for the truth: whatever root was signed
# before, this one differs from it, and the witnesses see it.
STREAM = text(
    "SELECT leaf.position, leaf.hash AS leaf, CASE WHEN entry.commitment = leaf.hash THEN leaf.hash"
    " ELSE sha256(leaf.hash || coalesce(entry.commitment, '')) END AS hash"
    " FROM ledger_leaves leaf LEFT JOIN ledger_entries entry ON entry.id = leaf.entry"
    " WHERE leaf.position > :after ORDER BY leaf.position LIMIT :batch"
)


class Damaged(Exception):
    """Leaves or nodes are not as the sequencer left them: somebody changed them, and nothing is integrated after that.
    `alarm` is the kind of alarm that it is.
    """

    alarm = "own_history_changed"


class EntryMissing(Damaged):
    """The last leaf's entry is gone from the table."""

    alarm = "entry_missing"


class NodesDamaged(Damaged):
    """Stored nodes are gone, or stand where none can be yet; the leaves may be sound. `nodes.rebuild` is the remedy."""

    alarm = alarms.TREE_DAMAGED


@dataclass(frozen=True)
class Tree:
    """What one pass over all leaves found: the size, the root, and the nodes that were wanted."""

    size: int
    root: bytes
    found: Mapping[Node, bytes]


async def integrate(database: Database, *, batch: int = BATCH) -> int:
    """Takes all entries that can be taken now into the tree; how many. Two at once do no harm: one does nothing.

    Raises Damaged, EntryMissing, NodesDamaged, and the database's errors.
    """
    taken = 0
    while True:
        try:
            async with database.transaction(()) as session:
                step = await _step(session, batch)
        except IntegrityError:
            raise Damaged from None  # an entry that is there already, though it comes after the last leaf
        except KeyError:
            raise NodesDamaged from None
        taken += step
        if step < batch:
            return taken


async def _step(session: AsyncSession, batch: int) -> int:
    if not await session.scalar(_ONE):
        return 0
    last = (await session.execute(_LAST)).one_or_none()
    if last is not None and last.transaction is None:
        raise EntryMissing
    size, after = (0, (0, 0)) if last is None else (last.position + 1, (last.transaction, last.entry))
    given = {"transaction": after[0], "entry": after[1], "batch": batch}
    new = (await session.execute(_NEXT, given)).all()
    if not new:
        return 0
    hashes = [bytes(row.commitment) for row in new]
    await session.execute(_ADD_LEAVES, {"size": size, "entries": [row.id for row in new], "hashes": hashes})
    nodes = merkle.complete_nodes(size, hashes, await read_nodes(session, merkle.frontier(size)))
    if nodes:
        hashes = list(nodes.values())
        if await session.scalar(_ADD_NODES, {**addresses(nodes), "hashes": hashes}) != len(nodes):
            raise NodesDamaged
    return len(new)


def addresses(nodes: Collection[Node]) -> dict[str, list[int]]:
    """Nodes as a statement takes them: {levels, positions}."""
    return {"levels": [level for level, _ in nodes], "positions": [position for _, position in nodes]}


async def read_nodes(session: AsyncSession, wanted: Collection[Node]) -> dict[Node, bytes]:
    """The hashes of complete nodes, level 0 being the leaves; those that do not exist are left out."""
    leaves = [position for level, position in wanted if level == 0]
    found: dict[Node, bytes] = {}
    if leaves:
        rows = select(ledger_leaves.c.position, ledger_leaves.c.hash).where(ledger_leaves.c.position.in_(leaves))
        found.update({(0, row.position): bytes(row.hash) for row in await session.execute(rows)})
    inner = [node for node in wanted if node[0] > 0]
    if inner:
        inner_rows = select(ledger_nodes).where(tuple_(ledger_nodes.c.level, ledger_nodes.c.position).in_(inner))
        found.update({(row.level, row.position): bytes(row.hash) for row in await session.execute(inner_rows)})
    return found


async def recompute(
    database: Database, wanted: Collection[Node] = (), *, upto: int | None = None, batch: int = 20_000
) -> Tree:
    """One pass over the leaves (the first `upto`) as they stand in the tables now, trusting no node that was computed
    before. Memory stays small; the time is some seconds for a million leaves.
    """
    stream = merkle.Stream(wanted)
    async for leaf in _leaves(database, batch):
        if upto is not None and stream.size >= upto:
            break
        stream.add(leaf)
    return Tree(stream.size, stream.root(), stream.found)


async def _leaves(database: Database, batch: int) -> AsyncIterator[bytes]:
    after = -1
    while True:
        async with database.transaction(()) as session:
            rows = (await session.execute(STREAM, {"after": after, "batch": batch})).all()
        for row in rows:
            yield bytes(row.hash)
        if len(rows) < batch:
            return
        after = rows[-1].position


async def size_of(session: AsyncSession) -> int:
    """How many entries are integrated."""
    return (await session.scalar(select(func.coalesce(func.max(ledger_leaves.c.position) + 1, 0)))) or 0


async def waiting(session: AsyncSession) -> tuple[int, datetime | None]:
    """How many committed entries the sequencer has not yet taken, and of when the oldest of them is."""
    last = (await session.execute(_LAST)).one_or_none()
    after = (0, 0) if last is None else (last.transaction or 0, last.entry)
    newer = tuple_(ledger_entries.c.transaction, ledger_entries.c.id) > after
    row = (await session.execute(select(func.count(), func.min(ledger_entries.c.at)).where(newer))).one()
    return int(row[0]), row[1]
