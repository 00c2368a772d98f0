"""Facts of one batch on several cases, against those who want the same rows in the one order of locks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Category
from amanat.contracts.legal_aid import LawyerAssigned
from amanat.contracts.looks import LooksReported, LookTold
from amanat.contracts.police_link import FirRegistered
from amanat.contracts.records import RECORDS
from amanat.contracts.withdrawals import Tombstone, TombstonesReported
from amanat.received import Received
from intake.repository import cases, keys
from intake.service import restoring

from .world import HOME, KARACHI, LEGAL, POLICE, PURPOSES, World, consent

# Not pg_stat_activity, of which a transaction keeps what it saw first.
_BLOCKED = text("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")


class Opened(NamedTuple):
    case: str
    police: str
    legal: str


async def _two(world: World, fit: Callable[[Opened, Opened], bool]) -> tuple[Opened, Opened]:
    """Two cases whose codes, which chance gives, stand in this order."""
    opened: list[Opened] = []
    while True:
        for pair in permutations(opened, 2):
            if fit(*pair):
                return pair
        case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
        opened.append(Opened(case, referrals[POLICE], referrals[LEGAL]))


def _facts(world: World, first: Opened, second: Opened) -> list[Received]:
    """A batch in which what is reported of `first` takes effect before what is reported of `second`: its topic comes
    first."""
    counsel = LawyerAssigned(referral=first.legal, record=RECORDS["assignment"](counsel_name="Counsel"))
    return [
        world.sealed(POLICE, FirRegistered(referral=second.police, record=RECORDS["fir"](fir_number="1"))),
        world.sealed(LEGAL, counsel),
    ]


async def _lease(session: AsyncSession, referral: str) -> None:
    """What a lease locks."""
    assert await keys.lock_for_lease(session, POLICE, HOME[POLICE], PURPOSES[POLICE], referral)


async def _until_it_waits_for(session: AsyncSession, taking: asyncio.Task[None]) -> None:
    async with asyncio.timeout(10):
        while not (await session.execute(_BLOCKED)).all():
            assert not taking.done(), "the batch had nothing to wait for"
            await asyncio.sleep(0.01)


async def test_a_batch_and_a_lease_of_its_referrals_never_wait_for_each_other_in_a_circle(world: World) -> None:
    low, high = await _two(world, lambda low, high: low.police < high.police)
    async with world.gate.transaction(()) as leasing:
        await _lease(leasing, low.police)
        taking = asyncio.create_task(world.inbox.process(_facts(world, high, low)))
        await _until_it_waits_for(leasing, taking)
        await _lease(leasing, high.police)
    await taking
    for each, kind in ((low, "fir"), (high, "assignment")):
        assert kind in {record["kind"] for record in (await world.get(f"/v1/cases/{each.case}")).json()["records"]}
    assert await world.parked() == []


async def test_two_gates_batches_take_their_cases_in_one_order(world: World) -> None:
    low, high = await _two(world, lambda low, high: low.case < high.case)
    async with world.gate.transaction(()) as another:
        await cases.lock_case(another, [KARACHI], low.case)
        taking = asyncio.create_task(world.inbox.process(_facts(world, high, low)))
        await _until_it_waits_for(another, taking)
        await cases.lock_case(another, [KARACHI], high.case)
    await taking
    assert await world.parked() == []


async def test_a_report_of_all_tombstones_and_a_lease_never_wait_for_each_other_in_a_circle(world: World) -> None:
    first, second = await _two(world, lambda first, second: first.case < second.case and first.police > second.police)
    now = datetime.now(UTC)
    async with world.gate.transaction(()) as session:
        request = await restoring.close(session, now, world.instruments)
    tombstones = tuple(
        Tombstone(
            referral=each.police, organisation=HOME[POLICE], category=Category.IDENTITY, epoch=1, withdrawn_at=now
        )
        for each in (first, second)
    )
    report = world.sealed(POLICE, TombstonesReported(request_id=request, tombstones=tombstones))
    async with world.gate.transaction(()) as leasing:
        await _lease(leasing, second.police)
        taking = asyncio.create_task(world.inbox.process([report]))
        await _until_it_waits_for(leasing, taking)
        await _lease(leasing, first.police)
    await taking
    ended = await world.rows("SELECT referral FROM shares WHERE ended_at IS NOT NULL")
    assert {row.referral for row in ended} == {first.police, second.police}


async def test_a_digest_of_looks_waits_for_no_lease(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    look = LookTold(look_id=uuid4(), at=datetime.now(UTC), categories=(Category.IDENTITY,), purpose=PURPOSES[POLICE])
    async with world.gate.transaction(()) as leasing:
        await _lease(leasing, referrals[POLICE])
        async with asyncio.timeout(10):
            await world.fact(POLICE, LooksReported(referral=referrals[POLICE], looks=(look,)))
    assert len(await world.rows("SELECT 1 FROM agency_looks")) == 1
