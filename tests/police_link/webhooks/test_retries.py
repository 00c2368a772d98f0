"""After failures an arrival is tried again under its id; an endpoint that is slow or fails keeps nobody waiting."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from police_link.webhooks.service import queueing

from .conftest import CLIFTON, Station
from .receivers import OPENED, Answer, Request, accepts, always, receiver


@pytest.mark.parametrize("answer", [always(500), always(404), always(302, location="/elsewhere"), always(101)])
async def test_a_failed_delivery_is_tried_again_under_its_id(station: Station, answer: Any) -> None:
    made = await station.subscribed()
    await station.referral()
    station.receiver.behave = answer
    await station.send()
    assert (await station.shown(made["subscription"]))["failing_since"] is not None
    station.receiver.behave = accepts
    assert await station.send() == 0
    station.pass_time(seconds=7)
    assert await station.send() == 1
    first, second = station.receiver.events(OPENED)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [request.target for request in station.receiver.got if request.target != "/hook"] == []
    shown = await station.shown(made["subscription"])
    assert (shown["queued"], shown["failing_since"]) == (0, None)


async def test_a_slow_endpoint_keeps_nobody_else_waiting(station: Station) -> None:
    async def slow(request: Request) -> Answer:
        if request.event["type"] == OPENED:
            await asyncio.sleep(30)
        return await accepts(request)

    async with receiver() as stuck:
        stuck.behave = slow
        await station.subscribed(url=stuck.url())
        await station.subscribed(CLIFTON)
        for _ in range(8):
            await station.referral()
        await station.referral(CLIFTON)
        began = asyncio.get_running_loop().time()
        # Four of eight to the slow one, and the other's.
        assert await station.sending.turn() == queueing.AT_ONCE_PER_ENDPOINT + 1
        while not station.receiver.events(OPENED):
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - began < 1
        assert await station.sending.turn() == 0
        await station.sending.drained()
        assert asyncio.get_running_loop().time() - began < 4
    assert station.rows("SELECT DISTINCT last_reason FROM webhook_deliveries WHERE attempts > 0 ORDER BY 1") == [
        "delivered",
        "timeout",
    ]


async def test_an_endpoint_that_fails_is_probed_with_one_delivery_at_a_time(station: Station) -> None:
    await station.subscribed()
    station.receiver.behave = always(500)
    await station.referral()
    await station.send()
    for _ in range(5):
        await station.referral()
    assert await station.send() == 0
    station.pass_time(seconds=7)
    assert await station.send() == 1
    station.receiver.behave = accepts
    station.pass_time(seconds=13)
    assert await station.send() == 1
    assert await station.send() == queueing.AT_ONCE_PER_ENDPOINT


async def test_retry_after_is_waited_for(station: Station) -> None:
    await station.subscribed()
    await station.referral()
    station.receiver.behave = always(429, retry_after="900")
    await station.send()
    station.receiver.behave = accepts
    station.pass_time(seconds=890)
    assert await station.send() == 0
    station.pass_time(seconds=20)
    assert await station.send() == 1


async def test_a_delivery_is_given_up_after_days_and_counted_no_more(station: Station) -> None:
    made = await station.subscribed()
    await station.referral()
    station.receiver.behave = always(500)
    station.sending = station.worker(pause_after=timedelta(days=365))
    for _ in range(15):
        await station.send()
        station.pass_time(hours=30)
    assert len(station.receiver.events(OPENED)) == 10
    shown = await station.shown(made["subscription"])
    assert (shown["state"], shown["queued"]) == ("active", 0)
