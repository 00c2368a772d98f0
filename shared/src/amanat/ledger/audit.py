"""An audit: every leaf computed anew from the row that it is of, every such row asked for its entry, and every stored
node computed anew from the leaves.

Checkpoints and witnesses hold the leaves; this holds what the leaves commit to. An alarm names an entry's place, its
kind and its row, never what stands there. `why` a record counts as changed:

| why | what was found |
|---|---|
| `leaf` | the entry shows another hash than its leaf |
| `salt` | the entry's salt does not open; or it is gone, and no entry says that it was erased |
| `row` | the row that the entry names is gone |
| `sealed` | the row is there, and what is sealed in it does not open |
| `statement` | row or entry say something else; `found` is the leaf that they would make now, under the same salt |

A finding that an operator acknowledged is not raised again; another change of the same row is another finding. Stored
nodes can be mended: as long as they are wrong, each pass says so.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow, Database
from amanat.ledger import alarms, nodes
from amanat.ledger.entries import Seals, Statement, commitment, enter, open_salt, proves
from amanat.ledger.parts import Parted
from amanat.ledger.reading import ERASED, Read, last_position, read, table_and_id, without_entry
from amanat.ledger.sources import Source
from amanat.sealing import Unopenable
from amanat.tables import ledger_alarms, ledger_entries

MOST = 100
"""Alarms that one pass raises: a key file that lost its key must not fill the table. The rest is counted."""
TURN_S = 0.005
# What reading a row may raise that somebody wrote by hand: a number out of range, a list for an object, no time at all.
_UNREADABLE = (Unopenable, ValueError, TypeError, OverflowError)
_Finding = tuple[str, dict[str, JsonValue]]
"""An alarm's kind and its detail."""


@dataclass(frozen=True)
class Audited:
    """One pass: the leaves gone over, those of them that were erased, and what was found wrong, acknowledged or not."""

    leaves: int
    erased: int
    alarms: int


async def audit(
    database: Database,
    sources: Sequence[Source],
    at_rest: Seals,
    origin: str,
    now: datetime,
    *,
    tenants: Collection[str] = (),
    batch: int = 1000,
) -> Audited:
    """Goes over all leaves that are integrated as it begins (chasing a ledger that grows as fast would never end), then
    over the rows of all sources; raises alarms on the service's own ledger.

    `tenants` are those whose rows row-level security must be asked for; none where the role sees all. Takes the event
    loop for some milliseconds at a time, and half of it at most. Raises the database's errors.
    """
    findings, compared = _Findings(database, origin, now), nodes.Compared()
    turns, by_table = _Turns(), {each.table.name: each for each in sources}
    leaves, erased, after = 0, 0, -1
    upto = await last_position(database)
    while after < upto:
        step = await read(database, by_table, tenants, after, upto, batch)
        if not step.leaves:
            break
        after = step.leaves[-1].position
        wrong = []
        for leaf in step.leaves:
            await turns.rest()
            if (found := _judged(leaf, step, by_table, at_rest)) is not None:
                wrong.append(found)
            elif leaf.salt_sealed is None:
                erased += 1
        await findings.tell(wrong)
        await turns.rest()
        await compared.over(database, step.leaves)
        leaves += len(step.leaves)
    for source in sources:
        names = await without_entry(database, source, tenants)
        await findings.tell([("record_without_entry", {"source": name}) for name in names])
    damage = await compared.found(database)
    if damage is not None:
        await alarms.raise_alarm(database, origin, alarms.TREE_DAMAGED, damage, now)
    return Audited(leaves, erased, findings.number + (damage is not None))


async def erase(
    session: AsyncSession,
    row_commitment: bytes,
    at_rest: Seals,
    randomness: Callable[[int], bytes],
    now: datetime,
) -> None:
    """Takes an entry's salt away, so that its leaf stands and says nothing, and enters that this was done.

    The session is the background role's, for the entry's tenant. Raises LookupError: no such entry, one that is erased
    already, or one that itself says that another was erased.
    """
    columns = ledger_entries.c
    taken = (
        await session.execute(
            update(ledger_entries)
            .where(columns.commitment == row_commitment, columns.salt_sealed.is_not(None), columns.kind != ERASED)
            .values(salt_sealed=None)
            .returning(columns.tenant, columns.subject)
        )
    ).all()
    if not taken:
        raise LookupError("no entry that could be erased")
    said: dict[str, JsonValue] = {"entry": row_commitment.hex()}
    statements = [Statement(tenant, ERASED, subject, now, said) for tenant, subject in taken]
    await enter(session, statements, at_rest, randomness)


