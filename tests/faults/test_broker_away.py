"""A broker that is away: whatever comes is accepted, taken back too, and all of it arrives once the broker is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import asyncpg
import pytest
from counting import Count

from amanat_local.stack import Stack

from .racing import clients

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]
CATEGORIES = ("identity", "incident")
PAUSE_S = 0.1
PATIENCE_S = 300.0


async def test_all_is_accepted_while_the_broker_is_away_and_arrives_afterwards(stack: Stack, count: Count) -> None:
    await _away(stack, count, 10)


@pytest.mark.full
@pytest.mark.timeout(3600)
async def test_all_is_accepted_while_the_broker_is_away_for_ten_minutes_and_arrives_afterwards(
    stack: Stack, count: Count
) -> None:
    await _away(stack, count, 600)


async def _away(stack: Stack, count: Count, seconds: float) -> None:
    kept: list[str] = []
    withdrawn: list[str] = []
    await asyncio.to_thread(stack.kill, "kafka")
    try:
        async with clients(stack.info) as (cell, _):
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                case, referral, consent = await cell.open_case(CATEGORIES)  # raises for whatever is not accepted
                if len(kept) % 3 == 2:
                    await cell.withdraw(case, consent, "incident")
                    withdrawn.append(referral)
                kept.append(referral)
                await asyncio.sleep(PAUSE_S)
    finally:
        await asyncio.to_thread(stack.start_process, "kafka")
    station = await asyncpg.connect(stack.info["databases"]["police_link"]["admin"])
    try:
        await _until(station, kept, withdrawn)
    finally:
        await station.close()
    count("requests accepted while the broker was away", len(kept) + len(withdrawn))


async def _until(station: asyncpg.Connection, kept: Sequence[str], withdrawn: Sequence[str]) -> None:
    """Every referral, each with what was not taken back, and nothing put aside. Raises AssertionError."""
    wanted = {(code, category) for code in kept for category in CATEGORIES}
    wanted -= {(code, "incident") for code in withdrawn}
    asked = "SELECT referral, category FROM disclosures WHERE referral = ANY($1)"
    deadline = time.monotonic() + PATIENCE_S
    while (found := {tuple(row) for row in await station.fetch(asked, list(kept))}) != wanted:
        assert found <= wanted, "what was taken back has come"
        assert time.monotonic() < deadline, f"{len(wanted - found)} of {len(wanted)} have not come"
        await asyncio.sleep(0.5)
    parked = await station.fetchval("SELECT count(*) FROM parked WHERE referral = ANY($1)", list(kept))
    assert parked == 0
