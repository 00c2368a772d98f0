"""Relay and consumer interrupted wherever they wait: what is sent is never less and never out of order, and what takes
effect does so once."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from counting import Count
from stepping import How, Process, sweep

from amanat.db import Database
from amanat.inbox import Inbox
from amanat.kafka import Outgoing, Published
from amanat.received import Received
from amanat.relay import Relay
from amanat_local.postgres import Postgres

from .effects import Effects
from .making import P1, P2, P3, came
from .test_relay import Taking, saved, waiting

pytestmark = pytest.mark.fault


class Waiting(Taking):
    """A broker that takes a moment for each row, so that the relay can be interrupted among them."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def publish(self, given: list[Outgoing], /) -> Published:  # type: ignore[override]
        outcome = Published()
        for row in given:
            self.taken.append(row)
            outcome.sent.append(row.id)
            async with self._database.engine.connect():  # another's suspension, as long as a round trip
                pass
        return outcome


@pytest.mark.parametrize("how", How)
async def test_what_waits_is_sent_in_its_order_wherever_the_relay_is_interrupted(
    cluster: Postgres, worker: Database, how: How, count: Count
) -> None:
    brokers: dict[int, Waiting] = {}
    relays: dict[int, Relay] = {}

    async def prepare(number: int) -> None:
        await saved(worker, P1, P2)

    async def relay(number: int) -> None:
        brokers[number] = Waiting(worker)
        relays[number] = Relay(worker, brokers[number], "police-link", holder="one")
        await relays[number].once()

    async def judge(number: int) -> None:
        # A killed one is another process, which has the same broker; a cancelled one may go on itself.
        again = relays[number] if how is How.CANCELLED else Relay(worker, brokers[number], "police-link", holder="one")
        while await waiting(worker):
            await again.once()
        for referral in (P1, P2):
            assert list(dict.fromkeys(brokers[number].serials(referral))) == ["0001", "0002", "0003"]
        await again.run(_stopped())
        cluster.sql("police_link", "TRUNCATE outbox")

    points = await sweep(relay, judge, how, Process((worker,)), prepare=prepare)
    assert points >= 15
    count(f"suspension points where something was {how}", points)


def _stopped() -> asyncio.Event:
    stop = asyncio.Event()
    stop.set()
    return stop


@pytest.mark.parametrize("how", How)
async def test_each_event_takes_effect_once_wherever_the_consumer_is_interrupted(
    cluster: Postgres, worker: Database, inbox: Inbox, effects: Effects, how: How, count: Count
) -> None:
    batches: dict[int, list[Received]] = {}

    def batch(number: int) -> list[Received]:
        return [
            came(referral, body=body, offset=number, event_id=UUID(int=number * 100 + place))
            for place, (referral, body) in enumerate([(P1, b"one"), (P2, b"poison"), (P1, b"two"), (P3, b"three")])
        ]

    async def consume(number: int) -> None:
        cluster.sql("police_link", "TRUNCATE effects, parked")
        batches[number] = batch(number)
        await inbox.process(batches[number])

    async def judge(number: int) -> None:
        await inbox.process(batches[number])
        assert (effects.of(P1), effects.of(P2), effects.of(P3)) == (["one", "two"], [], ["three"])
        parked = cluster.sql("police_link", "SELECT event_id FROM parked WHERE released_at IS NULL").split()
        assert [UUID(each) for each in parked] == [batches[number][1].event_id]

    points = await sweep(consume, judge, how, Process((worker,)))
    assert points >= 20
    count(f"suspension points where something was {how}", points)
