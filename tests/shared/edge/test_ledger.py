"""Ledger entries: a commitment says nothing by itself, and proves exactly its content to who holds the salt."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat import ledger
from amanat.at_rest import AtRest
from amanat.db import Database
from amanat.sealing import Unopenable
from amanat_local.postgres import Postgres

AT_REST = AtRest({0: bytes(32)})


def test_a_commitment_is_an_rfc_9162_leaf_hash_of_salt_and_canonical_json() -> None:
    salt = b"s" * 32
    leaf = b"\x00" + salt + b'{"content":{"a":1,"b":"\xd8\xb2"},"kind":"look","subject":"P-1"}'
    assert ledger.commitment("look", "P-1", {"b": "ز", "a": 1}, salt) == hashlib.sha256(leaf).digest()


def test_the_same_content_twice_gives_two_commitments() -> None:
    first, second = (ledger.entry("look", "P-1", {"a": 1}, AT_REST, os.urandom) for _ in range(2))
    assert first["commitment"] != second["commitment"]


@given(st.sampled_from(["kind", "subject", "content", "salt"]))
def test_an_entry_proves_nothing_else(changed: str) -> None:
    true = {"kind": "look", "subject": "P-1", "content": {"a": 1}, "salt": b"s" * 32}
    other = {"kind": "lock", "subject": "P-2", "content": {"a": 2}, "salt": b"t" * 32}
    committed = ledger.commitment(**true)  # type: ignore[arg-type]  # one mapping for four types
    assert ledger.proves(**true, row_commitment=committed)  # type: ignore[arg-type]
    assert not ledger.proves(**{**true, changed: other[changed]}, row_commitment=committed)  # type: ignore[arg-type]


def test_a_salt_opens_only_in_its_own_row() -> None:
    values = ledger.entry("look", "P-1", {}, AT_REST, os.urandom)
    salt = ledger.open_salt(values["commitment"], values["salt_sealed"], AT_REST)
    assert ledger.proves("look", "P-1", {}, salt, values["commitment"])
    with pytest.raises(Unopenable):
        ledger.open_salt(b"\x00" * 32, values["salt_sealed"], AT_REST)


async def test_an_entry_is_appended_with_its_own_time_or_the_databases(
    database: Database, edge_postgres: Postgres
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    async with database.transaction(["station-saddar"]) as session:
        timed = ledger.entry("consent_given", "C-1", {}, AT_REST, os.urandom, at=at)
        await ledger.append(session, "station-saddar", timed)
        await ledger.append(session, "station-saddar", ledger.entry("consent_given", "C-2", {}, AT_REST, os.urandom))
    query = "SELECT subject, at = '2026-03-01Z', now() - at < interval '1 minute' FROM ledger_entries ORDER BY id"
    assert edge_postgres.sql("edge", query).split() == ["C-1|t|f", "C-2|f|t"]
