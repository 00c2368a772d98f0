"""Each arrival is told, thinly, to whom it arrived: once, signed, and with nothing of it in logs."""

from __future__ import annotations

from uuid import uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from police_link.webhooks.service import queueing

from .conftest import CLIFTON, SADDAR, Station
from .receivers import OPENED, accepts, always


async def test_an_arrival_is_told_with_code_and_link_and_nothing_else(station: Station) -> None:
    made = await station.subscribed()
    code = await station.referral()
    await station.send()
    (request,) = station.receiver.events(OPENED)
    event = Webhook(made["secret"]).verify(request.body, request.headers)
    assert set(event) == {"type", "timestamp", "data"}
    assert event["data"] == {"referral": code, "url": f"https://police.test/v1/referrals/{code}"}
    assert request.headers["content-type"] == "application/json"
    assert (await station.shown(made["subscription"]))["queued"] == 0
    assert await station.send() == 0


async def test_each_organisation_hears_of_its_own_arrivals_alone(station: Station) -> None:
    await station.subscribed()
    await station.subscribed(CLIFTON, station.receiver.url("/clifton"))
    saddars, cliftons = await station.referral(), await station.referral(CLIFTON)
    await station.send()
    told = {(request.target, request.event["data"]["referral"]) for request in station.receiver.events(OPENED)}
    assert told == {("/hook", saddars), ("/clifton", cliftons)}


async def test_two_subscriptions_are_two_deliveries_with_ids_and_signatures_of_their_own(station: Station) -> None:
    made = [await station.subscribed(url=station.receiver.url(f"/{number}")) for number in range(2)]
    await station.referral()
    await station.send()
    told = sorted(station.receiver.events(OPENED), key=lambda request: request.target)
    assert len({request.headers["webhook-id"] for request in told}) == 2
    for request, subscription in zip(told, made, strict=True):
        Webhook(subscription["secret"]).verify(request.body, request.headers)


async def test_an_event_that_rolls_back_queues_nothing(station: Station) -> None:
    await station.subscribed()
    code = station.world.gate.code()

    async def failing() -> None:
        async with station.world.worker.transaction([SADDAR]) as session:
            await queueing.arrived(uuid4)(session, [(SADDAR, code)], station.now())
            raise LookupError

    with pytest.raises(LookupError):
        await failing()
    assert await station.send() == 0


async def test_the_same_arrival_twice_is_told_once(station: Station) -> None:
    await station.subscribed()
    event = station.world.gate.opened(station.world.gate.code(), SADDAR)
    await station.world.tell(event)
    await station.world.tell(event)
    await station.send()
    assert len(station.receiver.events(OPENED)) == 1


async def test_an_acceptance_with_a_huge_body_is_an_acceptance(station: Station) -> None:
    await station.subscribed()
    await station.referral()
    station.receiver.behave = always(200, b"x" * 5_000_000)
    await station.send()
    assert station.rows("SELECT count(*) FROM webhook_deliveries WHERE delivered_at IS NULL") == ["0"]


async def test_logs_hold_ids_and_neither_url_nor_secret_nor_code(
    station: Station, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    made = await station.subscribed(url=station.receiver.url("/canary-path"))
    code = await station.referral()
    station.receiver.behave = always(500, b"canary-body")
    await station.send()
    station.pass_time(seconds=7)
    station.receiver.behave = accepts
    await station.send()
    told = capsys.readouterr()
    # Where logs go depends on which tests ran before.
    logged = told.out + told.err + "".join(str((record.msg, record.args)) for record in caplog.records)
    assert made["subscription"] in logged
    for canary in ("canary", made["secret"], code, str(station.receiver.port)):
        assert canary not in logged


async def test_a_secret_that_does_not_open_harms_no_other_delivery(station: Station) -> None:
    await station.subscribed()
    await station.subscribed(CLIFTON)
    station.postgres.sql(
        "police_link", f"UPDATE webhook_subscriptions SET secret_sealed = 'x' WHERE tenant = '{SADDAR}'"
    )
    await station.referral()
    code = await station.referral(CLIFTON)
    await station.send()
    assert [request.event["data"]["referral"] for request in station.receiver.events(OPENED)] == [code]
