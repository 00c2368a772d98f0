"""The cell's requests, and the gate's taking of facts, interrupted wherever they wait: each is then sent again, as its
client or Kafka does, and is there once, whole. (Looks may be there more than once.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from counting import Count
from stepping import How, Process, sweep

from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged
from amanat.contracts.records import Acknowledgement, Fir
from amanat.groupcommit import GroupCommit, Writing
from amanat_local.postgres import Postgres
from intake.repository import opening
from intake.repository.changes import KEY_FENCE

from .world import FORENSICS, LEGAL, POLICE, World, consent

pytestmark = pytest.mark.fault
REPEATED = {"looks", "ledger_entries", "leases", "lease_keys"}
"""There may be more of these after a request that was sent again; never fewer."""
SHARED = (consent(POLICE, "identity", "incident"), consent(LEGAL, "identity"), consent(FORENSICS, "incident"))


@dataclass(frozen=True)
class Rows:
    """The rows of every table, as superuser."""

    connection: asyncpg.Connection

    async def counted(self) -> dict[str, int]:
        tables = [
            row[0] for row in await self.connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        asked = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables)
        return dict(await self.connection.fetch(asked))

    async def grown(self, before: Mapping[str, int]) -> dict[str, int]:
        """By how much each table grew."""
        return {table: more for table, rows in (await self.counted()).items() if (more := rows - before[table])}


@pytest.fixture
async def rows(migrated: Callable[[str, str], Postgres]) -> Any:
    connection = await asyncpg.connect(migrated("intake", "intake").admin_url("intake").replace("+asyncpg", ""))
    yield Rows(connection)
    await connection.close()


Act = Callable[[int], Coroutine[Any, Any, Any]]


async def swept(rows: Rows, act: Act, how: How, process: Process, *, prepare: Act | None = None) -> int:
    """Interrupts `act(n)` at its nth suspension, then does it again: it must add what an undisturbed one adds."""
    before: dict[str, int] = {}

    async def prepared(number: int) -> None:
        if prepare is not None:
            await prepare(number)
        before.update(await rows.counted())

    await prepared(0)
    await act(0)
    usual = await rows.grown(before)
    assert usual, "an act that leaves nothing cannot be lost"

    async def judge(number: int) -> None:
        await act(number)
        found = await rows.grown(before)
        for table in found.keys() | usual.keys():
            there, wanted = found.get(table, 0), usual.get(table, 0)
            assert there == wanted or (table in REPEATED and there > wanted), (how, number, table, there, wanted)

    return await sweep(act, judge, how, process, prepare=prepared)


@pytest.fixture
def process(world: World) -> Process:
    """Intake's `main`."""
    return Process((world.main_app.state.desk.database,))


def counted(count: Count, how: How, points: int, least: int) -> None:
    assert points >= least
    count(f"suspension points where something was {how}", points)


class Inline(GroupCommit):
    """Flushes where the request itself waits, so that it is interrupted there."""

    async def commit(self, writing: Writing) -> bool:
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((writing, told))
        await self._flush()
        return await told


class Never(GroupCommit):
    """Everybody goes alone."""

    async def commit(self, writing: Writing) -> bool:
        return False


@pytest.mark.parametrize(("way", "least"), [(Inline, 8), (Never, 15)])
@pytest.mark.parametrize("how", How)
async def test_a_case_is_opened_once_wherever_its_request_is_interrupted(
    world: World, rows: Rows, process: Process, how: How, count: Count, way: type[GroupCommit], least: int
) -> None:
    state = world.main_app.state
    usual = state.desk

    async def act(number: int) -> None:
        person = {"full_name": "Invented Person", "birth_date": "1990-01-01"}
        body = {"person": person, "incident": {"history": "invented"}, "consents": list(SHARED)}
        answer = await world.post("/v1/cases", body, key=f"case-{how}-{number}")
        assert answer.status_code == 201, answer.text

    state.desk = replace(usual, group=way(usual.database, opening.COLUMNS, fence=KEY_FENCE))
    try:
        counted(count, how, await swept(rows, act, how, process), least)
    finally:
        state.desk = usual


@pytest.mark.parametrize("how", How)
async def test_a_consent_is_given_once_wherever_its_request_is_interrupted(
    world: World, rows: Rows, process: Process, how: How, count: Count
) -> None:
    cases: dict[int, str] = {}

    async def prepare(number: int) -> None:
        cases[number], _ = await world.open_case()

    async def act(number: int) -> None:
        path = f"/v1/cases/{cases[number]}/consents"
        answer = await world.post(path, consent(POLICE, "incident"), key=f"consent-{how}-{number}")
        assert answer.status_code == 201, answer.text

    counted(count, how, await swept(rows, act, how, process, prepare=prepare), 15)


@pytest.mark.parametrize("how", How)
async def test_a_withdrawal_is_done_once_wherever_its_request_is_interrupted(
    world: World, rows: Rows, process: Process, how: How, count: Count
) -> None:
    given: dict[int, tuple[str, str]] = {}

    async def prepare(number: int) -> None:
        case, _ = await world.open_case(*SHARED)
        given[number] = case, await world.consent_of(case, POLICE)

    async def act(number: int) -> None:
        answer = await world.withdraw(*given[number])
        assert answer.status_code == 200, answer.text

    counted(count, how, await swept(rows, act, how, process, prepare=prepare), 12)


@pytest.mark.parametrize("how", How)
async def test_a_case_is_read_with_its_look_wherever_its_reading_is_interrupted(
    world: World, rows: Rows, process: Process, how: How, count: Count
) -> None:
    case, _ = await world.open_case(*SHARED)

    async def act(number: int) -> None:
        assert (await world.get(f"/v1/cases/{case}")).status_code == 200

    counted(count, how, await swept(rows, act, how, process), 8)


@pytest.mark.parametrize("how", How)
async def test_a_kit_is_opened_and_its_release_attested_once_wherever_they_are_interrupted(
    world: World, rows: Rows, process: Process, how: How, count: Count
) -> None:
    cases: dict[int, str] = {}
    half = {"counterpart": {"agency": "police-link", "organisation": "station-saddar"}, "seal_intact": True}

    async def prepare(number: int) -> None:
        cases[number], _ = await world.open_case(*SHARED)

    async def act(number: int) -> None:
        barcode, key = f"SAK-{how}-{number}", f"kit-{how}-{number}"
        opened = await world.post(f"/v1/cases/{cases[number]}/kits", {"barcode": barcode}, key=key)
        assert opened.status_code == 201, opened.text
        released = await world.post(f"/v1/kits/{barcode}/release", half, key=f"release-{how}-{number}")
        assert released.status_code == 201, released.text

    counted(count, how, await swept(rows, act, how, process, prepare=prepare), 25)


@pytest.mark.parametrize("how", How)
async def test_facts_take_effect_once_wherever_the_gate_is_interrupted(
    world: World, rows: Rows, how: How, count: Count
) -> None:
    batches: dict[int, list[Any]] = {}

    async def prepare(number: int) -> None:
        _, codes = await world.open_case(*SHARED, consent(LEGAL, "investigation"))
        code, now = codes[POLICE], datetime.now(UTC)
        batches[number] = [
            world.sealed(POLICE, ReferralAcknowledged(referral=code, at=now, record=Acknowledgement(diary_number="1"))),
            world.sealed(POLICE, FirRegistered(referral=code, record=Fir(fir_number="1/2026"))),
        ]

    async def act(number: int) -> None:
        await world.inbox.process(batches[number])
        assert await world.parked() == []

    points = await swept(rows, act, how, Process((world.gate,)), prepare=prepare)
    counted(count, how, points, 15)
