"""What was asked, found and decided where the glass was broken stands as it was written: by the ledger, by privilege
and by row-level security, each alone; by each statement, in `test_joins_of_broken_glass`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from amanat.db import narrow
from amanat.ledger import tree
from amanat.ledger.audit import Audited, audit
from amanat_local.postgres import Postgres
from intake.service.sources import BREAK_GLASS, SOURCES

from .breaking import FULL, opened, reviewed, round_at
from .world import FORENSICS, KARACHI, LAHORE, POLICE, World

TABLES = (
    "emergencies",
    "emergency_reviews",
    "emergency_looks",
    "outside_disclosures",
    "outside_decisions",
    "outside_endings",
)
Sql = Callable[[str], str]


@pytest.fixture
async def broken(world: World, migrated: Callable[[str, str], Postgres]) -> tuple[World, Sql]:
    """A case with an emergency that was reviewed, and a disclosure of each end; integrated. And who may do anything."""
    case, _ = await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    assert (await reviewed(world, emergency)).status_code == 200
    until = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    await world.order(case, POLICE, "incident", secrecy={"reference": "Order 8", "review_at": until})
    duty = await world.order(case, FORENSICS, "examination", basis="statutory_duty")
    assert (await world.end_order(case, duty)).status_code == 200
    refused = (await world.ask(case, FORENSICS, "incident")).json()["disclosure"]
    path, body = f"/v1/cases/{case}/disclosures/{refused}/refusal", {"reason": "no such order"}
    assert (await world.as_person("superintendent", "POST", path, body)).status_code == 200
    await world.ask(case, FORENSICS, "incident")
    await round_at(world, datetime.now(UTC) + timedelta(days=8))
    await tree.integrate(world.gate)
    postgres = migrated("intake", "intake")
    return world, lambda statement: postgres.sql("intake", statement)


async def audited(world: World) -> Audited:
    return await audit(world.gate, SOURCES, world.instruments.at_rest, "amanat.test/intake", datetime.now(UTC), batch=7)


async def test_untouched_it_gives_no_alarm_and_every_table_is_gone_over(broken: tuple[World, Sql]) -> None:
    world, sql = broken
    entries = int(sql("SELECT count(*) FROM ledger_entries"))
    named = set(sql("SELECT DISTINCT split_part(source, '/', 1) FROM ledger_entries").split())
    assert {source.table.name for source in BREAK_GLASS} <= named
    kinds = set(sql("SELECT DISTINCT kind FROM ledger_entries").split())
    assert kinds >= {
        "emergency_opened", "emergency_reviewed", "disclosure_asked", "disclosure_approved", "disclosure_refused",
        "disclosure_lapsed", "disclosure_ended",
    }  # fmt: skip
    assert await audited(world) == Audited(leaves=entries, erased=0, alarms=0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE emergencies SET subject = 'x'",
        "UPDATE emergencies SET open_until = open_until + interval '1 day'",
        "UPDATE emergencies SET clinician_cell = 'arcc-karachi'",
        "UPDATE emergencies SET reason_sealed = set_byte(reason_sealed, 20, get_byte(reason_sealed, 20) # 1)",
        "UPDATE emergency_reviews SET finding = 'not_justified'",
        "UPDATE outside_disclosures SET unit = 'x' WHERE secret_until IS NOT NULL",
        "UPDATE outside_disclosures SET secret_until = secret_until + interval '9 days' WHERE secret_until IS NOT NULL",
        "UPDATE outside_disclosures SET roles = '{}' WHERE secret_until IS NOT NULL",
        "UPDATE outside_decisions SET subject = 'x' WHERE decision = 'refused'",
        "UPDATE outside_endings SET subject = 'x'",
        "UPDATE outside_decisions SET decided_at = now() WHERE decision = 'lapsed'",
        "INSERT INTO emergencies (id, tenant, case_code, clinician_cell, subject, client, token_id, unit, found_by,"
        " reason_sealed, opened_at, open_until, review_due_at) SELECT gen_random_uuid(), tenant, case_code,"
        " clinician_cell, 'x', client, token_id, unit, found_by, reason_sealed, opened_at, open_until, review_due_at"
        " FROM emergencies",
    ],
)
async def test_each_change_by_hand_is_one_alarm(broken: tuple[World, Sql], statement: str) -> None:
    world, sql = broken
    sql(statement)
    assert (await audited(world)).alarms == 1


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", ["UPDATE {} SET tenant = tenant", "DELETE FROM {}", "TRUNCATE {}"])
async def test_neither_process_rewrites_it(broken: tuple[World, Sql], table: str, change: str) -> None:
    world, _ = broken
    for database in (world.main, world.gate):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.transaction((KARACHI, LAHORE)) as session:
                await session.execute(text(change.format(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE emergencies SET overdue_noted_at = now()",
        "UPDATE emergencies SET open_until = now()",
        "UPDATE outside_disclosures SET secret_until = now()",
        "UPDATE outside_disclosures SET secrecy_ended_noted_at = now()",
    ],
)
async def test_main_notes_nothing_for_the_gate_and_prolongs_nothing(broken: tuple[World, Sql], statement: str) -> None:
    world, _ = broken
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with world.main.transaction((KARACHI,)) as session:
            await session.execute(text(statement))


async def counted(world: World, *tenants: str) -> dict[str, int]:
    async with world.main.transaction(tenants) as session:
        return {
            table: (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
            for table in (*TABLES, "cases", "records", "looks", "timeline")
        }


async def test_row_level_security_keeps_to_the_tenants_and_shows_a_clinicians_cell_its_emergency_alone(
    broken: tuple[World, Sql],
) -> None:
    world, _ = broken
    assert set((await counted(world)).values()) == {0}
    assert {name for name, number in (await counted(world, LAHORE)).items() if number} == {
        "emergencies", "emergency_reviews",
    }  # fmt: skip
    assert 0 not in (await counted(world, KARACHI)).values()


async def test_a_clinicians_cell_writes_no_emergency_and_no_review_into_another(broken: tuple[World, Sql]) -> None:
    world, _ = broken
    [emergency] = await world.rows("SELECT * FROM emergencies")
    [review] = await world.rows("SELECT * FROM emergency_reviews")
    for table, row in (("emergencies", emergency), ("emergency_reviews", review)):
        columns = ", ".join(name for name in row._mapping if name != "id")
        copied = f"SELECT gen_random_uuid(), {columns} FROM {table}"
        with pytest.raises(ProgrammingError, match="row-level security"):
            async with world.main.transaction((LAHORE,)) as session:
                await session.execute(text(f"INSERT INTO {table} (id, {columns}) {copied}"))


async def test_a_transaction_that_narrows_sees_no_more_from_then_on(broken: tuple[World, Sql]) -> None:
    world, _ = broken
    async with world.main.transaction((KARACHI, LAHORE)) as session:
        assert (await session.execute(text("SELECT count(*) FROM cases"))).scalar_one() == 1
        await narrow(session, {LAHORE})
        assert (await session.execute(text("SELECT count(*) FROM cases"))).scalar_one() == 0
        with pytest.raises(ValueError, match="without a comma"):
            await narrow(session, {f"{KARACHI},{LAHORE}"})
