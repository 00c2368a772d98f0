"""A reporting centre subscribes, and no other learns of it."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from police_link.webhooks import models
from police_link.webhooks.repository import deliveries, subscriptions
from police_link.webhooks.service.queueing import LEASE
from police_link.webhooks.service.subscriptions import MOST_PER_ORGANISATION

from .conftest import CLIFTON, SADDAR, Station


async def test_a_new_subscription_is_pending_and_tells_its_secret_once(station: Station) -> None:
    made = await station.subscribe()
    assert made["state"] == "pending"
    assert made["secret"].startswith("whsec_")
    shown = await station.shown(made["subscription"])
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown["url"] == station.receiver.url()
    assert station.receiver.got == []  # main calls nobody


async def test_the_same_request_again_makes_nothing_and_tells_the_same_secret(station: Station) -> None:
    key = str(uuid4())
    first, second = await station.subscribe(key=key), await station.subscribe(key=key)
    assert second == first
    assert station.rows("SELECT count(*) FROM webhook_subscriptions") == ["1"]
    assert station.rows("SELECT type FROM webhook_deliveries") == ["endpoint.verification"]


async def test_a_replay_after_removal_tells_nothing(station: Station) -> None:
    made = await station.subscribe(key="k")
    async with station.world.client(SADDAR) as client:
        assert (await client.delete(f"/v1/subscriptions/{made['subscription']}")).status_code == 204
        again = await client.post(
            "/v1/subscriptions", json={"url": station.receiver.url()}, headers={"Idempotency-Key": "k"}
        )
    assert again.status_code == 404
    assert "whsec_" not in again.text


async def test_an_endpoint_that_was_put_under_another_centre_is_told_of_none_of_its_referrals(station: Station) -> None:
    made = await station.subscribed()
    await station.referral(CLIFTON)
    got = len(station.receiver.got)
    for table in ("webhook_deliveries", "webhook_subscriptions"):
        station.rows(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        station.rows(f"UPDATE {table} SET tenant = '{CLIFTON}'")
        station.rows(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    await station.referral(CLIFTON)
    await station.send()
    assert len(station.receiver.got) == got
    async with station.world.client(CLIFTON) as client:
        shown = await client.get(f"/v1/subscriptions/{made['subscription']}")
    assert shown.status_code == 500
    assert station.receiver.url() not in shown.text


async def test_the_same_key_for_another_address_is_refused(station: Station) -> None:
    await station.subscribe(key="k")
    async with station.world.client(SADDAR) as client:
        other = await client.post(
            "/v1/subscriptions", json={"url": station.receiver.url("/other")}, headers={"Idempotency-Key": "k"}
        )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_without_an_idempotency_key_nothing_is_made(station: Station) -> None:
    async with station.world.client(SADDAR) as client:
        assert (await client.post("/v1/subscriptions", json={"url": station.receiver.url()})).status_code == 400
    assert station.rows("SELECT count(*) FROM webhook_subscriptions") == ["0"]


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/secret-path", "https://u:pw@station.example/", "https://169.254.169.254/", "nonsense"]
)
async def test_an_address_that_is_not_sent_to_is_refused_without_quoting_it(station: Station, url: str) -> None:
    async with station.world.client(SADDAR) as client:
        answer = await client.post("/v1/subscriptions", json={"url": url}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (422, "endpoint-refused")
    assert answer.json()["errors"][0]["pointer"] == "/url"
    assert url not in answer.text
    assert station.rows("SELECT count(*) FROM webhook_subscriptions") == ["0"]


async def test_only_the_centres_system_may_subscribe(station: Station) -> None:
    async with station.world.client(SADDAR, role="police_officer") as officer:
        assert (await officer.get("/v1/subscriptions")).status_code == 403
    async with station.world.client(SADDAR, agency="forensics") as stranger:
        assert (await stranger.get("/v1/subscriptions")).status_code == 403


async def test_another_station_sees_none_of_it(station: Station) -> None:
    made = await station.subscribed()
    path = f"/v1/subscriptions/{made['subscription']}"
    async with station.world.client(CLIFTON) as other:
        unknown = await other.get(f"/v1/subscriptions/{uuid4()}")
        for answer in (
            await other.get(path),
            await other.delete(path),
            await other.post(f"{path}/replay", json={}),
        ):
            assert answer.status_code == 404
            assert {**answer.json(), "trace_id": ""} == {**unknown.json(), "trace_id": ""}
        assert (await other.get("/v1/subscriptions")).json() == {"items": [], "next": None}
    assert (await station.shown(made["subscription"]))["state"] == "active"


async def test_a_list_comes_in_pages(station: Station) -> None:
    made = [(await station.subscribe())["subscription"] for _ in range(3)]
    async with station.world.client(SADDAR) as client:
        first = await client.get("/v1/subscriptions", params={"limit": 2})
        assert [item["subscription"] for item in first.json()["items"]] == made[:2]
        assert 'rel="next"' in first.headers["link"]
        rest = await client.get("/v1/subscriptions", params={"limit": 2, "cursor": first.json()["next"]})
        assert [item["subscription"] for item in rest.json()["items"]] == made[2:]
        assert rest.json()["next"] is None
        assert "secret" not in first.text
    async with station.world.client(CLIFTON) as other:
        stolen = await other.get("/v1/subscriptions", params={"cursor": first.json()["next"]})
    assert stolen.status_code == 422


async def test_an_organisation_has_a_bounded_number_of_subscriptions(station: Station) -> None:
    await asyncio.gather(*(station.subscribe() for _ in range(3)))
    for _ in range(MOST_PER_ORGANISATION - 3):
        await station.subscribe()
    async with station.world.client(SADDAR) as client:
        answer = await client.post(
            "/v1/subscriptions", json={"url": station.receiver.url()}, headers={"Idempotency-Key": "k"}
        )
    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-subscriptions")


async def test_url_and_secret_lie_sealed_in_the_database(station: Station) -> None:
    made = await station.subscribe(url=station.receiver.url("/token-in-path"))
    stored = station.postgres.sql(
        "police_link",
        "SELECT encode(url_sealed, 'escape') || encode(secret_sealed, 'escape') FROM webhook_subscriptions",
    )
    assert "token-in-path" not in stored
    assert made["secret"].removeprefix("whsec_")[:12] not in stored


async def test_every_statement_keeps_to_its_tenant_even_where_the_transaction_sees_two(station: Station) -> None:
    own = UUID((await station.subscribed())["subscription"])
    others = UUID((await station.subscribed(CLIFTON))["subscription"])
    await station.referral(CLIFTON)
    both, now = [SADDAR, CLIFTON], station.now()
    async with station.world.desk.database.transaction(both) as session:
        assert await subscriptions.count_subscriptions(session, SADDAR) == 1
        assert [row.id for row in await subscriptions.page(session, SADDAR, after=0, limit=9)] == [own]
        assert await subscriptions.find(session, SADDAR, others) is None
        assert await deliveries.requeue(session, SADDAR, others, now, now.replace(year=2020)) == 0
        await subscriptions.set_health(session, SADDAR, others, {"state": "failed"})
        assert await subscriptions.remove(session, SADDAR, others) is False
    async with station.world.worker.transaction(both) as session:
        assert await subscriptions.receivers(session, {SADDAR}) == {SADDAR: [own]}
        assert await subscriptions.note_failure(session, SADDAR, others, now) is None
        claimed = await deliveries.claim(session, [SADDAR], claim=uuid4(), now=now, lease=LEASE, room=9, each=9)
        assert claimed == []
    assert (await station.shown(str(others), CLIFTON))["state"] == "active"


async def test_the_worker_sees_other_tenants_queue_rows_and_nobodys_secrets(station: Station) -> None:
    await station.subscribe()
    worker, main = station.world.worker, station.world.desk.database
    async with worker.transaction(()) as session:
        assert len((await session.execute(select(models.deliveries.c.id))).all()) == 1
        assert (await session.execute(select(models.subscriptions.c.id))).all() == []
    async with main.transaction([CLIFTON]) as session:
        assert (await session.execute(select(models.deliveries.c.id))).all() == []
        assert (await session.execute(select(models.subscriptions.c.id))).all() == []
    async with main.transaction([SADDAR]) as session:
        assert len((await session.execute(select(models.subscriptions.c.id))).all()) == 1


async def test_main_can_neither_change_an_address_nor_call_it_verified(station: Station) -> None:
    await station.subscribe()
    for column in ("url_sealed = 'x'", "secret_sealed = 'x'", "verified_at = now()", "tenant = 'station-clifton'"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with station.world.desk.database.transaction([SADDAR]) as session:
                await session.execute(text(f"UPDATE webhook_subscriptions SET {column}"))


def test_models_and_migration_say_the_same(station: Station) -> None:
    for table in (models.subscriptions, models.deliveries):
        found = station.rows(
            "SELECT column_name || ':' || is_nullable FROM information_schema.columns"
            f" WHERE table_name = '{table.name}' ORDER BY ordinal_position"
        )
        assert found == [f"{column.name}:{'YES' if column.nullable else 'NO'}" for column in table.columns]
