"""Each arrival is told, thinly, to whom it arrived: after failures, crashes and pauses, under one id, and no more once
nothing of it is shared."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from amanat.categories import Category
from police_link.webhooks import queueing
from police_link.webhooks.attempt import Outcome
from police_link.webhooks.repository import deliveries, subscriptions

from .conftest import CLIFTON, SADDAR, Station
from .receivers import Answer, Request, accepts, always, receiver

OPENED = "referral.opened"


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
            await queueing.arrived(uuid4)(session, code, SADDAR, station.now())
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


async def test_an_acceptance_with_a_huge_body_is_an_acceptance(station: Station) -> None:
    await station.subscribed()
    await station.referral()
    station.receiver.behave = always(200, b"x" * 5_000_000)
    await station.send()
    assert station.rows("SELECT count(*) FROM webhook_deliveries WHERE delivered_at IS NULL") == ["0"]


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


async def test_what_a_killed_worker_had_in_hand_is_sent_by_another_under_the_same_id(station: Station) -> None:
    await station.subscribed()
    await station.referral()
    claimed = await queueing.claim(station.world.worker, uuid4(), station.now(), 10)
    assert len(claimed) == 1
    assert await station.send() == 0
    station.pass_time(seconds=queueing.LEASE.total_seconds() + 1)
    assert await station.send() == 1
    (request,) = station.receiver.events(OPENED)
    assert request.headers["webhook-id"] == str(claimed[0].id)


async def test_a_worker_whose_lease_is_over_does_not_undo_anothers_claim(station: Station) -> None:
    await station.subscribed()
    await station.referral()
    (stale,) = await queueing.claim(station.world.worker, uuid4(), station.now(), 10)
    station.pass_time(seconds=31)
    (current,) = await queueing.claim(station.world.worker, uuid4(), station.now(), 10)
    late = Outcome(False, "timeout")
    async with station.world.worker.transaction([SADDAR]) as session:
        await queueing.settle(session, stale, late, station.now(), 0, timedelta(days=5))
    assert station.rows("SELECT claim FROM webhook_deliveries WHERE referral IS NOT NULL") == [str(current.claim)]


async def test_many_workers_at_once_send_each_delivery_once(station: Station) -> None:
    await station.subscribed()
    for _ in range(12):
        await station.referral()
    workers = [station.worker() for _ in range(4)]
    for _ in range(12):
        await asyncio.gather(*(each.turn() for each in workers))
        await asyncio.gather(*(each.drained() for each in workers))
    ids = [request.headers["webhook-id"] for request in station.receiver.events(OPENED)]
    assert len(ids) == len(set(ids)) == 12


async def test_when_the_last_category_is_withdrawn_the_queued_webhook_is_gone(station: Station) -> None:
    made = await station.subscribed()
    gate, code = station.world.gate, station.world.gate.code()
    await station.world.tell(
        gate.opened(code, SADDAR),
        gate.disclosed(code, SADDAR, Category.INCIDENT, ("incident", {"history": "told once"})),
        gate.disclosed(code, SADDAR, Category.IDENTITY, ("person", {"full_name": "Zainab"})),
    )
    kept = await station.referral()
    await station.world.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    assert (await station.shown(made["subscription"]))["queued"] == 2
    await station.world.tell(gate.withdrawn(code, SADDAR, Category.IDENTITY))
    assert (await station.shown(made["subscription"]))["queued"] == 1
    await station.send()
    assert [request.event["data"]["referral"] for request in station.receiver.events(OPENED)] == [kept]
    assert (await station.replay(made["subscription"], since="2020-01-01T00:00:00Z")).json()["queued"] == 1


async def test_a_removed_subscription_is_told_nothing_more(station: Station) -> None:
    made = await station.subscribed()
    await station.referral()
    async with station.world.client(SADDAR) as client:
        assert (await client.delete(f"/v1/subscriptions/{made['subscription']}")).status_code == 204
    assert await station.send() == 0
    assert station.rows("SELECT count(*) FROM webhook_deliveries") == ["0"]


async def test_a_removal_waits_for_an_arrival_and_takes_its_delivery_along(station: Station) -> None:
    made = await station.subscribed()
    async with station.world.client(SADDAR) as client:
        async with station.world.worker.transaction([SADDAR]) as session:
            await queueing.arrived(uuid4)(session, station.world.gate.code(), SADDAR, station.now())
            removal = asyncio.create_task(client.delete(f"/v1/subscriptions/{made['subscription']}"))
            await asyncio.sleep(0.2)
            assert not removal.done()
        assert (await removal).status_code == 204
    assert station.rows("SELECT count(*) FROM webhook_deliveries") == ["0"]


async def test_a_removal_at_the_moment_of_an_arrival_does_not_fail_its_event(station: Station) -> None:
    made = await station.subscribed()

    async def arrival() -> None:
        async with station.world.worker.transaction([SADDAR]) as session:
            await queueing.arrived(uuid4)(session, station.world.gate.code(), SADDAR, station.now())

    async with station.world.desk.database.transaction([SADDAR]) as session:
        await subscriptions.remove(session, SADDAR, UUID(made["subscription"]))
        arriving = asyncio.create_task(arrival())
        await asyncio.sleep(0.2)
        assert not arriving.done()
    await arriving
    assert station.rows("SELECT count(*) FROM webhook_deliveries") == ["0"]


async def test_claims_at_the_same_moment_never_share_a_delivery(station: Station) -> None:
    await station.subscribed()
    now, worker = station.now() + timedelta(minutes=1), station.world.worker

    async def take_all() -> list[UUID]:
        taken: list[UUID] = []
        for _ in range(40):
            async with worker.transaction([SADDAR]) as session:
                claimed = await deliveries.claim(
                    session, [SADDAR], claim=uuid4(), now=now, lease=queueing.LEASE, room=1, each=1000
                )
            taken += [row.id for row in claimed]
        return taken

    gate = station.world.gate
    await station.world.tell(*(gate.opened(gate.code(), SADDAR) for _ in range(60)))
    taken = [each for some in await asyncio.gather(*(take_all() for _ in range(6))) for each in some]
    assert len(taken) == len(set(taken)) == 60


async def test_what_is_older_than_the_retention_is_deleted_whosever_it_is(station: Station) -> None:
    await station.subscribed()
    await station.subscribed(CLIFTON)
    station.receiver.behave = always(500)
    await station.referral()
    await station.send()
    station.pass_time(days=29)
    await station.referral(CLIFTON)
    station.postgres.sql(
        "police_link", "UPDATE webhook_deliveries SET created_at = now() + interval '29 days' WHERE attempts = 0"
    )
    await station.sending.upkeep()
    assert station.rows("SELECT tenant FROM webhook_deliveries") == [CLIFTON]


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


async def test_the_task_sends_until_it_is_told_to_stop_and_ends_what_is_under_way(station: Station) -> None:
    stop, task = asyncio.Event(), station.worker()

    async def slowly(request: Request) -> Answer:
        await asyncio.sleep(0.3)
        return await accepts(request)

    running = asyncio.create_task(task.run(stop))
    await station.subscribe()
    while not station.receiver.got:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    station.receiver.behave = slowly
    await station.referral()
    while not station.receiver.events(OPENED):
        await asyncio.sleep(0.01)
    stop.set()
    await running
    assert station.rows("SELECT count(*) FROM webhook_deliveries WHERE delivered_at IS NULL") == ["0"]
