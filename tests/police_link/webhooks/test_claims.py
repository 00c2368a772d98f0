"""Workers never share a delivery, and take over what a killed one had in hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

from police_link.webhooks.attempt import Outcome
from police_link.webhooks.repository import deliveries
from police_link.webhooks.service import queueing

from .conftest import SADDAR, Station
from .receivers import OPENED, Answer, Request, accepts


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
