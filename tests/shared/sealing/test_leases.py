"""Leases: for seconds, counted from before the request; together where they come together; never more than asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat import leases
from amanat.categories import Category
from amanat.leases import GateAway, GateRefused, Lease, LeaseClient, LeasedKey
from amanat.service_token import TokenUnavailable

from .gates import KEY_ID, LATER_KEY_ID, Clock, Gate, Tokens, wire_key

REFERRAL, STATION, PURPOSE = "P-7KQ2-M4XD-3", "station-saddar", "investigation"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(clock)


@pytest.fixture
async def client(gate: Gate) -> AsyncIterator[LeaseClient]:
    made = gate.client()
    yield made
    await made.aclose()


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


async def test_a_lease_is_asked_for_again_once_it_is_over_and_not_before(
    client: LeaseClient, gate: Gate, clock: Clock
) -> None:
    first = await client.lease(REFERRAL, STATION, PURPOSE)
    clock.now = 1029.999
    assert await client.lease(REFERRAL, STATION, PURPOSE) is first
    assert len(gate.asked) == 1
    clock.now = 1030.0
    assert await client.lease(REFERRAL, STATION, PURPOSE) is not first
    assert len(gate.asked) == 2


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


async def test_who_joins_a_request_already_sent_asks_again_for_a_key_it_does_not_bring(
    client: LeaseClient, gate: Gate
) -> None:
    gate.opened.clear()
    first = asyncio.create_task(client.lease(REFERRAL, STATION, PURPOSE))
    while not gate.asked:
        await asyncio.sleep(0)
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


async def test_a_dropped_referral_is_asked_for_again_and_others_are_not(client: LeaseClient, gate: Gate) -> None:
    await client.lease(REFERRAL, STATION, PURPOSE)
    await client.lease(REFERRAL, "station-clifton", PURPOSE)
    await client.lease("P-other", STATION, PURPOSE)
    client.drop(REFERRAL)
    gate.keys = []
    assert not (await client.lease(REFERRAL, STATION, PURPOSE)).keys
    assert not (await client.lease(REFERRAL, "station-clifton", PURPOSE)).keys
    assert (await client.lease("P-other", STATION, PURPOSE)).keys


async def test_a_lease_under_way_when_its_referral_is_dropped_is_not_handed_out(
    client: LeaseClient, gate: Gate
) -> None:
    gate.opened.clear()
    asked = asyncio.create_task(client.lease(REFERRAL, STATION, PURPOSE))
    while not gate.asked:
        await asyncio.sleep(0)
    gate.keys = []
    client.drop(REFERRAL)
    gate.opened.set()
    assert not (await asked).keys
    assert len(gate.asked) == 2


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut"), 500, 502, 503, 429],
)
async def test_an_unreachable_or_failing_gate_is_away(
    client: LeaseClient, gate: Gate, failure: int | Exception
) -> None:
    gate.refusals = [failure]
    with pytest.raises(GateAway) as away:
        await client.lease(REFERRAL, STATION, PURPOSE)
    assert not isinstance(away.value, GateRefused)
    assert REFERRAL not in str(away.value)
    assert (await client.lease(REFERRAL, STATION, PURPOSE)).keys


async def test_a_gate_that_does_not_answer_in_time_is_away(
    client: LeaseClient, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "REQUEST_SECONDS", 0.05)
    gate.opened.clear()
    with pytest.raises(GateAway):
        await client.lease(REFERRAL, STATION, PURPOSE)
    gate.opened.set()
    assert (await client.lease(REFERRAL, STATION, PURPOSE)).keys


async def test_with_the_gate_away_a_lease_that_still_lives_goes_on_until_its_end(
    client: LeaseClient, gate: Gate, clock: Clock
) -> None:
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    gate.refusals = [503]
    clock.now = 1029.0
    assert await client.lease(REFERRAL, STATION, PURPOSE) is lease
    clock.now = 1030.0
    with pytest.raises(GateAway):
        await client.lease(REFERRAL, STATION, PURPOSE)


async def test_a_refused_token_is_refreshed_once(gate: Gate, clock: Clock) -> None:
    tokens = Tokens()
    client = gate.client(tokens)
    gate.refusals, gate.takes_s = [401], 1.0
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    assert tokens.forgotten == ["token-1"]
    assert [each["authorization"] for each in gate.headers] == ["Bearer token-1", "Bearer token-2"]
    # Counted from before the request that was answered.
    assert lease.good_until_boottime == 1001.0 + 30
    clock.now, gate.refusals = 2000.0, [401, 401]
    with pytest.raises(GateRefused):
        await client.lease(REFERRAL, STATION, PURPOSE)
    await client.aclose()


async def test_a_refusal_that_waiting_does_not_mend_says_so(client: LeaseClient, gate: Gate) -> None:
    gate.refusals = [403]
    with pytest.raises(GateRefused):
        await client.lease(REFERRAL, STATION, PURPOSE)


async def test_without_a_token_the_gate_counts_as_away(gate: Gate) -> None:
    async def no_token() -> str:
        raise TokenUnavailable("the issuer does not answer")

    client = gate.client(no_token)
    with pytest.raises(GateAway):
        await client.lease(REFERRAL, STATION, PURPOSE)
    assert gate.asked == []
    await client.aclose()


ITEM = {"referral": REFERRAL, "consent_version": 1, "expires_in_s": 30, "keys": [wire_key()]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        json.dumps({"leases": []}).encode(),
        json.dumps({"leases": [ITEM, ITEM]}).encode(),
        json.dumps({"leases": [{**ITEM, "referral": "P-other"}]}).encode(),
        json.dumps({"leases": [{**ITEM, "expires_in_s": -1}]}).encode(),
        b'{"leases": [{"referral": "P-7KQ2-M4XD-3", "consent_version": 1, "expires_in_s": Infinity, "keys": []}]}',
        json.dumps({"leases": [{**ITEM, "keys": [{**wire_key(), "key": "U0VDUkVULUtFWQ=="}]}]}).encode(),
        json.dumps({"leases": [{**ITEM, "keys": [{**wire_key(), "key": "SECRET-KEY"}]}]}).encode(),
    ],
)
async def test_an_answer_to_something_else_gives_no_lease_and_is_not_quoted(
    client: LeaseClient, gate: Gate, body: bytes
) -> None:
    gate.body = body
    with pytest.raises(GateAway) as away:
        await client.lease(REFERRAL, STATION, PURPOSE)
    shown = repr(away.value) + str(away.value)
    assert "SECRET" not in shown
    assert "U0VD" not in shown
    assert away.value.__cause__ is None


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


async def test_neither_a_lease_nor_its_keys_show_key_material(client: LeaseClient, gate: Gate) -> None:
    gate.keys = [wire_key(fill=ord("K"))]
    lease = await client.lease(REFERRAL, STATION, PURPOSE)
    assert lease.keys[KEY_ID].key == b"K" * 32
    for shown in (repr(lease), str(lease.keys), repr(client)):
        assert "KKK" not in shown
