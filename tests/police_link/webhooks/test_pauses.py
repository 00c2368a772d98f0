"""An endpoint that fails for days, or says that it is gone, is paused; a replay resumes it and sends again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .conftest import Station
from .receivers import OPENED, accepts, always


async def test_an_endpoint_that_fails_for_days_is_paused_until_a_replay(station: Station) -> None:
    made = await station.subscribed()
    station.receiver.behave = always(500)
    first = await station.referral()
    await station.send()
    station.pass_time(days=5, seconds=1)
    await station.send()
    shown = await station.shown(made["subscription"])
    assert (shown["state"], shown["paused_because"], shown["queued"]) == ("paused", "failing", 1)
    station.receiver.behave = accepts
    second = await station.referral()
    station.pass_time(days=2)
    assert await station.send() == 0

    answer: Any = await station.replay(made["subscription"])
    assert answer.status_code == 202
    assert answer.json() == {"subscription": made["subscription"], "queued": 2}
    assert await station.send() == 2
    told = [request.event["data"]["referral"] for request in station.receiver.events(OPENED)]
    assert set(told[-2:]) == {first, second}
    shown = await station.shown(made["subscription"])
    assert (shown["state"], shown["paused_because"], shown["failing_since"]) == ("active", None, None)


async def test_one_success_ends_the_count_of_failing_days(station: Station) -> None:
    made = await station.subscribed()
    for _ in range(4):
        station.receiver.behave = always(500)
        await station.referral()
        await station.send()
        station.pass_time(days=2)
        station.receiver.behave = accepts
        await station.send()
    assert (await station.shown(made["subscription"]))["state"] == "active"


async def test_an_endpoint_that_says_gone_is_paused_at_once(station: Station) -> None:
    made = await station.subscribed()
    station.receiver.behave = always(410)
    await station.referral()
    await station.send()
    shown = await station.shown(made["subscription"])
    assert (shown["state"], shown["paused_because"]) == ("paused", "gone")


async def test_a_replay_sends_again_what_came_since_a_time_under_the_same_ids(station: Station) -> None:
    made = await station.subscribed()
    old = await station.referral()
    await station.send()
    station.pass_time(hours=1)
    # The worker's handlers have the real clock; what arrived is made as old as it would be.
    station.postgres.sql("police_link", "UPDATE webhook_deliveries SET created_at = created_at - interval '1 hour'")
    since = (station.now() - timedelta(hours=1, minutes=1)).isoformat()
    new = await station.referral()
    await station.send()
    assert (await station.replay(made["subscription"])).json()["queued"] == 0
    assert (await station.replay(made["subscription"], since=since)).json()["queued"] == 1
    await station.send()
    told = station.receiver.events(OPENED)
    assert [request.event["data"]["referral"] for request in told] == [old, new, new]
    assert told[1].headers["webhook-id"] == told[2].headers["webhook-id"]
