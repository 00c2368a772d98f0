"""Everything at once on the same cases: no circle of waits, no fault, and what stands afterwards fits together."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from amanat.contracts.police_link import FirRegistered
from amanat.contracts.records import RECORDS
from intake.service import rotation
from intake.service.sweeps import sweep

from .world import FORENSICS, LEGAL, POLICE, World, consent

ORDER = ("idempotency", "inbox", "cases", "referrals", "keys", "outbox", "ledger_entries")
WRITES = re.compile(r"(?:UPDATE|INSERT INTO|DELETE FROM) (\w+)")
HOLDS = re.compile(r"FROM (\w+) .*FOR (?:UPDATE|SHARE)")
FIR = RECORDS["fir"](fir_number="1")


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _locks(engine: Any) -> Iterator[list[str]]:
    """The tables whose rows the engine's statements lock, in their order."""
    taken: list[str] = []

    def note(*args: Any) -> None:
        statement = re.sub(r"\s+", " ", args[2])
        if statement.upper().startswith("WITH"):
            return
        taken.extend(HOLDS.findall(statement) or WRITES.findall(statement))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield taken
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


def _in_order(taken: list[str]) -> None:
    """Each table's first lock comes after the first locks of all before it. (Opening a case locks no row: nobody else
    can wait for one that is not there yet.)"""
    first = [taken.index(table) for table in ORDER if table in taken]
    assert first == sorted(first), taken


async def test_locks_are_taken_in_the_one_order(world: World) -> None:
    main = world.main_app.state.desk.database.engine
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "investigation"))
    hers = await world.consent_of(case, POLICE)
    with _locks(main) as amending:
        await world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"place": "a place"}})
    with _locks(main) as giving:
        await world.post(f"/v1/cases/{case}/consents", consent(FORENSICS, "incident"))
    with _locks(main) as withdrawing:
        await world.withdraw(case, hers, "incident")
    with _locks(world.gate.engine) as reporting:
        await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    with _locks(world.gate.engine) as sweeping:
        await sweep(world.gate, world.gate_access, datetime(2090, 1, 1, tzinfo=UTC), world.instruments)
    for taken in (amending, giving, withdrawing, reporting, sweeping):
        assert {"cases", "referrals"} <= set(taken), taken
        _in_order(taken)
    assert set(ORDER) - {"inbox"} <= set(amending)
    assert withdrawing[0] == "cases"
    assert "keys" in withdrawing
    assert reporting[0] == "inbox"


async def test_a_storm_on_two_cases_ends_in_a_state_that_fits_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    opened = [
        await world.open_case(consent(POLICE, "identity", "incident", "investigation"), consent(LEGAL, "investigation"))
        for _ in range(2)
    ]
    [before] = await world.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")

    async def amend(case: str, number: int) -> int:
        body = {"kind": "incident", "record": {"place": f"place {number}"}}
        return (await world.post(f"/v1/cases/{case}/records", body)).status_code

    async def come_and_go(case: str, agency: Any) -> int:
        given = await world.post(f"/v1/cases/{case}/consents", consent(agency, "identity", "incident"))
        if given.status_code != 201:
            return given.status_code
        return (await world.withdraw(case, given.json()["consent"])).status_code

    async def report(referral: str) -> int:
        await world.fact(POLICE, FirRegistered(referral=referral, record=FIR))
        return 200

    async def lease(codes: list[str]) -> int:
        return (await world.lease(POLICE, *codes)).status_code

    async def sweeping() -> int:
        await sweep(world.gate, world.gate_access, _now(), world.instruments)
        return 200

    async def rotating() -> int:
        await rotation.rotate(world.gate, world.kek, world.public, world.instruments, now=_now)
        return 200

    codes = [referrals[POLICE] for _, referrals in opened]
    work = [rotating(), sweeping(), sweeping()]
    for case, referrals in opened:
        work += [amend(case, number) for number in range(3)]
        work += [come_and_go(case, agency) for agency in (POLICE, FORENSICS, LEGAL)]
        work += [report(referrals[POLICE]) for _ in range(2)]
        work += [lease(codes), lease(codes[::-1])]
    statuses = await asyncio.gather(*work)
    assert set(statuses) <= {200, 201, 409}, statuses
    [after] = await world.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert after.deadlocks == before.deadlocks
    await _fits_together(world)
    for _, referrals in opened:
        assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity", "incident"}
    assert await world.parked() == []


async def _fits_together(world: World) -> None:
    stray = await world.rows(
        "SELECT k.category FROM keys k LEFT JOIN shares s USING (tenant, referral, category, epoch)"
        " WHERE s.ended_at IS NOT NULL OR s.referral IS NULL"
    )
    assert stray == [], "a key outlives its share"
    unsent = await world.rows(
        "SELECT o.category FROM outbox o JOIN shares s ON (s.referral, s.category, s.epoch) ="
        " (o.referral, o.category, o.epoch) WHERE o.type LIKE '%category-disclosed%' AND s.ended_at IS NOT NULL"
        " AND o.published_at IS NULL AND o.cancelled_at IS NULL"
    )
    assert unsent == [], "an unpublished disclosure outlives its epoch"
    gaps = await world.rows("SELECT referral FROM outbox GROUP BY referral HAVING max(seq) <> count(*)")
    assert gaps == [], "a number was lost or doubled"
    counts = await world.rows(
        "SELECT r.code FROM referrals r LEFT JOIN outbox o ON o.referral = r.code"
        " GROUP BY r.code, r.next_seq HAVING r.next_seq <> count(o.id) + 1"
    )
    assert counts == []
