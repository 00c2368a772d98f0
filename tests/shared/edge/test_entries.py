"""Ledger entries: a commitment says nothing by itself, and proves exactly its statement to who holds the salt."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from amanat import ledger
from amanat.at_rest import AtRest
from amanat.db import Database
from amanat.looks import LOOKS
from amanat.sealing import Unopenable
from amanat_local.postgres import Postgres

AT_REST = AtRest({0: bytes(32)})
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
STATEMENT = ledger.Statement("station-saddar", "look", "P-1", AT, {"b": "ز", "a": 1}, "looks/1", {"c": [None, "d"]})


def test_a_commitment_is_an_rfc_9162_leaf_hash_of_salt_and_canonical_json() -> None:
    master = b"s" * 32
    leaf = b"\x00" + hmac.digest(master, b"entry", "sha256") + (
        b'{"at":"2026-03-01T09:30:00.000000+00:00","content":{"c":[null,"d"]},"kind":"look",'
        b'"said":{"a":1,"b":"\xd8\xb2"},"source":"looks/1","subject":"P-1","tenant":"station-saddar"}'
    )  # fmt: skip
    assert ledger.commitment(STATEMENT.document(), master) == hashlib.sha256(leaf).digest()


def test_the_same_statement_twice_gives_two_commitments() -> None:
    first, second = (ledger.entry(STATEMENT, AT_REST, os.urandom) for _ in range(2))
    assert first.commitment != second.commitment


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "station-clifton"},
        {"kind": "lock"},
        {"subject": "P-2"},
        {"at": AT.replace(microsecond=1)},
        {"said": {}},
        {"source": None},
        {"content": None},
    ],
)
def test_an_entry_proves_nothing_else(change: dict[str, Any]) -> None:
    salt = b"s" * 32
    committed = ledger.commitment(STATEMENT.document(), salt)
    assert ledger.proves(STATEMENT.document(), salt, committed)
    assert not ledger.proves(replace(STATEMENT, **change).document(), salt, committed)
    assert not ledger.proves(STATEMENT.document(), b"t" * 32, committed)


def test_a_salt_opens_only_in_its_own_row() -> None:
    made = ledger.entry(STATEMENT, AT_REST, os.urandom)
    salt = ledger.open_salt(made.commitment, made.salt_sealed, AT_REST)
    assert ledger.proves(STATEMENT.document(), salt, made.commitment)
    with pytest.raises(Unopenable):
        ledger.open_salt(b"\x00" * 32, made.salt_sealed, AT_REST)


def test_a_row_that_changed_or_was_sealed_for_another_place_no_longer_gives_its_content() -> None:
    row_id = UUID(int=7)
    source = ledger.Source(LOOKS.table, ("tenant", "at", "categories"), sealed=("refused",))
    sealed = AT_REST.seal(b"told once", **source.at("refused", row_id, "t"))
    row = {"id": row_id, "tenant": "t", "at": AT, "categories": ["incident"], "refused": sealed}
    content = source.content(row, {"refused": b"told once"})
    assert source.open(row, AT_REST) == content
    assert source.name(row_id) == f"looks/{row_id}"
    assert source.open({**row, "categories": []}, AT_REST) != content
    with pytest.raises(Unopenable):
        source.open({**row, "id": UUID(int=8)}, AT_REST)
    with pytest.raises(Unopenable):
        source.open({**row, "tenant": "another"}, AT_REST)


async def test_entries_are_appended_in_their_transaction(database: Database, edge_postgres: Postgres) -> None:
    statements = [replace(STATEMENT, subject=subject) for subject in ("C-1", "C-2")]
    async with database.transaction(["station-saddar"]) as session:
        await ledger.append(session, [ledger.entry(each, AT_REST, os.urandom) for each in statements])
        await ledger.append(session, [])
    query = "SELECT subject, at = '2026-03-01 09:30Z', said->>'b', source FROM ledger_entries ORDER BY id"
    assert edge_postgres.sql("edge", query).split() == ["C-1|t|ز|looks/1", "C-2|t|ز|looks/1"]
