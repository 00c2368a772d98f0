"""Leases: for seconds, counted from before the request, kept by who asked for what, and never longer."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat import leases
from amanat.categories import Category
from amanat.leases import Lease, LeaseClient, LeasedKey

from .gates import KEY_ID, LATER_KEY_ID, PURPOSE, REFERRAL, STATION, Clock, Gate, wire_key


async def test_a_lease_carries_what_the_gate_gave(client: LeaseClient, gate: Gate) -> None:
    gate.keys = [wire_key(), wire_key(LATER_KEY_ID, category="identity", epoch=3, fill=9)]
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    assert (lease.agency, lease.organisation, lease.purpose) == ("police-link", STATION, PURPOSE)
    assert (lease.referral, lease.consent_version) == (REFERRAL, 4)
    assert lease.categories == {Category.INCIDENT, Category.IDENTITY}
    assert lease.keys[LATER_KEY_ID] == LeasedKey(Category.IDENTITY, 3, bytes([9]) * 32)
    assert gate.urls == ["http://gate.test/internal/v1/leases"]
    assert gate.asked == [[{"referral": REFERRAL, "organisation": STATION, "purpose": PURPOSE}]]
    assert gate.headers[0]["authorization"] == "Bearer token-1"


@given(started=st.floats(0, 1e6), seconds=st.floats(0.001, 600), at=st.floats(-1, 1300))
def test_a_lease_is_over_exactly_on_time(started: float, seconds: float, at: float) -> None:
    keys = {KEY_ID: LeasedKey(Category.INCIDENT, 1, b"k" * 32)}
    lease = Lease("police-link", STATION, PURPOSE, REFERRAL, 1, keys, started + seconds)
    assert lease.live(started + at) == (started + at < started + seconds)
    assert not lease.live(started + seconds)


async def test_a_slow_answer_does_not_lengthen_a_lease(client: LeaseClient, gate: Gate, clock: Clock) -> None:
    gate.takes_s, gate.expires_in_s = 1.5, 30
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    assert lease.good_until_boottime == 1000.0 + 30
    assert lease.live(1029.999)
    assert not lease.live(1030.0)


async def test_a_lease_is_asked_for_again_before_an_answer_could_outlast_it_and_no_sooner(
    client: LeaseClient, gate: Gate, clock: Clock
) -> None:
    first = await client.lease(REFERRAL, STATION, PURPOSE)
    clock.now = 1030.0 - leases.LEFT_SECONDS - 0.001
    assert await client.lease(REFERRAL, STATION, PURPOSE) is first
    assert len(gate.asked) == 1
    clock.now = 1030.0 - leases.LEFT_SECONDS
    again = await client.lease(REFERRAL, STATION, PURPOSE)
    assert again.good_until_boottime == clock.now + 30
    assert await client.lease(REFERRAL, STATION, PURPOSE) is again
    assert len(gate.asked) == 2


async def test_a_lease_about_to_end_gives_way_to_an_empty_answer(client: LeaseClient, gate: Gate, clock: Clock) -> None:
    await client.lease(REFERRAL, STATION, PURPOSE)
    clock.now, gate.keys = 1029.999, []
    assert not (await client.lease(REFERRAL, STATION, PURPOSE)).keys
    assert repr(client).endswith("held=0)")


async def test_an_answer_slower_than_its_own_lease_is_over_when_it_comes(
    client: LeaseClient, gate: Gate, clock: Clock
) -> None:
    gate.takes_s, gate.expires_in_s = 1.5, 1.0
    assert not (await client.lease(REFERRAL, STATION, PURPOSE)).live(clock())
    await client.lease(REFERRAL, STATION, PURPOSE)
    assert len(gate.asked) == 2


async def test_leases_are_kept_apart_by_referral_organisation_and_purpose(client: LeaseClient, gate: Gate) -> None:
    asks = [
        (REFERRAL, STATION, PURPOSE),
        ("P-0000-0000-0", STATION, PURPOSE),
        (REFERRAL, "station-clifton", PURPOSE),
        (REFERRAL, STATION, "another"),
    ]
    for ask in asks + asks:
        lease = await client.lease(*ask)
        assert (lease.referral, lease.organisation, lease.purpose) == ask
    assert len(gate.asked) == 4


async def test_an_empty_lease_is_never_live_and_never_cached(client: LeaseClient, gate: Gate, clock: Clock) -> None:
    gate.keys = []
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    assert (lease.categories, lease.consent_version, lease.live(clock())) == (frozenset(), 0, False)
    gate.keys = [wire_key()]
    assert (await client.lease(REFERRAL, STATION, PURPOSE)).live(clock())


async def test_a_live_lease_gives_way_to_an_empty_answer(client: LeaseClient, gate: Gate) -> None:
    await client.lease(REFERRAL, STATION, PURPOSE)
    gate.keys = []
    assert not (await client.lease(REFERRAL, STATION, PURPOSE, need=[LATER_KEY_ID])).keys
    assert not (await client.lease(REFERRAL, STATION, PURPOSE)).keys
    assert len(gate.asked) == 3


async def test_a_needed_key_that_the_lease_lacks_is_asked_for_once_more(client: LeaseClient, gate: Gate) -> None:
    await client.lease(REFERRAL, STATION, PURPOSE, need=[KEY_ID])
    gate.keys = [wire_key(), wire_key(LATER_KEY_ID)]
    lease = await client.lease(REFERRAL, STATION, PURPOSE, need=[KEY_ID, LATER_KEY_ID])
    assert set(lease.keys) == {KEY_ID, LATER_KEY_ID}
    assert len(gate.asked) == 2


async def test_a_key_that_the_gate_does_not_give_is_not_asked_for_twice_in_one_call(
    client: LeaseClient, gate: Gate
) -> None:
    lease = await client.lease(REFERRAL, STATION, PURPOSE, need=[LATER_KEY_ID])
    assert set(lease.keys) == {KEY_ID}
    assert len(gate.asked) == 1


async def test_a_category_of_a_newer_gate_is_left_out(client: LeaseClient, gate: Gate) -> None:
    gate.keys = [wire_key(), wire_key(LATER_KEY_ID, category="from-the-future")]
    assert set((await client.lease(REFERRAL, STATION, PURPOSE)).keys) == {KEY_ID}


async def test_keys_leave_memory_when_their_lease_is_over(
    client: LeaseClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SWEEP_SECONDS", 0.01)
    await client.lease(REFERRAL, STATION, PURPOSE)
    assert repr(client) == "LeaseClient(agency='police-link', held=1)"
    clock.now = 1030.0
    async with asyncio.timeout(2):
        while "held=0" not in repr(client):
            await asyncio.sleep(0.01)


async def test_neither_a_lease_nor_its_keys_show_key_material(client: LeaseClient, gate: Gate) -> None:
    gate.keys = [wire_key(fill=ord("K"))]
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    assert lease.keys[KEY_ID].key == b"K" * 32
    for shown in (repr(lease), str(lease.keys), repr(client)):
        assert "KKK" not in shown
