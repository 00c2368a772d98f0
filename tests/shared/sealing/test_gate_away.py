"""A gate that is away, refuses, or answers something else: no lease, and nothing of its answer is quoted."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from amanat import leases
from amanat.leases import GateAway, GateRefused, Lease, LeaseClient
from amanat.service_token import TokenUnavailable

from .gates import LATER_KEY_ID, PURPOSE, REFERRAL, STATION, Clock, Gate, Tokens, wire_key


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


async def test_a_key_that_the_gate_cannot_open_is_a_gate_away_to_who_asked_for_it_alone(
    client: LeaseClient, gate: Gate
) -> None:
    gate.unopened = {REFERRAL}
    broken, whole = await asyncio.gather(
        client.lease(REFERRAL, STATION, PURPOSE), client.lease("P-2", STATION, PURPOSE), return_exceptions=True
    )
    assert len(gate.asked) == 1
    assert isinstance(broken, GateAway)
    assert not isinstance(broken, GateRefused)
    assert isinstance(whole, Lease)
    assert whole.keys
    gate.unopened = set()
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
    gate.refusals = [503] * 4
    clock.now = 1028.0
    assert await client.lease(REFERRAL, STATION, PURPOSE) is lease
    clock.now = 1029.999  # so little is left that the gate is asked first
    assert await client.lease(REFERRAL, STATION, PURPOSE) is lease
    with pytest.raises(GateAway):
        await client.lease(REFERRAL, STATION, PURPOSE, need=[LATER_KEY_ID])
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
