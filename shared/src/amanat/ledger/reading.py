"""What an audit reads: leaves with their entries and the rows that these name, and rows that no entry names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, Text, cast, exists, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow, Database
from amanat.ledger.sources import Source
from amanat.tables import ledger_entries, ledger_leaves

ERASED = "erased"
"""The kind of the entry that says that another one was erased: {"entry": its commitment in hex, or its position}."""
LISTED = 1000
"""Rows without an entry that are told of one table at once."""
_ENTRY = ("tenant", "kind", "subject", "at", "said", "source", "commitment", "salt_sealed")


@dataclass(frozen=True)
class Read:
    """One batch: leaves, each with its entry's columns (`entry` is None where it is gone), the rows that entries name,
    by (tenant, source), and the entries that say that one was erased, by the (tenant, subject) that they share."""

    leaves: Sequence[AnyRow]
    rows: Mapping[tuple[str, str], Mapping[str, Any]]
    erasures: Mapping[tuple[str, str], Sequence[AnyRow]]


async def last_position(database: Database) -> int:
    """The newest leaf's, -1 without one."""
    async with database.transaction(()) as session:
        last = await session.scalar(select(func.max(ledger_leaves.c.position)))
        return -1 if last is None else int(last)


async def read(
    database: Database, sources: Mapping[str, Source], tenants: Collection[str], after: int, upto: int, batch: int
) -> Read:
    """The leaves behind position `after`, as far as `upto`; `sources` by table. Two short transactions."""
    async with database.transaction(()) as session:
        leaves = (await session.execute(_leaves(after, upto, batch))).all()
    present = [leaf for leaf in leaves if leaf.entry is not None]
    theirs = {leaf.tenant for leaf in present}
    # An organisation that has left the directory keeps its history.
    visible = {*tenants, *(each for each in theirs if each and "," not in each)}
    async with database.transaction(visible) as session:
        rows = await rows_named(session, sources, theirs, [leaf.source for leaf in present])
        erased = {(leaf.tenant, leaf.subject) for leaf in present if leaf.salt_sealed is None}
        return Read(leaves, rows, await _erasures(session, erased) if erased else {})


async def without_entry(database: Database, source: Source, tenants: Collection[str]) -> list[str]:
    """Names of rows that no entry names: the first thousand."""
    async with database.transaction(tenants) as session:
        return [source.name(row_id) for row_id in await session.scalars(_without_entry(source))]


def table_and_id(source: str | None) -> tuple[str, UUID | None]:
    """What an entry's `source` names; an id of None names no row."""
    table, _, row_id = (source or "").partition("/")
    try:
        return table, UUID(row_id)
    except ValueError:
        return table, None


def _leaves(after: int, upto: int, batch: int) -> Select[Any]:
    return (
        select(
            ledger_leaves.c.position,
            ledger_leaves.c.hash,
            ledger_entries.c.id.label("entry"),
            *(ledger_entries.c[name] for name in _ENTRY),
        )
        .join_from(ledger_leaves, ledger_entries, ledger_entries.c.id == ledger_leaves.c.entry, isouter=True)
        .where(ledger_leaves.c.position > after, ledger_leaves.c.position <= upto)
        .order_by(ledger_leaves.c.position)
        .limit(batch)
    )


async def rows_named(
    session: AsyncSession, sources: Mapping[str, Source], tenants: Collection[str], names: Collection[str | None]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The rows of these tenants that entries name as their `source`, by (tenant, source); `sources` by table."""
    ids: dict[str, list[UUID]] = {}
    for table, row_id in map(table_and_id, names):
        if table in sources and row_id is not None:
            ids.setdefault(table, []).append(row_id)
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for table, wanted in ids.items():
        source = sources[table]
        rows = await session.execute(source.rows(wanted).where(source.table.c.tenant.in_(tenants)))
        found.update({(row["tenant"], source.name(row["id"])): row for row in rows.mappings()})
    return found


async def _erasures(
    session: AsyncSession, of: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[AnyRow]]:
    columns = ledger_entries.c
    saying = select(*(columns[name] for name in _ENTRY)).where(
        columns.kind == ERASED, columns.salt_sealed.is_not(None), tuple_(columns.tenant, columns.subject).in_(of)
    )
    found: dict[tuple[str, str], list[AnyRow]] = {}
    for row in await session.execute(saying):
        found.setdefault((row.tenant, row.subject), []).append(row)
    return found


def _without_entry(source: Source) -> Select[Any]:
    # One statement: it sees row and entry of a transaction together, or neither of them. An entry counts that is in the
    # tree or will be: one that was put before the last leaf, or behind all transactions there ever were, gets no leaf,
    # and nobody would look at what it says.
    entries, rows = ledger_entries.c, source.table.c
    last = (
        select(entries.transaction, entries.id)
        .join_from(ledger_leaves, ledger_entries, entries.id == ledger_leaves.c.entry)
        .order_by(ledger_leaves.c.position.desc())
        .limit(1)
        .cte("last")
    )
    after = tuple_(
        func.coalesce(select(last.c.transaction).scalar_subquery(), 0),
        func.coalesce(select(last.c.id).scalar_subquery(), 0),
    )
    begun = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), BigInteger)
    waits = (tuple_(entries.transaction, entries.id) > after) & (entries.transaction < begun)
    naming = (
        select(literal(1))
        .join_from(ledger_entries, ledger_leaves, entries.id == ledger_leaves.c.entry, isouter=True)
        .where(
            entries.tenant == rows.tenant,
            entries.source == literal(f"{source.table.name}/").concat(cast(rows.id, Text)),
            or_(ledger_leaves.c.entry.is_not(None), waits),
        )
    )
    return select(rows.id).where(~exists(naming.correlate(source.table))).order_by(rows.id).limit(LISTED)
