"""An endpoint proves that it is its subscriber's: it echoes the challenge of a signed event, or gets nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from police_link.webhooks.schedule import HANDSHAKE_RETRIES_S

from .conftest import SADDAR, Station
from .receivers import Answer, Behave, Request, accepts, always


async def test_an_endpoint_that_echoes_the_challenge_becomes_active(station: Station) -> None:
    made = await station.subscribe()
    assert await station.send() == 1
    (request,) = station.receiver.got
    event = Webhook(made["secret"]).verify(request.body, request.headers)
    assert set(event) == {"type", "timestamp", "data"}
    assert event["type"] == "endpoint.verification"
    assert set(event["data"]) == {"challenge"}
    shown = await station.shown(made["subscription"])
    assert shown["state"] == "active"
    assert shown["verified_at"] is not None
    assert await station.send() == 0


async def echo_wrongly(request: Request) -> Answer:
    return Answer(200, body=json.dumps({"challenge": request.event["data"]["challenge"][:-1] + "g"}).encode())


async def echo_too_much(request: Request) -> Answer:
    return Answer(200, body=json.dumps({**request.event["data"], "more": "x" * 5000}).encode())


async def echo_with_an_error(request: Request) -> Answer:
    return Answer(403, body=json.dumps(request.event["data"]).encode())


@pytest.mark.parametrize(
    "behave",
    [
        echo_wrongly,
        echo_too_much,
        echo_with_an_error,
        always(200),
        always(200, b"[]"),
        always(200, b'{"challenge": null}'),
        always(200, b"[" * 4000),
        always(200, b'"\\ud800"'),
        always(200, b'{"challenge": "\\ud800"}'),
        always(302, location="/"),
        always(500),
    ],
)
async def test_anything_but_the_challenge_leaves_it_pending(station: Station, behave: Behave) -> None:
    station.receiver.behave = behave
    made = await station.subscribe()
    await station.send()
    shown = await station.shown(made["subscription"])
    assert shown["state"] == "pending"
    assert shown["failing_since"] is not None


async def test_a_handshake_is_tried_again_with_the_same_challenge_under_the_same_id(station: Station) -> None:
    station.receiver.behave = always(503)
    made = await station.subscribe()
    await station.send()
    assert await station.send() == 0
    station.receiver.behave = accepts
    station.pass_time(seconds=7)
    await station.send()
    first, second = station.receiver.got
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert (await station.shown(made["subscription"]))["state"] == "active"


async def test_an_endpoint_that_never_echoes_fails_after_a_bounded_number_of_attempts(station: Station) -> None:
    station.receiver.behave = always(200)
    made = await station.subscribe()
    for _ in range(20):
        await station.send()
        station.pass_time(hours=3)
    assert len(station.receiver.got) == len(HANDSHAKE_RETRIES_S) + 1
    assert (await station.shown(made["subscription"]))["state"] == "failed"
    await station.referral()
    assert await station.send() == 0
    answer: Any = await station.replay(made["subscription"])
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription-not-verified")


async def test_no_event_is_sent_before_the_endpoint_has_proved_itself(station: Station) -> None:
    station.receiver.behave = always(200)
    await station.subscribe()
    code = await station.referral()
    await station.send()
    await station.send()
    assert station.receiver.events("referral.opened") == []
    station.receiver.behave = accepts
    station.pass_time(minutes=1)
    await station.send()
    await station.send()
    (told,) = station.receiver.events("referral.opened")
    assert told.event["data"]["referral"] == code


async def test_challenges_of_two_subscriptions_differ(station: Station) -> None:
    await station.subscribe()
    await station.subscribe(SADDAR, station.receiver.url("/second"))
    await station.send()
    challenges = {request.event["data"]["challenge"] for request in station.receiver.got}
    assert len(challenges) == 2
