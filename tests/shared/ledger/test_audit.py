"""An audit computes every leaf anew from its row: what was changed, taken out or put in by hand is one alarm."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from amanat import ledger, looks
from amanat.categories import Agency, Category
from amanat.ledger import audit as auditing
from amanat.ledger.audit import Audited, erase
from amanat.principal import Principal
from amanat.tables import ledger_alarms

from .world import AT_REST, START, TENANT, Service, World, origin_of

POLICE = "police-link"
OTHER = "station-clifton"
CANARY = "zara-canary-8123"
TENANTS = (TENANT, OTHER)


async def _look(service: Service, number: int, tenant: str = TENANT) -> None:
    """So many looks with their entries, in one transaction."""
    who = Principal(Agency.POLICE_LINK, tenant, frozenset({"reader"}), frozenset(), CANARY, "client", "token")
    made = [
        looks.look(
            who, look_id=uuid4(), tenant=tenant, referral=f"P-{each}", refused=bytes(32), purpose="investigation",
            categories=[Category.INCIDENT], at=START, at_rest=AT_REST, randomness=os.urandom,
        )
        for each in range(number)
    ]  # fmt: skip
    async with service.database.transaction([tenant]) as session:
        await looks.record(session, made, found=True)


async def _history(world: World) -> Service:
    """Ten looks at one station, five at another, and entries that no row is of."""
    police = world[POLICE]
    await _look(police, 10)
    await police.append(6)
    await _look(police, 5, OTHER)
    await police.integrate()
    return police


async def _audit(service: Service, *, batch: int = 4, tenants: Collection[str] = TENANTS) -> Audited:
    origin = service.speaker.origin
    return await auditing.audit(service.database, [looks.LOOKS], AT_REST, origin, START, tenants=tenants, batch=batch)


async def _found(service: Service) -> list[tuple[str, str | None]]:
    """(kind, why) of every alarm that stands."""
    async with service.database.transaction(()) as session:
        rows = await session.execute(select(ledger_alarms).where(ledger_alarms.c.acknowledged_at.is_(None)))
        return [(row.kind, row.detail.get("why")) for row in rows]


async def _erase(service: Service, where: str) -> None:
    taken = bytes.fromhex(service.sql(f"SELECT encode(commitment, 'hex') FROM ledger_entries WHERE {where}").strip())
    async with service.database.transaction(TENANTS) as session:
        await erase(session, taken, AT_REST, os.urandom, START + timedelta(days=1))


@pytest.mark.parametrize("batch", [1, 4, 21, 1000])
async def test_a_ledger_that_nobody_touched_gives_no_alarm(world: World, batch: int) -> None:
    police = await _history(world)
    assert await _audit(police, batch=batch) == Audited(leaves=21, erased=0, alarms=0)
    assert await police.alarms() == []


async def test_an_empty_ledger_is_no_alarm(world: World) -> None:
    assert await _audit(world[POLICE]) == Audited(0, 0, 0)


FIRST = "(SELECT id FROM looks WHERE tenant = 'station-saddar' ORDER BY arrival LIMIT 1)"
FORGED = (
    "INSERT INTO looks (tenant, id, referral, subject, client, token_id, purpose, categories, at)"
    " SELECT tenant, '00000000-0000-4000-8000-000000000001', referral, subject, client, token_id, purpose, categories,"
    f" at FROM looks WHERE id = {FIRST}"
)
ENTERED = (
    "INSERT INTO ledger_entries (transaction, tenant, kind, subject, at, said, source, commitment, salt_sealed)"
    " SELECT {}, tenant, kind, subject, at, said, 'looks/00000000-0000-4000-8000-000000000001', commitment,"
    " salt_sealed FROM ledger_entries WHERE id = 1"
)
CHANGES = {
    "a column of a row": (f"UPDATE looks SET subject = 'x' WHERE id = {FIRST}", ("record_changed", "statement")),
    "a row's time by a microsecond": (
        f"UPDATE looks SET at = at + interval '1 microsecond' WHERE id = {FIRST}", ("record_changed", "statement"),
    ),
    "a row is gone": (f"DELETE FROM looks WHERE id = {FIRST}", ("record_changed", "row")),
    "what an entry says": (
        "UPDATE ledger_entries SET said = '{\"number\": 99}' WHERE subject = 'S-2'", ("record_changed", "statement"),
    ),
    "an entry's kind": ("UPDATE ledger_entries SET kind = 'x' WHERE id = 2", ("record_changed", "statement")),
    "an entry's subject": ("UPDATE ledger_entries SET subject = 'x' WHERE id = 2", ("record_changed", "statement")),
    "an entry's time": ("UPDATE ledger_entries SET at = now() WHERE id = 2", ("record_changed", "statement")),
    "an entry's tenant": ("UPDATE ledger_entries SET tenant = 'x' WHERE subject = 'S-2'",
                          ("record_changed", "statement")),
    "an entry's salt": (
        "UPDATE ledger_entries SET salt_sealed = (SELECT salt_sealed FROM ledger_entries WHERE id = 3) WHERE id = 2",
        ("record_changed", "salt"),
    ),
    "an entry's salt is gone and nobody says why": (
        "UPDATE ledger_entries SET salt_sealed = NULL WHERE id = 2", ("record_changed", "salt"),
    ),
    "an entry's hash": (
        "UPDATE ledger_entries SET commitment = sha256('x') WHERE id = 2", ("record_changed", "leaf"),
    ),
    "a leaf": ("UPDATE ledger_leaves SET hash = sha256('x') WHERE position = 2", ("record_changed", "leaf")),
    "an entry that no row is of is gone": ("DELETE FROM ledger_entries WHERE subject = 'S-2'", ("entry_missing", None)),
    "a row is put in": (FORGED, ("record_without_entry", None)),
    "a row is put in with an entry before the last leaf": (
        f"{FORGED}; {ENTERED.format(1)}", ("record_without_entry", None),
    ),
    "a row is put in with an entry behind all transactions": (
        f"{FORGED}; {ENTERED.format(2**60)}", ("record_without_entry", None),
    ),
    "a number that no document can bear": (
        "UPDATE ledger_entries SET said = '{\"number\": 99999999999999999999}' WHERE subject = 'S-2'",
        ("record_changed", "statement"),
    ),
    "a list where an object was": (
        "UPDATE ledger_entries SET said = '[1]' WHERE subject = 'S-2'", ("record_changed", "statement"),
    ),
    "a time that never comes": (
        "UPDATE ledger_entries SET at = 'infinity' WHERE subject = 'S-2'", ("record_changed", "statement"),
    ),
    "a tenant that would name another": (
        "UPDATE ledger_entries SET tenant = 'a,b' WHERE subject = 'S-2'", ("record_changed", "statement"),
    ),
    "a tenant without a name": (
        "UPDATE ledger_entries SET tenant = '' WHERE subject = 'S-2'", ("record_changed", "statement"),
    ),
    "a source that is no name": (
        "UPDATE ledger_entries SET source = 'looks/x' WHERE subject = 'S-2'", ("record_changed", "row"),
    ),
    "a source of another table": (
        "UPDATE ledger_entries SET source = 'x/00000000-0000-4000-8000-000000000001' WHERE subject = 'S-2'",
        ("record_changed", "row"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_each_change_by_hand_is_one_alarm_that_names_the_place_and_holds_no_content(
    world: World, what: str
) -> None:
    police = await _history(world)
    statements, expected = CHANGES[what]
    police.sql(*statements.split("; "))
    with capture_logs() as logs:
        assert (await _audit(police)).alarms == 1
        assert (await _audit(police)).alarms == 1
    assert await _found(police) == [expected]
    async with police.database.transaction(()) as session:
        row = (await session.execute(select(ledger_alarms))).one()
    assert row.origin == origin_of(POLICE)
    assert set(row.detail) <= {"position", "source", "kind", "why", "found"}
    assert [each["event"] for each in logs] == ["ledger_alarm"]
    assert CANARY not in json.dumps(logs) + json.dumps(row.detail)


async def test_an_entry_that_is_gone_and_its_row_without_it_are_both_told(world: World) -> None:
    police = await _history(world)
    police.sql("DELETE FROM ledger_entries WHERE id = 1")
    await _audit(police)
    assert sorted(await _found(police)) == [("entry_missing", None), ("record_without_entry", None)]


async def test_a_row_that_moved_to_another_tenant_is_gone_there_and_unexplained_here(world: World) -> None:
    police = await _history(world)
    police.sql(f"UPDATE looks SET tenant = '{OTHER}' WHERE id = {FIRST}")
    await _audit(police)
    assert sorted(await _found(police)) == [("record_changed", "row"), ("record_without_entry", None)]


async def test_an_organisation_that_left_the_directory_keeps_its_history(world: World) -> None:
    police = await _history(world)
    assert (await _audit(police, tenants=[TENANT])).alarms == 0


async def test_what_was_committed_but_not_yet_integrated_is_no_alarm(world: World) -> None:
    police = await _history(world)
    await _look(police, 3)
    assert await _audit(police) == Audited(leaves=21, erased=0, alarms=0)
    await police.integrate()
    assert await _audit(police) == Audited(leaves=24, erased=0, alarms=0)


async def test_an_audit_among_writers_and_the_sequencer_finds_nothing(world: World) -> None:
    police = await _history(world)
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await _look(police, 2)

    async def sequence() -> None:
        while not stop.is_set():
            await police.integrate()

    async def audits() -> list[Audited]:
        try:
            return [await _audit(police, batch=50) for _ in range(8)]
        finally:
            stop.set()

    passes, *_ = await asyncio.gather(audits(), write(), write(), sequence())
    assert [each.alarms for each in passes] == [0] * 8
    assert passes[-1].leaves > 21


async def test_an_erased_entry_is_counted_and_its_leaf_stands(world: World) -> None:
    police = await _history(world)
    await _erase(police, "id = 2")
    assert await _audit(police) == Audited(leaves=21, erased=1, alarms=0)
    await police.integrate()
    assert await _audit(police) == Audited(leaves=22, erased=1, alarms=0)
    assert police.sql("SELECT said->>'entry' = (SELECT encode(commitment, 'hex') FROM ledger_entries WHERE id = 2)"
                      " FROM ledger_entries WHERE kind = 'erased'").strip() == "t"  # fmt: skip


async def test_an_erasure_may_name_the_position(world: World) -> None:
    police = await _history(world)
    subject = police.sql("SELECT subject FROM ledger_entries WHERE id = 2").strip()
    statement = ledger.Statement(TENANT, "erased", subject, START, {"entry": 1})
    async with police.database.transaction([TENANT]) as session:
        await ledger.append(session, [ledger.entry(statement, AT_REST, os.urandom)])
    police.sql("UPDATE ledger_entries SET salt_sealed = NULL WHERE id = 2")
    assert await _audit(police) == Audited(leaves=21, erased=1, alarms=0)


async def test_what_is_not_there_or_erased_already_or_says_so_cannot_be_erased(world: World) -> None:
    police = await _history(world)
    await _erase(police, "id = 2")
    for where in ("id = 2", "kind = 'erased'"):
        with pytest.raises(LookupError):
            await _erase(police, where)
    async with police.database.transaction(TENANTS) as session:
        with pytest.raises(LookupError):
            await erase(session, bytes(32), AT_REST, os.urandom, START)


@pytest.mark.parametrize("salt", ["NULL", "salt_sealed"])
async def test_an_erasure_that_was_written_by_hand_explains_nothing(world: World, salt: str) -> None:
    police = await _history(world)
    police.sql(
        "INSERT INTO ledger_entries (transaction, tenant, kind, subject, at, said, commitment, salt_sealed)"
        " SELECT 1, tenant, 'erased', subject, at, jsonb_build_object('entry', encode(commitment, 'hex')), commitment,"
        f" {salt} FROM ledger_entries WHERE id = 2",
        "UPDATE ledger_entries SET salt_sealed = NULL WHERE id = 2",
    )
    await _audit(police)
    assert await _found(police) == [("record_changed", "salt")]


async def test_an_erasure_of_another_entry_explains_nothing(world: World) -> None:
    police = await _history(world)
    await _erase(police, "subject = 'S-1'")
    police.sql("UPDATE ledger_entries SET salt_sealed = NULL, subject = 'S-1' WHERE subject = 'S-2'")
    assert await _audit(police) == Audited(leaves=21, erased=1, alarms=1)


async def test_what_an_operator_acknowledged_comes_again_only_when_it_changes_again(world: World) -> None:
    police = await _history(world)
    police.sql(f"UPDATE looks SET subject = 'x' WHERE id = {FIRST}")
    await _audit(police)
    assert await police.acknowledge(POLICE) == 1
    assert (await _audit(police)).alarms == 1
    assert await police.alarms() == []
    police.sql(f"UPDATE looks SET subject = 'y' WHERE id = {FIRST}")
    await _audit(police)
    assert await police.alarms() == [("record_changed", POLICE)]


async def test_a_lost_key_is_a_hundred_alarms_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    police = await _history(world)
    monkeypatch.setattr(auditing, "MOST", 7)
    police.sql("UPDATE ledger_entries SET salt_sealed = sha256(salt_sealed)")
    assert await _audit(police) == Audited(leaves=21, erased=0, alarms=21)
    assert len(await police.alarms()) == 7
    await police.acknowledge(POLICE)
    await _audit(police)
    assert len(await police.alarms()) == 7
