"""Proofs for whoever may ask: that a leaf stands in a published tree, and that one published tree begins with another.

Made against published sizes only: any other tree's root is signed nowhere. They hold hashes and say nothing of content.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import merkle
from amanat.db import AnyRow
from amanat.errors import NotFound, ProofUnavailable
from amanat.ledger.known import Ledgers
from amanat.ledger.tree import read_nodes
from amanat.ledger.witness import cosignatures_of
from amanat.notes import BadSignature, Checkpoint, MalformedNote
from amanat.tables import cosignatures, ledger_checkpoints, ledger_entries, ledger_leaves

AT_MOST = 100
"""Checkpoints that are tried from the newest: what a hand put in is passed over, and not for ever."""


@dataclass(frozen=True)
class Published:
    """A checkpoint as it was signed, and who cosigned it: rows {witness, line, cosigned_at}."""

    published_at: datetime
    size: int
    root: bytes
    note: str
    cosignatures: Sequence[AnyRow]


async def published(session: AsyncSession, size: int | None = None, *, earliest: bool = False) -> Published:
    """The checkpoint published last (or first), or the last one of this size. Raises NotFound."""
    number = ledger_checkpoints.c.number
    statement = select(ledger_checkpoints).order_by(number if earliest and size is None else number.desc()).limit(1)
    if size is not None:
        statement = statement.where(ledger_checkpoints.c.size == size)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    root = bytes(row.root)
    origin = str(row.note).split("\n", 1)[0]
    return Published(row.published_at, row.size, root, row.note, await cosignatures_of(session, origin, row.size, root))


async def entry_at(session: AsyncSession, position: int) -> AnyRow | None:
    """{tenant, kind, commitment} of the entry whose leaf stands there; None if none does."""
    statement = (
        select(ledger_entries.c.tenant, ledger_entries.c.kind, ledger_entries.c.commitment)
        .join(ledger_leaves, ledger_leaves.c.entry == ledger_entries.c.id)
        .where(ledger_leaves.c.position == position)
    )
    return (await session.execute(statement)).one_or_none()


async def witnessed(session: AsyncSession, service: str, ledgers: Ledgers) -> Published | None:
    """The newest checkpoint of one's own that another service cosigned, with those cosignatures that verify; None
    while there is none. What is in the tables is not trusted: each signature is checked against `ledgers`."""
    origin = ledgers.origin(service)
    others = {str(ledgers.origin(each)): each for each in ledgers.verifiers if each != service}
    columns = ledger_checkpoints.c
    cosigned = exists().where(
        cosignatures.c.origin == origin,
        cosignatures.c.size == columns.size,
        cosignatures.c.root == columns.root,
        cosignatures.c.witness.in_(others),
    )
    newest = select(ledger_checkpoints).where(cosigned).order_by(columns.number.desc()).limit(AT_MOST)
    for row in await session.execute(newest):
        try:
            checkpoint = ledgers.checkpoint(service, row.note)
        except (BadSignature, MalformedNote):
            continue
        found = await cosignatures_of(session, checkpoint.origin, checkpoint.size, checkpoint.root)
        good = [each for each in found if each.witness in others and _verifies(each, others, checkpoint, ledgers)]
        if good:
            return Published(row.published_at, checkpoint.size, checkpoint.root, row.note, good)
    return None


def _verifies(row: AnyRow, others: Mapping[str, str], checkpoint: Checkpoint, ledgers: Ledgers) -> bool:
    try:
        ledgers.cosignature(others[row.witness], checkpoint, row.line)
    except (BadSignature, MalformedNote):
        return False
    return True


async def inclusion(
    session: AsyncSession, tenants: Collection[str], position: int, size: int | None = None
) -> tuple[bytes, Published, list[bytes]]:
    """One's own entry's leaf hash, the checkpoint, and the proof from one to the other. Raises NotFound, for another
    tenant's leaf as for one that never was; ProofUnavailable where leaf and stored nodes do not lead to what was
    signed: such a proof would accuse a ledger that may be sound."""
    checkpoint = await published(session, size)
    leaf = await session.scalar(
        select(ledger_leaves.c.hash)
        .join(ledger_entries, ledger_entries.c.id == ledger_leaves.c.entry)
        .where(ledger_leaves.c.position == position, ledger_entries.c.tenant.in_(tenants))
    )
    if leaf is None or position >= checkpoint.size:
        raise NotFound
    nodes = await read_nodes(session, merkle.nodes_for_inclusion(position, checkpoint.size))
    try:
        proof = merkle.inclusion_proof(position, checkpoint.size, nodes)
    except KeyError:
        raise ProofUnavailable from None
    if not merkle.verify_inclusion(bytes(leaf), position, checkpoint.size, proof, checkpoint.root):
        raise ProofUnavailable
    return bytes(leaf), checkpoint, proof


async def consistency(
    session: AsyncSession, first: int | None = None, second: int | None = None
) -> tuple[Published, Published, list[bytes]]:
    """Two published checkpoints (the first and the last, where no sizes are given), and the proof that the later tree
    begins with the earlier. Raises NotFound; ProofUnavailable as `inclusion`."""
    earlier, later = await published(session, first, earliest=True), await published(session, second)
    if earlier.size > later.size:
        raise NotFound
    nodes = await read_nodes(session, merkle.nodes_for_consistency(earlier.size, later.size))
    try:
        proof = merkle.consistency_proof(earlier.size, later.size, nodes)
    except KeyError:
        raise ProofUnavailable from None
    if not merkle.verify_consistency(earlier.size, later.size, proof, earlier.root, later.root):
        raise ProofUnavailable
    return earlier, later, proof
