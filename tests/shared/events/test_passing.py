"""A withdrawal passes a row of its referral that Kafka refuses for itself: the producer's half, alone and at work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from amanat.db import Database
from amanat.kafka import Outgoing, make_producer
from amanat.relay import Relay
from amanat.tables import outbox

from .conftest import Kafka
from .making import DISCLOSED, KIT, P1, P2, SADDAR, WITHDRAWN, disclosed, kit, say, withdrawn
from .readers import outgoing
from .test_kafka import Picky

TOO_LARGE = b"x" * 2000


def _tombstone(key: str, body: bytes, id: int) -> Outgoing:
    row = outgoing("t", key, body, id=id)
    return replace(row, headers={**row.headers, "ce_type": WITHDRAWN})


async def test_a_tombstone_goes_behind_a_record_of_its_referral_that_is_refused_and_nothing_else_of_it_does(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, broker = make_producer(kafka), Picky()
    monkeypatch.setattr(producer, "_client", broker)
    outcome = await producer.publish(
        [
            outgoing("t", P1, b"before", id=1),
            outgoing("t", P1, TOO_LARGE, id=2),
            outgoing("t", P1, b"behind", id=3),
            _tombstone(P1, b"tombstone", id=4),
            outgoing("t", P1, b"behind the tombstone", id=5),
            outgoing("t", P2, b"another's", id=6),
        ]
    )
    assert broker.taken == [b"before", b"tombstone", b"another's"]
    assert sorted(outcome.sent) == [1, 4, 6]
    assert (outcome.failed_topics, outcome.failed_keys) == (set(), {P1})


async def test_from_the_outbox_to_kafka_in_one_look_a_tombstone_passes_what_cannot_go(
    worker: Database, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, broker = make_producer(kafka), Picky()
    monkeypatch.setattr(producer, "_client", broker)
    too_large = disclosed(P1).model_copy(update={"sealed": TOO_LARGE})
    async with worker.transaction([SADDAR]) as session:
        await say(session, "disclosures.police-link", too_large, kit(P1), withdrawn(P1))
    await Relay(worker, producer, "police-link").once()
    async with worker.transaction(()) as session:
        rows = await session.execute(select(outbox.c.type, outbox.c.published_at).order_by(outbox.c.id))
        published = [(row.type, row.published_at is not None) for row in rows]
    assert published == [(DISCLOSED, False), (KIT, False), (WITHDRAWN, True)]
    assert len(broker.taken) == 1
