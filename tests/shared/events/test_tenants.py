"""Row-level security and privileges, on the tables that every service has."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import Connection, Executable, Table, Uuid, delete, func, insert, inspect, select, text, update
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from amanat.db import Database
from amanat.schema import tenant_table
from amanat.schema.v1 import create_platform
from amanat.tables import agency_metadata, idempotency, ledger_entries, looks, metadata, outbox, tombstones
from amanat_local.postgres import Postgres

from .making import CLIFTON, NOW, P1, SADDAR, kit, say

TOPIC = "facts.police-link"


async def count(database: Database, table: Table, *tenants: str) -> int:
    async with database.transaction(tenants) as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def look(database: Database, tenant: str) -> None:
    async with database.transaction([tenant]) as session:
        await session.execute(
            insert(looks).values(
                tenant=tenant,
                id=uuid4(),
                referral=P1,
                subject="s",
                client="c",
                token_id="t",
                purpose="investigation",
                categories=["incident"],
                at=NOW,
            )
        )


async def test_without_a_tenant_nothing_is_seen(api: Database) -> None:
    await look(api, SADDAR)
    assert await count(api, looks, SADDAR) == 1
    assert await count(api, looks) == 0


async def test_a_setting_that_was_never_made_shows_nothing(api: Database) -> None:
    await look(api, SADDAR)
    async with api.engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_setting('amanat.tenants', true)")) in {None, ""}
        assert await connection.scalar(select(func.count()).select_from(looks)) == 0


async def test_a_setting_does_not_outlive_its_transaction(cluster: Postgres, api: Database) -> None:
    await look(api, SADDAR)
    one = Database(cluster.url("police_link_api", "police_link"), pool_size=1, application_name="test")
    assert await count(one, looks, SADDAR) == 1
    async with one.engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(looks)) == 0
    await one.dispose()


async def test_a_tenant_sees_its_own_rows_alone_and_a_union_sees_both(api: Database) -> None:
    await look(api, SADDAR)
    await look(api, CLIFTON)
    assert await count(api, looks, SADDAR) == 1
    assert await count(api, looks, "station-model-town") == 0
    assert await count(api, looks, SADDAR, CLIFTON) == 2


@pytest.mark.parametrize("forged", [f"{SADDAR},{CLIFTON}", ",", "", f"x,{SADDAR}"])
async def test_a_name_that_would_add_a_tenant_is_refused(api: Database, forged: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        async with api.transaction([forged]):
            pass


@pytest.mark.parametrize("forged", [f"{{{SADDAR}}}", f"{SADDAR}' OR true --", "%", f" {SADDAR}", SADDAR.upper()])
async def test_a_name_that_only_resembles_a_tenant_sees_nothing(api: Database, forged: str) -> None:
    await look(api, SADDAR)
    assert await count(api, looks, forged) == 0


async def test_a_row_of_another_tenant_cannot_be_written(api: Database) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with api.transaction([SADDAR]) as session:
            await say(session, TOPIC, kit(P1), tenant=CLIFTON)


async def test_a_conflict_with_a_hidden_row_tells_nothing(api: Database) -> None:
    async def once(tenant: str) -> None:
        async with api.transaction([tenant]) as session:
            await session.execute(
                insert(idempotency).values(tenant=tenant, client="c", key="k", body_hmac=b"", created_at=NOW)
            )

    await once(SADDAR)
    await once(CLIFTON)


@pytest.mark.parametrize("table", [looks, ledger_entries], ids=lambda table: table.name)
@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize("change", ["UPDATE", "DELETE", "TRUNCATE"])
async def test_looks_and_ledger_cannot_be_changed_or_deleted(
    request: pytest.FixtureRequest, cluster: Postgres, table: Table, role: str, change: str
) -> None:
    database = Database(cluster.url(f"police_link_{role}", "police_link"), application_name="test")
    statements: dict[str, Executable] = {
        "UPDATE": update(table).values(tenant=CLIFTON),
        "DELETE": delete(table),
        "TRUNCATE": text(f"TRUNCATE {table.name}"),
    }
    try:
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.transaction([SADDAR]) as session:
                await session.execute(statements[change])
    finally:
        await database.dispose()


@pytest.mark.parametrize("table", [looks, ledger_entries], ids=lambda table: table.name)
@pytest.mark.parametrize("change", ["UPDATE", "DELETE"])
async def test_the_gate_cannot_change_them_either(gate: Database, table: Table, change: str) -> None:
    statement: Executable = update(table).values(tenant="x") if change == "UPDATE" else delete(table)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with gate.transaction([]) as session:
            await session.execute(statement)


@pytest.mark.parametrize("name", ["inbox", "parked", "relay_lease"])
async def test_the_http_process_has_no_way_to_what_arrives(api: Database, name: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with api.transaction([SADDAR]) as session:
            await session.execute(text(f"SELECT 1 FROM {name}"))


async def test_the_http_process_neither_publishes_nor_rewrites_an_event(api: Database) -> None:
    for values in ({"published_at": NOW}, {"body": b""}, {"topic": "disclosures.police-link"}):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with api.transaction([SADDAR]) as session:
                await session.execute(update(outbox).values(values))


async def test_a_worker_crosses_tenants_on_outbox_and_tombstones_alone(worker: Database, api: Database) -> None:
    await look(api, SADDAR)
    async with api.transaction([SADDAR]) as session:
        await say(session, TOPIC, kit(P1))
    async with worker.transaction([SADDAR]) as session:
        await session.execute(
            insert(tombstones).values(
                tenant=SADDAR,
                referral=P1,
                category="incident",
                epoch=1,
                consent_version=2,
                withdrawn_at=NOW,
                applied_at=NOW,
            )
        )
    assert await count(worker, outbox) == 1
    assert await count(worker, tombstones) == 1
    assert await count(worker, looks) == 0


async def test_the_gate_crosses_tenants(gate: Database) -> None:
    await look(gate, "arcc-karachi")
    assert await count(gate, looks) == 1


async def test_every_table_forces_row_level_security(cluster: Postgres) -> None:
    for db in ("police_link", "intake"):
        bare = cluster.sql(
            db,
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity)",
        )
        assert bare.strip() == ""


async def test_no_role_bypasses_row_level_security(cluster: Postgres) -> None:
    found = cluster.sql(
        "police_link", "SELECT rolname FROM pg_roles WHERE (rolbypassrls OR rolsuper) AND rolname <> 'postgres'"
    )
    assert found.strip() == ""


async def test_the_owner_itself_sees_no_row(cluster: Postgres, api: Database) -> None:
    await look(api, SADDAR)
    owner = Database(cluster.url("police_link_migrator", "police_link"), application_name="test")
    assert await count(owner, looks, SADDAR) == 0
    await owner.dispose()


async def test_statements_see_the_tables_as_they_are(cluster: Postgres) -> None:
    engine = create_async_engine(cluster.admin_url("police_link"))
    async with engine.connect() as connection:
        for table in (*map(metadata.tables.get, PLATFORM), *map(agency_metadata.tables.get, AGENCY)):
            assert table is not None
            found, key = await connection.run_sync(_described, table.name)
            real = {column["name"]: (_kind(column["type"]), column["nullable"]) for column in found}
            assert real == {c.name: (_kind(c.type), bool(c.nullable)) for c in table.columns}, table.name
            assert key == [c.name for c in table.primary_key.columns], table.name
    await engine.dispose()


# By name: services add tables of their own to both when they are imported in the same run.
PLATFORM = ("outbox", "inbox", "parked", "idempotency", "looks", "ledger_entries", "relay_lease")
AGENCY = ("referrals", "disclosures", "tombstones", "kits", "own_records", "untold_looks")


def _described(connection: Connection, table: str) -> tuple[list[ReflectedColumn], list[str]]:
    found = inspect(connection)
    return found.get_columns(table), found.get_pk_constraint(table)["constrained_columns"]


def _kind(type_: object) -> str:
    return "UUID" if isinstance(type_, Uuid) else str(type_).replace("DATETIME", "TIMESTAMP").replace("BLOB", "BYTEA")


def test_a_background_role_that_is_not_the_databases_is_refused() -> None:
    with pytest.raises(ValueError, match="gate"):
        create_platform(Nothing(), "intake", "worker")


@pytest.mark.parametrize("name", ["looks; DROP TABLE looks", "Looks", ""])
def test_a_name_that_is_no_name_does_not_become_sql(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        tenant_table(Nothing(), name, "police_link", "SELECT", "SELECT")


class Nothing:
    def execute(self, sqltext: str, /) -> None:
        del sqltext
