"""Until when an agency could still read: never less than any lease that left before the lock of the withdrawal."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import text

from .world import POLICE, World, consent


async def _somebody_waits(world: World) -> None:
    async with asyncio.timeout(5):
        while not await world.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.02)


async def test_a_lease_given_while_the_withdrawal_waited_ends_before_the_time_that_she_is_told(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    hers = await world.consent_of(case, POLICE)
    async with world.gate.transaction(()) as session:
        await session.execute(text("SELECT 1 FROM cases WHERE code = :case FOR UPDATE"), {"case": case})
        withdrawing = asyncio.create_task(world.withdraw(case, hers))
        await _somebody_waits(world)
        given = await world.leased(POLICE, referrals[POLICE])
        assert len(given["keys"]) == 1
        assert not withdrawing.done()
    [ending] = (await withdrawing).json()["endings"]
    [leased] = await world.rows("SELECT at FROM leases")
    ends = leased.at + timedelta(seconds=given["expires_in_s"])
    assert datetime.fromisoformat(ending["closed_no_later_than"]) >= ends
