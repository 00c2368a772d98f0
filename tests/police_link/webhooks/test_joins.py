"""Every statement of the queue joins its tenant, as those in `test_subscriptions`: a station's queue is moved by what
comes for that station alone, although both name a referral the same.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from amanat.categories import Category
from police_link.webhooks.repository import deliveries, subscriptions
from police_link.webhooks.service.queueing import LEASE

from .conftest import CLIFTON, SADDAR, Station

BOTH = [SADDAR, CLIFTON]


async def queued(station: Station) -> str:
    """A referral of Saddar's with one category, and its delivery in the queue."""
    await station.subscribed()
    code, gate = station.world.gate.code(), station.world.gate
    story = ("incident", {"history": "told once"})
    await station.world.tell(gate.opened(code, SADDAR), gate.disclosed(code, SADDAR, Category.INCIDENT, story))
    return code


async def test_what_a_delivery_came_to_is_noted_within_its_station(station: Station) -> None:
    code = await queued(station)
    async with station.world.worker.transaction(BOTH) as session:
        claim, now = uuid4(), station.now()
        [row] = await deliveries.claim(session, [SADDAR], claim=claim, now=now, lease=LEASE, room=9, each=9)
        state = text(f"SELECT claim, delivered_at, gave_up_at FROM webhook_deliveries WHERE referral = '{code}'")
        before = (await session.execute(state)).one()
        await deliveries.mark_delivered(session, CLIFTON, row.id, {"delivered_at": now})
        await deliveries.mark_failed(session, CLIFTON, row.id, claim, {"gave_up_at": now})
        assert (await session.execute(state)).one() == before
        await deliveries.mark_failed(session, SADDAR, row.id, claim, {"gave_up_at": now})
        assert (await session.execute(state)).one() == (None, None, now)
        await deliveries.mark_delivered(session, SADDAR, row.id, {"delivered_at": now})
        assert (await session.execute(state)).one() == (None, now, now)


async def test_what_can_be_read_is_asked_within_its_station(station: Station) -> None:
    code = await queued(station)
    elsewhere = station.world.gate.code()
    async with station.world.worker.transaction(BOTH) as session:
        asked = [(SADDAR, code), (CLIFTON, code), (SADDAR, elsewhere)]
        assert await deliveries.worth_telling(session, asked) == {(SADDAR, code)}
        now = station.now()
        assert await deliveries.purge(session, SADDAR, code, now) == 0
        # To Clifton nothing of it can be read; that takes nothing out of Saddar's queue.
        assert await deliveries.purge(session, CLIFTON, code, now) == 0


def to_clifton(station: Station, table: str, changed: str = "") -> None:
    """A copy of the table's rows that Clifton keeps under Saddar's code, as nobody but a superuser could write it."""
    station.postgres.sql(
        "police_link",
        f"BEGIN; SET LOCAL session_replication_role = replica; CREATE TEMP TABLE copied AS SELECT * FROM {table};"
        f" UPDATE copied SET tenant = '{CLIFTON}'{changed}; INSERT INTO {table} SELECT * FROM copied; COMMIT",
    )


async def test_the_queue_is_purged_and_restored_within_its_station(station: Station) -> None:
    code = await queued(station)
    sql, now = station.postgres.sql, station.now() + timedelta(minutes=1)
    to_clifton(station, "disclosures")
    to_clifton(station, "webhook_deliveries", ", id = gen_random_uuid(), purged_at = now()")
    sql("police_link", f"DELETE FROM disclosures WHERE tenant = '{SADDAR}'")
    async with station.world.worker.transaction(BOTH) as session:
        assert await deliveries.purge(session, CLIFTON, code, now) == 0
        assert await deliveries.purge(session, SADDAR, code, now) == 1
        assert await deliveries.restore(session, [(SADDAR, code)], now) == 0
        # Clifton can read something under that code, but no referral of it ever arrived there.
        assert await deliveries.restore(session, [(CLIFTON, code)], now) == 0
    sql("police_link", f"UPDATE disclosures SET tenant = '{SADDAR}'")
    async with station.world.worker.transaction(BOTH) as session:
        assert await deliveries.restore(session, [(CLIFTON, code)], now) == 0
        assert await deliveries.restore(session, [(SADDAR, code)], now) == 1


async def test_a_subscription_counts_what_waits_for_its_own_station(station: Station) -> None:
    await queued(station)
    to_clifton(station, "webhook_deliveries", ", id = gen_random_uuid()")
    async with station.world.worker.transaction(BOTH) as session:
        [own] = await subscriptions.page(session, SADDAR, after=0, limit=9)
        assert own.queued == 1


async def test_of_many_at_once_each_is_judged_by_its_own_withdrawals(station: Station) -> None:
    """Each of the two lost a category that the other still has."""
    gate, tell = station.world.gate, station.world.tell
    name = ("person", {"full_name": "Invented"})
    one, other = await queued(station), await queued(station)
    for code in (one, other):
        await tell(gate.disclosed(code, SADDAR, Category.IDENTITY, name))
    await tell(gate.withdrawn(one, SADDAR, Category.INCIDENT), gate.withdrawn(other, SADDAR, Category.IDENTITY))
    both, now = [(SADDAR, one), (SADDAR, other)], station.now() + timedelta(minutes=1)
    station.postgres.sql("police_link", "UPDATE webhook_deliveries SET purged_at = now() WHERE referral IS NOT NULL")
    [purged] = station.rows("SELECT count(*) FROM webhook_deliveries WHERE purged_at IS NOT NULL")
    async with station.world.worker.transaction([SADDAR]) as session:
        assert await deliveries.worth_telling(session, both) == set(both)
        assert await deliveries.restore(session, both, now) == int(purged) > 0
