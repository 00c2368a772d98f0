"""Entries of a service's append-only ledger: a salted commitment in clear, the salt sealed at rest.

commitment = SHA-256(0x00 ‖ salt ‖ canonical JSON of {"content", "kind", "subject"}): with the salt before its entry it
is an RFC 9162 leaf hash, so the commitments are the leaves of the service's Merkle tree, 0x00 keeping leaves and
inner nodes apart. Canonical JSON is RFC 8785. Whoever holds the salt and the content can prove the entry; without the
salt a commitment says nothing, even of a content that could be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import rfc8785
from pydantic import JsonValue
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.tables import ledger_entries

SALT_BYTES = 32
LEAF = b"\x00"
TABLE, COLUMN = "ledger_entries", "salt_sealed"


class Seals(Protocol):
    """What an entry needs of `amanat.at_rest.AtRest`."""

    def seal(self, plaintext: bytes, *, table: str, row: str, column: str) -> bytes: ...

    def open(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes: ...


def commitment(kind: str, subject: str, content: JsonValue, salt: bytes) -> bytes:
    """32 bytes: what the ledger shows of an entry."""
    document: Any = {"content": content, "kind": kind, "subject": subject}
    return hashlib.sha256(LEAF + salt + rfc8785.dumps(document)).digest()


def entry(
    kind: str,
    subject: str,
    content: JsonValue,
    at_rest: Seals,
    randomness: Callable[[int], bytes],
    *,
    at: datetime | None = None,
) -> dict[str, Any]:
    """The columns of a `ledger_entries` row, all but the tenant.

    `subject` is a code or the hex of an HMAC, in clear; `content` may hold what is personal, it does not leave here.
    Without `at` the row gets the database's time at insertion.
    """
    salt = randomness(SALT_BYTES)
    committed = commitment(kind, subject, content, salt)
    values: dict[str, Any] = {
        "kind": kind,
        "subject": subject,
        "commitment": committed,
        "salt_sealed": at_rest.seal(salt, table=TABLE, row=committed.hex(), column=COLUMN),
    }
    return values if at is None else {**values, "at": at}


def open_salt(row_commitment: bytes, salt_sealed: bytes, at_rest: Seals) -> bytes:
    """The salt of a row, for a bundle that proves the entry. Raises amanat.sealing.Unopenable."""
    return at_rest.open(salt_sealed, table=TABLE, row=row_commitment.hex(), column=COLUMN)


def proves(kind: str, subject: str, content: JsonValue, salt: bytes, row_commitment: bytes) -> bool:
    """Whether this content is what was committed to."""
    return hmac.compare_digest(commitment(kind, subject, content, salt), row_commitment)


async def append(session: AsyncSession, tenant: str, entry: Mapping[str, Any]) -> None:
    """Adds the entry in the caller's transaction. Last in the lock order."""
    await session.execute(insert(ledger_entries).values({"at": func.now(), **entry, "tenant": tenant}))
