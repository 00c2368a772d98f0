"""Two guards around every cell's rows, each enough alone: the statement's own tenant join, and row-level security."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from amanat.db import Database
from intake.repository import cases as case_repository
from intake.repository import consents as consent_repository

from .world import KARACHI, LAHORE, POLICE, World, consent

OF_A_CELL = (
    "cases", "case_index", "records", "consent_events", "referrals", "shares", "keys", "kits", "custody_halves",
    "custody_matches", "clocks", "timeline", "leases", "outbox", "looks", "ledger_entries", "idempotency",
    "agency_looks", "bundles",
)  # fmt: skip


async def _denied(database: Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.transaction((KARACHI, LAHORE)) as session:
            await session.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT wrap FROM keys",
        "SELECT * FROM keys",
        "UPDATE keys SET wrap = ''",
        "SELECT * FROM request_secrets",
        "SELECT sealed FROM request_secrets",
        "UPDATE request_secrets SET sealed = ''",
        "DELETE FROM request_secrets",
        "INSERT INTO leases (id) VALUES (gen_random_uuid())",
        "UPDATE leases SET accounted_at = now()",
        "INSERT INTO agency_looks SELECT * FROM agency_looks",
        "SELECT * FROM restorations",
        "SELECT * FROM inbox",
        "SELECT * FROM parked",
    ],
)
async def test_main_can_seal_and_destroy_but_never_lease_or_unwrap(world: World, statement: str) -> None:
    await _denied(world.main, statement)


@pytest.mark.parametrize(
    "table",
    ["records", "consent_events", "timeline", "looks", "agency_looks", "ledger_entries", "custody_halves", "bundles"],
)
@pytest.mark.parametrize("change", ["UPDATE {} SET tenant = tenant", "DELETE FROM {}", "TRUNCATE {}"])
async def test_history_is_appended_to_by_both_processes_and_changed_by_none(
    world: World, table: str, change: str
) -> None:
    await _denied(world.main, change.format(table))
    await _denied(world.gate, change.format(table))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE referrals SET organisation = ''",
        "UPDATE referrals SET agency = ''",
        "UPDATE cases SET tenant = ''",
        "UPDATE shares SET epoch = 9",
        "UPDATE outbox SET body = ''",
        "ALTER TABLE cases DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON cases",
        "SET ROLE intake_migrator",
    ],
)
async def test_neither_process_rewrites_what_a_message_or_a_policy_rests_on(world: World, statement: str) -> None:
    for database in (world.main, world.gate):
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            async with database.transaction((KARACHI,)) as session:
                await session.execute(text(statement))


async def test_row_level_security_fails_closed_and_keeps_to_the_tenants_that_are_set(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000001"})
    await world.get(f"/v1/cases/{case}")
    for tenants, sees in (((), False), ((LAHORE,), False), ((KARACHI,), True)):
        async with world.main.transaction(tenants) as session:
            for table in OF_A_CELL:
                found = (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
                filled = table not in {"custody_halves", "custody_matches", "leases", "agency_looks", "bundles"}
                assert bool(found) == (sees and filled), (table, tenants)


async def test_row_level_security_is_forced_on_every_table_with_a_tenant(world: World) -> None:
    rows = await world.rows(
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant'"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND NOT (relrowsecurity AND relforcerowsecurity)"
    )
    assert rows == []


async def test_with_the_tenant_join_removed_row_level_security_still_blocks(world: World) -> None:
    case, _ = await world.open_case()
    async with world.main.transaction((LAHORE,)) as session:
        # Asked as if it were Karachi's: the statement's own join would let it through.
        assert await case_repository.lock_case(session, [KARACHI], case) is None
        assert await case_repository.tenant_of(session, world.gate_access, [KARACHI], case) is None
        statement = case_repository.case_statement(world.gate_access, [KARACHI], case)
        assert (await session.execute(statement)).all() == []
        assert await consent_repository.read_events(session, world.gate_access, KARACHI, case) == []


async def test_with_row_level_security_open_the_tenant_join_still_blocks(world: World) -> None:
    """The gate's role crosses tenants by policy: only the joins stand in the way."""
    case, _ = await world.open_case()
    async with world.gate.transaction(()) as session:
        access = world.gate_access
        assert await case_repository.lock_case(session, [LAHORE], case) is None
        assert await case_repository.tenant_of(session, access, [LAHORE], case) is None
        assert (await session.execute(case_repository.case_statement(access, [LAHORE], case))).all() == []
        assert await case_repository.current_records(session, access, LAHORE, case) == []
        assert await consent_repository.read_events(session, access, LAHORE, case) == []
        assert await consent_repository.lock_referrals(session, LAHORE, case) == []
        assert await case_repository.tenant_of(session, access, [KARACHI], case) == KARACHI


async def test_no_cell_writes_into_anothers(world: World) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with world.main.transaction((LAHORE,)) as session:
            await session.execute(
                text("INSERT INTO cases (code, tenant, opened_at) VALUES ('C-1', :t, now())"), {"t": KARACHI}
            )
