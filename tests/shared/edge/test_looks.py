"""A look is on record before the answer, and a code that is not yours is recorded like one that never was."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Select, Table, Text, event, select, text
from sqlalchemy.exc import DBAPIError

from amanat import ledger, looks
from amanat.at_rest import AtRest, Macs
from amanat.categories import Agency, Category
from amanat.db import Database
from amanat.looks import LOOKS, Look
from amanat.principal import Principal
from amanat.tables import ledger_entries
from amanat_local.postgres import Postgres

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
AT_REST = AtRest({0: bytes(32)})
MACS = Macs(b"m" * 32)
OFFICER = Principal(
    agency=Agency.POLICE_LINK,
    organisation="station-saddar",
    roles=frozenset({"police_officer"}),
    cells=frozenset(),
    subject="station-saddar.officer",
    client="desk",
    token_id="t-1",
)
things = Table("things", MetaData(), Column("tenant", Text), Column("code", Text), Column("told", Text))


def a_look(code: str, *, leased: bool = False) -> Look:
    return looks.look(
        OFFICER,
        look_id=uuid.uuid4(),
        tenant="station-saddar",
        referral=code,
        refused=MACS.refusal(code),
        purpose="investigation",
        categories=[Category.INCIDENT, Category.IDENTITY],
        at=NOW,
        at_rest=AT_REST,
        randomness=os.urandom,
        leased=leased,
    )


def of(code: str) -> Select[Any]:
    return (
        select(things.c.code, things.c.told)
        .where(things.c.tenant == "station-saddar", things.c.code == code)
        .order_by(things.c.code)
    )


async def ask(database: Database, code: str) -> list[tuple[str, str]]:
    rows = await looks.fetch(database, tenants=["station-saddar"], look=a_look(code), statement=of(code))
    return [tuple(row) for row in rows]


@pytest.fixture(autouse=True)
def _two_referrals(database: Database, edge_postgres: Postgres) -> None:
    edge_postgres.sql(
        "edge",
        "INSERT INTO things VALUES ('station-saddar', 'P-MINE', 'told'), ('station-clifton', 'P-THEIRS', 'told')",
    )


async def test_what_is_found_comes_back_with_its_look_on_record(database: Database, edge_postgres: Postgres) -> None:
    assert await ask(database, "P-MINE") == [("P-MINE", "told")]
    columns = "tenant, referral, refused IS NULL, subject, client, token_id, purpose, categories"
    assert edge_postgres.sql("edge", f"SELECT {columns} FROM looks").strip() == (
        "station-saddar|P-MINE|t|station-saddar.officer|desk|t-1|investigation|{identity,incident}"
    )
    assert edge_postgres.sql("edge", "SELECT at AT TIME ZONE 'UTC' FROM looks").strip() == "2026-03-01 09:30:00"


async def test_a_foreign_and_an_unknown_code_write_the_same_refusal(
    database: Database, edge_postgres: Postgres
) -> None:
    assert await ask(database, "P-THEIRS") == []
    assert await ask(database, "P-NEVER") == []
    rows = edge_postgres.sql("edge", "SELECT * FROM looks").strip().splitlines()
    shapes = []
    for row, code in zip(rows, ("P-THEIRS", "P-NEVER"), strict=True):
        assert code not in row
        assert MACS.refusal(code).hex() in row
        cells = row.split("|")
        shapes.append([cells[0], *(str(len(cell)) for cell in cells[3:5]), *cells[5:]])
    assert shapes[0] == shapes[1]
    assert shapes[0][2] == "66"  # \x and an HMAC, no code


async def test_found_foreign_and_unknown_cost_the_same_statements(database: Database) -> None:
    counts = []
    for code in ("P-MINE", "P-THEIRS", "P-NEVER"):
        statements: list[str] = []

        def note(*arguments: Any, seen: list[str] = statements) -> None:
            seen.append(arguments[2])

        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        await ask(database, code)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        counts.append(statements)
    assert counts[0] == counts[1] == counts[2]
    assert len([statement for statement in counts[0] if "things" in statement]) == 1


async def test_the_ledger_entry_fits_what_happened_and_proves_it(database: Database, edge_postgres: Postgres) -> None:
    found, missing = a_look("P-MINE"), a_look("P-NEVER")
    for look, code in ((found, "P-MINE"), (missing, "P-NEVER")):
        await looks.fetch(database, tenants=["station-saddar"], look=look, statement=of(code))
    async with database.transaction(["station-saddar"]) as session:
        entries = (await session.execute(select(ledger_entries).order_by(ledger_entries.c.id))).all()
        rows = {row.id: row for row in await session.execute(LOOKS.rows([found.id, missing.id]))}
    refused = MACS.refusal("P-NEVER").hex()
    assert [(entry.kind, entry.subject) for entry in entries] == [("look", "P-MINE"), ("look_refused", refused)]
    for entry, look in zip(entries, (found, missing), strict=True):
        assert entry.source == f"looks/{look.id}"
        content = LOOKS.open(rows[look.id]._mapping, AT_REST)
        told = ledger.Statement(entry.tenant, entry.kind, entry.subject, entry.at, entry.said, entry.source, content)
        salt = ledger.open_salt(entry.commitment, entry.salt_sealed, AT_REST)
        assert ledger.proves(told.document(), salt, entry.commitment)
        other = replace(told, content={**content, "subject": "another"})
        assert not ledger.proves(other.document(), salt, entry.commitment)


async def test_to_find_nothing_with_keys_in_hand_is_a_look_at_nothing_and_its_entry_says_so(database: Database) -> None:
    look = a_look("P-COMING", leased=True)
    assert await looks.fetch(database, tenants=["station-saddar"], look=look, statement=of("P-COMING")) == []
    async with database.transaction(["station-saddar"]) as session:
        [entry] = (await session.execute(select(ledger_entries))).all()
        [row] = (await session.execute(LOOKS.rows([look.id]))).all()
    assert (row.referral, row.refused, row.categories) == ("P-COMING", None, [])
    assert (entry.kind, entry.subject) == ("look", "P-COMING")
    content = LOOKS.open(row._mapping, AT_REST)
    told = ledger.Statement(entry.tenant, entry.kind, entry.subject, entry.at, entry.said, entry.source, content)
    salt = ledger.open_salt(entry.commitment, entry.salt_sealed, AT_REST)
    assert ledger.proves(told.document(), salt, entry.commitment)


async def test_several_rows_are_one_look(database: Database, edge_postgres: Postgres) -> None:
    edge_postgres.sql("edge", "INSERT INTO things VALUES ('station-saddar', 'P-MORE', 'more')")
    statement = select(things.c.code).where(things.c.tenant == "station-saddar").order_by(things.c.code.desc())
    rows = await looks.fetch(database, tenants=["station-saddar"], look=a_look("P-MINE"), statement=statement)
    assert [row.code for row in rows] == ["P-MORE", "P-MINE"]
    assert edge_postgres.sql("edge", "SELECT count(*) FROM looks").strip() == "1"


async def test_when_the_look_cannot_be_recorded_nothing_is_returned(
    database: Database, edge_postgres: Postgres
) -> None:
    look = a_look("P-MINE")
    await looks.fetch(database, tenants=["station-saddar"], look=look, statement=of("P-MINE"))
    with pytest.raises(DBAPIError):  # the same look id again
        await looks.fetch(database, tenants=["station-saddar"], look=look, statement=of("P-MINE"))
    assert edge_postgres.sql("edge", "SELECT count(*) FROM ledger_entries").strip() == "1"


async def test_a_look_for_a_tenant_that_is_not_the_askers_is_refused_by_the_database(database: Database) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        await looks.fetch(database, tenants=["station-clifton"], look=a_look("P-MINE"), statement=of("P-MINE"))


async def test_a_look_once_recorded_cannot_be_changed_or_deleted(database: Database) -> None:
    await ask(database, "P-MINE")
    for statement in ("UPDATE looks SET purpose = ''", "DELETE FROM looks", "DELETE FROM ledger_entries"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.transaction(["station-saddar"]) as session:
                await session.execute(text(statement))