class _Changed(Exception):
    """`found` is the leaf that row and entry would make now, where that can be said."""

    def __init__(self, why: str, found: bytes | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.found = found


def _judged(leaf: AnyRow, step: Read, sources: Mapping[str, Source], at_rest: Seals) -> _Finding | None:
    if leaf.entry is None:
        return "entry_missing", {"position": leaf.position}
    try:
        _check(leaf, step, sources, at_rest)
    except _Changed as changed:
        detail = {"position": leaf.position, "source": leaf.source, "kind": leaf.kind, "why": changed.why}
        return "record_changed", detail | ({} if changed.found is None else {"found": changed.found.hex()})
    return None


def _check(leaf: AnyRow, step: Read, sources: Mapping[str, Source], at_rest: Seals) -> None:
    """Raises _Changed."""
    if bytes(leaf.hash) != bytes(leaf.commitment):
        raise _Changed("leaf")
    if leaf.salt_sealed is None:
        if not _was_erased(leaf, step, at_rest):
            raise _Changed("salt")
        return
    try:
        master = open_salt(bytes(leaf.commitment), bytes(leaf.salt_sealed), at_rest)
    except Unopenable:
        raise _Changed("salt") from None
    content = _content(leaf, step, sources, at_rest)
    try:
        document = _document(leaf, content, master)
    except _UNREADABLE:
        raise _Changed("statement") from None
    if not proves(document, master, bytes(leaf.commitment)):
        raise _Changed("statement", commitment(document, master))


def _content(leaf: AnyRow, step: Read, sources: Mapping[str, Source], at_rest: Seals) -> JsonValue | Parted:
    """What the named row holds now, None if none is named. Raises _Changed."""
    if leaf.source is None:
        return None
    row = step.rows.get((leaf.tenant, leaf.source))
    if row is None:
        raise _Changed("row")
    try:
        return sources[table_and_id(leaf.source)[0]].open(row, at_rest)
    except _UNREADABLE:
        raise _Changed("sealed") from None


def _was_erased(leaf: AnyRow, step: Read, at_rest: Seals) -> bool:
    """Whether an entry says so that is itself what was committed to: who can only write rows cannot make one."""
    names = (bytes(leaf.commitment).hex(), leaf.position)
    for saying in step.erasures.get((leaf.tenant, leaf.subject), ()):
        try:
            master = open_salt(bytes(saying.commitment), bytes(saying.salt_sealed), at_rest)
            is_of_it = leaf.kind != ERASED and dict(saying.said).get("entry") in names
            if is_of_it and proves(_document(saying, None, master), master, bytes(saying.commitment)):
                return True
        except _UNREADABLE:
            continue
    return False


def _document(row: AnyRow, content: JsonValue | Parted, master: bytes) -> bytes:
    return Statement(row.tenant, row.kind, row.subject, row.at, row.said, row.source, content).document(master)


class _Findings:
    """Raises what a pass finds, each finding once."""

    def __init__(self, database: Database, origin: str, now: datetime) -> None:
        self._database, self._origin, self._now = database, origin, now
        self._understood: set[tuple[str, str]] | None = None
        self._raised = 0
        self.number = 0

    async def tell(self, wrong: Sequence[_Finding]) -> None:
        """In one transaction; in none when nothing is wrong."""
        self.number += len(wrong)
        if not wrong or self._raised >= MOST:
            return
        async with self._database.transaction(()) as session:
            if self._understood is None:
                self._understood = await self._acknowledged(session)
            new = [found for found in wrong if (found[0], _spelt(found[1])) not in self._understood]
            for kind, detail in new[: MOST - self._raised]:
                await alarms.add(session, self._origin, kind, detail, self._now)
                self._raised += 1

    async def _acknowledged(self, session: AsyncSession) -> set[tuple[str, str]]:
        columns = ledger_alarms.c
        of_this = select(columns.kind, columns.detail).where(
            columns.origin == self._origin, columns.acknowledged_at.is_not(None)
        )
        return {(row.kind, _spelt(row.detail)) for row in await session.execute(of_this)}


def _spelt(detail: Mapping[str, JsonValue]) -> str:
    return json.dumps(detail, sort_keys=True)


class _Turns:
    """Gives the event loop as much time as was taken, every few milliseconds."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def rest(self) -> None:
        took = time.monotonic() - self._since
        if took >= TURN_S:
            # Waiting for the database counts as well: a pass is not in a hurry.
            await asyncio.sleep(min(took, 10 * TURN_S))
            self._since = time.monotonic()
