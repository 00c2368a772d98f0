"""The relay: order of a referral, one at a time, nothing lost when it dies between publishing and marking."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import func, select, text, update

from amanat import outbox, relay
from amanat.db import Database
from amanat.kafka import Outgoing, Published
from amanat.relay import Relay
from amanat.tables import outbox as rows
from amanat.tables import relay_lease
from amanat_local.postgres import Postgres

from .making import P1, P2, SADDAR, WITHDRAWN, disclosed, kit, say, withdrawn

TOPIC = "disclosures.police-link"


class Taking:
    """A producer that notes what it was given and, where told to, refuses."""

    def __init__(self, *, refuse_topic: Callable[[], bool] = lambda: False, refuse_keys: Sequence[str] = ()) -> None:
        self.taken: list[Outgoing] = []
        self._refuse_topic = refuse_topic
        self._refuse_keys = set(refuse_keys)

    async def publish(self, given: Sequence[Outgoing], /) -> Published:
        outcome = Published()
        for row in given:
            if self._refuse_topic():
                outcome.failed_topics.add(row.topic)
            elif row.key in self._refuse_keys and not row.passes:
                outcome.failed_keys.add(row.key)
            else:
                self.taken.append(row)
                outcome.sent.append(row.id)
        return outcome

    async def stop(self) -> None:
        return None

    def serials(self, key: str) -> list[str]:
        return [row.body.decode().split("KIT-")[1][:4] for row in self.taken if row.key == key]


async def saved(database: Database, *referrals: str, numbers: Sequence[int] = (1, 2, 3)) -> None:
    async with database.transaction([SADDAR]) as session:
        await say(session, TOPIC, *[kit(referral, number) for number in numbers for referral in referrals])


async def waiting(database: Database) -> int:
    async with database.transaction(()) as session:
        return await session.scalar(select(func.count()).where(rows.c.published_at.is_(None))) or 0


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Running:
    """A relay at work, stopped on leaving."""

    def __init__(self, relay: Relay) -> None:
        self._relay, self._stop = relay, asyncio.Event()

    async def __aenter__(self) -> Relay:
        self._task = asyncio.create_task(self._relay.run(self._stop))
        return self._relay

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task


async def test_the_events_of_a_referral_go_out_in_their_order(worker: Database) -> None:
    await saved(worker, P1, P2)
    broker = Taking()
    async with Running(Relay(worker, broker, "police-link")):
        await until(lambda: len(broker.taken) == 6)
    assert broker.serials(P1) == broker.serials(P2) == ["0001", "0002", "0003"]
    assert await waiting(worker) == 0


async def test_rows_that_commit_late_with_an_earlier_number_are_still_sent(worker: Database) -> None:
    broker = Taking()
    relay_ = Relay(worker, broker, "police-link")
    async with worker.transaction([SADDAR]) as slow:
        await say(slow, TOPIC, kit(P1))
        await saved(worker, P2, numbers=[9])
        await relay_.once()
        assert broker.serials(P2) == ["0009"]
    await relay_.once()
    assert broker.serials(P1) == ["0001"]


async def test_a_notification_wakes_it_before_its_poll(worker: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL_S", 30.0)
    broker = Taking()
    stop = asyncio.Event()
    running = Relay(worker, broker, "police-link")
    task = asyncio.create_task(running.run(stop))
    await until(lambda: running.ready)
    await saved(worker, P1, numbers=[1])
    await until(lambda: len(broker.taken) == 1, seconds=2)
    stop.set()
    await saved(worker, P1, numbers=[2])
    await task


async def test_its_poll_finds_what_no_notification_told(cluster: Postgres, worker: Database) -> None:
    broker = Taking()
    async with Running(Relay(worker, broker, "police-link")):
        cluster.sql(
            "police_link",
            "INSERT INTO outbox (event_id, topic, key, tenant, type, headers, body, created_at)"
            " VALUES (gen_random_uuid(), 't', 'k', 's', 'x', '{}', 'KIT-0001', now())",
        )
        await until(lambda: len(broker.taken) == 1)


async def test_cancelled_rows_are_not_sent(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1), kit(P1))
        await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=1)
    broker = Taking()
    await Relay(worker, broker, "police-link").once()
    assert [row.headers["ce_type"] for row in broker.taken] == ["pk.amanat.kit-announced.v1"]


async def test_a_crash_between_publishing_and_marking_publishes_again(
    worker: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    async def crash(self: Relay, sent: Sequence[int]) -> None:
        if sent:
            raise Crash

    await saved(worker, P1)
    broker = Taking()
    with monkeypatch.context() as before_the_crash:
        before_the_crash.setattr(Relay, "_mark", crash)
        with pytest.raises(Crash):
            await Relay(worker, broker, "police-link", holder="one").once()
    assert await waiting(worker) == 3
    await Relay(worker, broker, "police-link", holder="one").once()
    assert broker.serials(P1) == ["0001", "0002", "0003"] * 2
    assert await waiting(worker) == 0


async def test_one_relay_works_and_another_takes_over_when_it_lets_go(worker: Database) -> None:
    first, second = Taking(), Taking()
    other = Relay(worker, second, "police-link", holder="two")
    async with Running(Relay(worker, first, "police-link", holder="one")) as one:
        await until(lambda: one.ready)
        await saved(worker, P1)
        await other.once()
        await until(lambda: len(first.taken) == 3)
        assert second.taken == []
    await saved(worker, P1, numbers=[4])
    async with Running(other):
        await until(lambda: len(second.taken) == 1)
    assert len(first.taken) == 3


async def test_a_relay_that_fell_silent_loses_its_lease(worker: Database) -> None:
    silent = Relay(worker, Taking(), "police-link", holder="one")
    await silent.once()
    async with worker.transaction(()) as session:
        await session.execute(update(relay_lease).values(until=func.now() - text("interval '1 second'")))
    await saved(worker, P1)
    broker = Taking()
    await Relay(worker, broker, "police-link", holder="two").once()
    assert len(broker.taken) == 3


async def test_what_kafka_refuses_stays_and_goes_when_it_is_taken_again(
    worker: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_TOPIC_HELD_S", 0.1)
    away = [True]
    broker = Taking(refuse_topic=lambda: away[0])
    await saved(worker, P1)
    async with Running(Relay(worker, broker, "police-link")) as running:
        await until(lambda: running.ready)
        await asyncio.sleep(0.3)
        assert await waiting(worker) == 3
        away[0] = False
        await until(lambda: len(broker.taken) == 3)
    assert broker.serials(P1) == ["0001", "0002", "0003"]


async def test_a_key_that_cannot_go_does_not_keep_the_others(worker: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_UNPUBLISHED", relay._UNPUBLISHED.limit(5))
    monkeypatch.setattr(relay, "BATCH", 5)
    await saved(worker, P1, numbers=range(1, 9))
    await saved(worker, P2)
    broker = Taking(refuse_keys=[P1])
    async with Running(Relay(worker, broker, "police-link")):
        await until(lambda: len(broker.taken) == 3)
    assert broker.serials(P1) == []
    assert await waiting(worker) == 8


async def test_a_withdrawal_is_not_held_back_by_a_row_of_its_referral_that_cannot_go(worker: Database) -> None:
    await saved(worker, P1)
    broker = Taking(refuse_keys=[P1])
    async with Running(relaying := Relay(worker, broker, "police-link")):
        await until(lambda: ("key", P1) in relaying._held)
        async with worker.transaction([SADDAR]) as session:
            await say(session, TOPIC, withdrawn(P1))
        await until(lambda: len(broker.taken) == 1)
    assert broker.taken[0].headers["ce_type"] == WITHDRAWN
    assert await waiting(worker) == 3


async def test_it_never_waits_for_a_withdrawal_that_holds_a_row(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1), kit(P1))
    broker = Taking()
    running = Relay(worker, broker, "police-link")
    async with worker.transaction([SADDAR]) as withdrawal:
        assert await outbox.cancel(withdrawal, tenant=SADDAR, referral=P1, category="incident", epoch_upto=1) == 1
        async with asyncio.timeout(3):
            await running.once()
            await running.once()
        assert len(broker.taken) == 2, "sent once, though the mark of one waits"
    await running.once()
    assert await waiting(worker) == 0


async def test_it_outlives_a_lost_database_connection(cluster: Postgres, worker: Database) -> None:
    broker = Taking()
    async with Running(Relay(worker, broker, "police-link")) as running:
        await until(lambda: running.ready)
        cluster.sql(
            "police_link",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'police_link_worker'",
        )
        await saved(worker, P1)
        await until(lambda: len(broker.taken) == 3)


async def test_many_referrals_side_by_side_keep_each_its_order(worker: Database) -> None:
    broker = Taking()
    referrals = [f"P-{number:04}" for number in range(20)]

    async def writes(referral: str) -> None:
        for number in range(1, 6):
            await saved(worker, referral, numbers=[number])

    async with Running(Relay(worker, broker, "police-link")):
        await asyncio.gather(*map(writes, referrals))
        await until(lambda: len(broker.taken) == 100, seconds=20)
    found: dict[str | None, list[str]] = defaultdict(list)
    for row in broker.taken:
        found[row.key].append(row.body.decode().split("KIT-")[1][:4])
    assert all(serials == ["0001", "0002", "0003", "0004", "0005"] for serials in found.values())
