"""What leaves the queue unsent: of a referral wholly withdrawn, of a removed subscription, and what is too old."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from amanat.categories import Category
from police_link.webhooks.repository import subscriptions
from police_link.webhooks.service import queueing

from .conftest import CLIFTON, SADDAR, Station
from .receivers import OPENED, always


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
            await queueing.arrived(uuid4)(session, [(SADDAR, station.world.gate.code())], station.now())
            removal = asyncio.create_task(client.delete(f"/v1/subscriptions/{made['subscription']}"))
            await asyncio.sleep(0.2)
            assert not removal.done()
        assert (await removal).status_code == 204
    assert station.rows("SELECT count(*) FROM webhook_deliveries") == ["0"]


async def test_a_removal_at_the_moment_of_an_arrival_does_not_fail_its_event(station: Station) -> None:
    made = await station.subscribed()

    async def arrival() -> None:
        async with station.world.worker.transaction([SADDAR]) as session:
            await queueing.arrived(uuid4)(session, [(SADDAR, station.world.gate.code())], station.now())

    async with station.world.desk.database.transaction([SADDAR]) as session:
        await subscriptions.remove(session, SADDAR, UUID(made["subscription"]))
        arriving = asyncio.create_task(arrival())
        await asyncio.sleep(0.2)
        assert not arriving.done()
    await arriving
    assert station.rows("SELECT count(*) FROM webhook_deliveries") == ["0"]


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
