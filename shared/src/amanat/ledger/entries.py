"""Append-only rows of what must not be rewritten: custody, consent, looks, attestations, transitions, destroyed keys.

A row is written in the transaction of what it tells of. It shows a salted commitment, which is an RFC 9162 leaf of the
service's Merkle tree. The salt comes from a master (`amanat.ledger.parts`) that is sealed under the service's own
at-rest key, so that a leaf proves an entry to whom the entry is shown and tells nothing to anybody else. An entry that
lost its master is erased: its leaf stands, and says nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import JsonValue
from sqlalchemy import ARRAY, LargeBinary, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from amanat import canonical
from amanat.ledger.parts import Parted, entry_salt
from amanat.merkle import leaf_hash
from amanat.tables import Instant

SALT_BYTES = 32
TABLE, COLUMN = "ledger_entries", "salt_sealed"
PADDING = "padding"
"""A kind that nothing bears yet: reserved for entries that hide how many there are."""
_COLUMNS: Mapping[str, TypeEngine[Any]] = {
    "tenant": Text(),
    "kind": Text(),
    "subject": Text(),
    "at": Instant,
    "said": Text(),
    "source": Text(),
    "commitment": LargeBinary(),
    "salt_sealed": LargeBinary(),
}
# One statement for all of a transaction's entries: row by row they take half as long again.
_ADD = text(
    "INSERT INTO ledger_entries (tenant, kind, subject, at, said, source, commitment, salt_sealed)"
    " SELECT tenant, kind, subject, at, CAST(said AS jsonb), source, commitment, salt_sealed"
    " FROM unnest(:tenant, :kind, :subject, :at, :said, :source, :commitment, :salt_sealed) WITH ORDINALITY"
    " AS new (tenant, kind, subject, at, said, source, commitment, salt_sealed, number) ORDER BY number"
).bindparams(*(bindparam(name, type_=ARRAY(column)) for name, column in _COLUMNS.items()))


class Seals(Protocol):
    """What an entry needs of `amanat.at_rest.AtRest`."""

    def seal(self, plaintext: bytes, *, table: str, row: str, column: str) -> bytes: ...

    def open(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes: ...


@dataclass(frozen=True)
class Statement:
    """What one entry says: at which organisation or cell (`tenant`), of what kind, of what (`subject`: a code, a serial
    or the hex of an HMAC), when, and what.

    `said` stands in clear and is operational. `content` is the row that `source` ("table/id") names, which may hold
    what is personal: it is committed to and is not kept here, so that a changed row no longer matches its leaf.
    Content in parts is committed to part by part, so that some can be shown without the others.
    """

    tenant: str
    kind: str
    subject: str
    at: datetime
    said: Mapping[str, JsonValue] = field(default_factory=dict)
    source: str | None = None
    content: JsonValue | Parted = None

    def told(self, master: bytes | None = None) -> dict[str, JsonValue]:
        """What is committed to. Raises ValueError for content in parts without the entry's master."""
        content = self.content
        if isinstance(content, Parted):
            if master is None:
                raise ValueError("content in parts is committed to under the entry's master")
            content = content.committed(master)
        return {
            "tenant": self.tenant,
            "kind": self.kind,
            "subject": self.subject,
            "at": instant(self.at),
            "said": dict(self.said),
            "source": self.source,
            "content": content,
        }

    def document(self, master: bytes | None = None) -> bytes:
        """The same as canonical JSON (RFC 8785)."""
        return canonical.dumps(self.told(master))


@dataclass(frozen=True)
class Entry:
    """A statement's row in `ledger_entries`."""

    tenant: str
    kind: str
    subject: str
    at: datetime
    said: Mapping[str, JsonValue]
    source: str | None
    commitment: bytes
    salt_sealed: bytes


def instant(at: datetime) -> str:
    """A time as documents write it: UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def commitment(document: bytes, master: bytes) -> bytes:
    """32 bytes, what the ledger shows of an entry: the RFC 9162 leaf hash of the leaf's salt and the document."""
    return leaf_hash(entry_salt(master) + document)


def entry(statement: Statement, at_rest: Seals, randomness: Callable[[int], bytes]) -> Entry:
    """The row of a statement, under a fresh master."""
    master = randomness(SALT_BYTES)
    committed = commitment(statement.document(master), master)
    return Entry(
        tenant=statement.tenant,
        kind=statement.kind,
        subject=statement.subject,
        at=statement.at,
        said=dict(statement.said),
        source=statement.source,
        commitment=committed,
        salt_sealed=at_rest.seal(master, table=TABLE, row=committed.hex(), column=COLUMN),
    )


def open_salt(row_commitment: bytes, salt_sealed: bytes, at_rest: Seals) -> bytes:
    """The master of a row's salts, for an audit or a bundle that proves the entry. Raises amanat.sealing.Unopenable."""
    return at_rest.open(salt_sealed, table=TABLE, row=row_commitment.hex(), column=COLUMN)


def proves(document: bytes, master: bytes, row_commitment: bytes) -> bool:
    """Whether this document is what was committed to."""
    return hmac.compare_digest(commitment(document, master), row_commitment)


async def append(session: AsyncSession, entries: Iterable[Entry]) -> None:
    """Adds the entries in the caller's transaction, in their order. Last in the lock order."""
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for each in entries:
        for name, values in columns.items():
            value = getattr(each, name)
            values.append(json.dumps(dict(value)) if name == "said" else value)
    if columns["commitment"]:
        await session.execute(_ADD, columns)


async def enter(
    session: AsyncSession, statements: Iterable[Statement], at_rest: Seals, randomness: Callable[[int], bytes]
) -> None:
    """Makes the statements' entries and appends them."""
    await append(session, [entry(each, at_rest, randomness) for each in statements])
