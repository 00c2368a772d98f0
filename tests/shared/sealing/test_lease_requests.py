"""Asks for leases that come together travel together; none is forgotten, none is answered with what was dropped."""

from __future__ import annotations

import asyncio

import pytest

from amanat import leases
from amanat.leases import GateAway, Lease, LeaseClient

from .gates import KEY_ID, LATER_KEY_ID, PURPOSE, REFERRAL, STATION, Gate, wire_key


async def under_way(client: LeaseClient, gate: Gate) -> asyncio.Task[Lease]:
    """An ask that the gate has, and does not answer until it is opened."""
    gate.opened.clear()
    asked = asyncio.create_task(client.lease(REFERRAL, STATION, PURPOSE))
    while not gate.asked:
        await asyncio.sleep(0)
    return asked


async def test_who_joins_a_request_already_sent_asks_again_for_a_key_it_does_not_bring(
    client: LeaseClient, gate: Gate
) -> None:
    first = await under_way(client, gate)
    gate.keys = [wire_key(), wire_key(LATER_KEY_ID)]
    second = asyncio.create_task(client.lease(REFERRAL, STATION, PURPOSE, need=[LATER_KEY_ID]))
    await asyncio.sleep(0)
    gate.opened.set()
    assert set((await first).keys) == {KEY_ID}
    assert LATER_KEY_ID in (await second).keys
    assert len(gate.asked) == 2


async def test_concurrent_asks_travel_together_in_order_fifty_at_most(client: LeaseClient, gate: Gate) -> None:
    referrals = [f"P-{n}" for n in range(120)]
    got = await asyncio.gather(*(client.lease(referral, STATION, PURPOSE) for referral in referrals))
    assert [lease.referral for lease in got] == referrals
    assert [len(items) for items in gate.asked] == [50, 50, 20]
    assert [item["referral"] for items in gate.asked for item in items] == referrals


async def test_the_same_ask_at_the_same_time_is_one_item(client: LeaseClient, gate: Gate) -> None:
    got = await asyncio.gather(*(client.lease(REFERRAL, STATION, PURPOSE) for _ in range(20)))
    assert len({id(lease) for lease in got}) == 1
    assert [len(items) for items in gate.asked] == [1]


async def test_while_all_flights_are_out_asks_gather_and_none_is_forgotten(client: LeaseClient, gate: Gate) -> None:
    gate.opened.clear()
    tasks = []
    for n in range(30):
        tasks.append(asyncio.create_task(client.lease(f"P-{n}", STATION, PURPOSE)))
        for _ in range(10):
            await asyncio.sleep(0)
    assert [len(items) for items in gate.asked] == [1] * leases.MAX_FLIGHTS
    gate.opened.set()
    assert [lease.referral for lease in await asyncio.gather(*tasks)] == [f"P-{n}" for n in range(30)]
    assert len(gate.asked) == leases.MAX_FLIGHTS + 1


@pytest.mark.parametrize("seed", range(5))
async def test_asks_at_every_moment_of_a_flight_are_all_answered(client: LeaseClient, gate: Gate, seed: int) -> None:
    async def later(n: int) -> Lease:
        for _ in range((n * 7 + seed) % 23):
            await asyncio.sleep(0)
        return await client.lease(f"P-{n}", STATION, PURPOSE)

    got = await asyncio.gather(*(later(n) for n in range(300)))
    assert [lease.referral for lease in got] == [f"P-{n}" for n in range(300)]


async def test_one_who_gives_up_does_not_take_the_lease_from_the_others(client: LeaseClient, gate: Gate) -> None:
    gate.opened.clear()
    impatient, patient = (asyncio.create_task(client.lease(REFERRAL, STATION, PURPOSE)) for _ in range(2))
    while not gate.asked:
        await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    gate.opened.set()
    assert (await patient).keys


async def test_closing_forgets_all_keys_and_leaves_nobody_waiting(gate: Gate) -> None:
    client = gate.client()
    await client.lease("P-held", STATION, PURPOSE)
    gate.opened.clear()
    waiting = [asyncio.create_task(client.lease(f"P-{n}", STATION, PURPOSE)) for n in range(3)]
    while len(gate.asked) < 2:
        await asyncio.sleep(0)
    await client.aclose()
    for each in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(each, GateAway)
    assert "held=0" in repr(client)
