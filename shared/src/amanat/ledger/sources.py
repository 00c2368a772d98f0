"""Rows that entries commit to. The same description writes an entry's content and reads it again for an audit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Select, Table, select

from amanat import canonical
from amanat.ledger.entries import Seals, Statement, instant
from amanat.ledger.parts import WHOLE, Parted

Opened = Mapping[str, bytes | None]
"""Sealed columns in the plain, by name."""


class Place(TypedDict):
    """Where a sealed value stands, as `amanat.at_rest.AtRest` takes it."""

    table: str
    row: str
    column: str


@dataclass(frozen=True)
class Source:
    """A table of append-only rows with a column `id`.

    `columns` are committed to as they stand; `sealed` ones as what they hold, so that sealing them anew under another
    key changes nothing. With `parts`, which makes named parts of a row's opened columns, what is sealed is committed to
    part by part (`amanat.ledger.parts`); it raises ValueError for what it cannot part. `hidden` columns tell something
    of what is sealed, and are committed to with the whole of it. `bound` columns say whose a row is and of what: what
    is sealed opens there alone, so that nobody reads it by putting the row under another organisation or case.
    """

    table: Table
    columns: tuple[str, ...]
    sealed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    parts: Callable[[Mapping[str, Any], Opened], Mapping[str, JsonValue]] | None = None
    bound: tuple[str, ...] = ("tenant",)

    def at(self, column: str, row_id: UUID, *whose: object) -> Place:
        """Where a sealed column of a row stands; `whose` are the values of the bound columns, in their order."""
        named = {"id": str(row_id), **dict(zip(self.bound, map(str, whose), strict=True))}
        return {"table": self.table.name, "row": canonical.dumps(named).decode(), "column": column}

    def name(self, row_id: UUID) -> str:
        """How an entry names a row."""
        return f"{self.table.name}/{row_id}"

    def content(self, row: Mapping[str, Any], opened: Opened | None = None) -> JsonValue | Parted:
        """What an entry commits to: the row's columns, and its sealed columns opened (UTF-8)."""
        columns: dict[str, JsonValue] = {name: as_json(row[name]) for name in self.columns}
        held: dict[str, JsonValue] = {name: as_json(row[name]) for name in self.hidden}
        for name in self.sealed:
            plaintext = (opened or {})[name]
            held[name] = None if plaintext is None else plaintext.decode()
        if self.parts is None:
            return {**columns, **held}
        return Parted(columns, {**self.parts(row, opened or {}), WHOLE: held})

    def statement(
        self,
        kind: str,
        subject: str,
        at: datetime,
        row: Mapping[str, Any],
        opened: Opened | None = None,
        **said: JsonValue,
    ) -> Statement:
        """What an entry says of a row that is written just now, in the row's own tenant."""
        source, content = self.name(row["id"]), self.content(row, opened)
        return Statement(row["tenant"], kind, subject, at, said, source, content)

    def open(self, row: Mapping[str, Any], at_rest: Seals) -> JsonValue | Parted:
        """The same content from the row as it stands in the table. Raises amanat.sealing.Unopenable, ValueError."""
        opened = {
            name: None
            if row[name] is None
            else at_rest.open(row[name], **self.at(name, row["id"], *(row[each] for each in self.bound)))
            for name in self.sealed
        }
        return self.content(row, opened)

    def rows(self, ids: Collection[UUID]) -> Select[Any]:
        """The statement that fetches these rows."""
        names = dict.fromkeys(("id", "tenant", *self.columns, *self.hidden, *self.sealed))
        return select(*(self.table.c[name] for name in names)).where(self.table.c.id.in_(ids))


def as_json(value: Any) -> JsonValue:
    """A column's value in one JSON spelling. Raises TypeError for a type that no source has."""
    if value is None or isinstance(value, str | int):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    raise TypeError(f"a column of type {type(value).__name__} has no canonical form")
