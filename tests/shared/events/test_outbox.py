"""An event is saved with its fact, taken back only unpublished, replayed without what was withdrawn."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import ProgrammingError

from amanat import outbox
from amanat.contracts.disclosures import TombstonesRequested
from amanat.db import Database
from amanat.tables import inbox
from amanat.tables import outbox as rows
from amanat.telemetry import span, traceparent
from amanat_local.postgres import Postgres

from .making import CLIFTON, NOW, P1, P2, SADDAR, disclosed, kit, say, withdrawn

TOPIC = "disclosures.police-link"


@dataclass(frozen=True)
class Ages:
    outbox_retention_days: int = 28
    topic_retention_days: int = 7
    inbox_retention_days: int = 60


async def unpublished(database: Database) -> list[str]:
    async with database.transaction(()) as session:
        found = select(rows.c.type).where(rows.c.published_at.is_(None), rows.c.cancelled_at.is_(None))
        return list(await session.scalars(found.order_by(rows.c.id)))


async def publish_all(database: Database, at: datetime = NOW) -> None:
    async with database.transaction(()) as session:
        await session.execute(update(rows).where(rows.c.cancelled_at.is_(None)).values(published_at=at))


async def test_a_rolled_back_fact_leaves_no_event(worker: Database) -> None:
    async def fails() -> None:
        async with worker.transaction([SADDAR]) as session:
            await say(session, TOPIC, kit(P1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await unpublished(worker) == []


async def test_the_headers_are_cloudevents_in_binary_mode_and_carry_the_trace(worker: Database) -> None:
    with span("a request"):
        parent = traceparent()
        async with worker.transaction([SADDAR]) as session:
            (event_id,) = await say(session, TOPIC, kit(P1))
    async with worker.transaction(()) as session:
        row = (await session.execute(select(rows))).one()
    assert row.headers == {
        "ce_specversion": "1.0",
        "ce_id": str(event_id),
        "ce_type": "pk.amanat.kit-announced.v1",
        "ce_source": "/intake",
        "ce_subject": P1,
        "ce_time": "2026-03-01T09:30:00+00:00",
        "ce_seq": "1",
        "ce_organisation": SADDAR,
        "content-type": "application/json",
        "traceparent": parent,
    }
    assert (row.key, row.referral, row.tenant) == (P1, P1, SADDAR)
    assert json.loads(row.body)["barcode"] == "KIT-0001"


async def test_cancelling_takes_back_unpublished_disclosures_of_the_epoch_and_older(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1, epoch=1), disclosed(P1, epoch=2), disclosed(P1, epoch=3))
        await say(session, TOPIC, disclosed(P1, "identity"), disclosed(P2), kit(P1))
    async with worker.transaction([SADDAR]) as session:
        assert await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=2) == 2
    assert len(await unpublished(worker)) == 4


async def test_cancelling_never_touches_published_rows(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1))
    await publish_all(worker)
    async with worker.transaction([SADDAR]) as session:
        assert await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=9) == 0
        assert await session.scalar(select(func.count()).where(rows.c.cancelled_at.is_not(None))) == 0


async def test_cancelling_never_takes_back_the_tombstone(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, withdrawn(P1))
        assert await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=9) == 0


async def test_the_http_process_cancels_its_own_tenants_events_alone(gate: Database, main: Database) -> None:
    async with gate.transaction([SADDAR, CLIFTON]) as session:
        await say(session, TOPIC, disclosed(P1), tenant=CLIFTON)
    async with main.transaction([SADDAR]) as session:
        assert await outbox.cancel(session, tenant=CLIFTON, referral=P1, category="incident", epoch_upto=9) == 0
    async with main.transaction([CLIFTON]) as session:
        assert await outbox.cancel(session, tenant=CLIFTON, referral=P1, category="incident", epoch_upto=9) == 1


async def test_what_is_taken_back_is_the_asking_tenants_even_where_the_transaction_sees_two(worker: Database) -> None:
    async with worker.transaction([SADDAR, CLIFTON]) as session:
        await say(session, TOPIC, disclosed(P1), kit(P1), tenant=CLIFTON)
        assert await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=9) == 0
        assert await outbox.cancel_news(session, tenant=SADDAR, referral=P1) == 0
        assert await outbox.cancel(session, tenant=CLIFTON, referral=P1, category="incident", epoch_upto=9) == 1
        assert await outbox.cancel_news(session, tenant=CLIFTON, referral=P1) == 1


async def test_the_http_process_cannot_take_back_a_tombstone(main: Database) -> None:
    async with main.transaction([SADDAR]) as session:
        await say(session, TOPIC, withdrawn(P1))
        await say(session, TOPIC, disclosed(P1))
        taken_back = update(rows).values(cancelled_at=NOW).returning(rows.c.type)
        assert list(await session.scalars(taken_back)) == [outbox.DISCLOSED]


async def test_the_http_process_takes_back_nothing_that_the_gate_asked_or_already_sent(
    gate: Database, main: Database
) -> None:
    async with gate.transaction(()) as session:
        await say(session, TOPIC, disclosed(P1), kit(P1))
    await publish_all(gate)
    async with gate.transaction(()) as session:
        await say(session, TOPIC, TombstonesRequested(request_id=uuid4(), requested_at=NOW))
    async with main.transaction([SADDAR]) as session:
        assert list(await session.scalars(update(rows).values(cancelled_at=NOW).returning(rows.c.type))) == []


async def test_what_was_taken_back_is_not_put_forth_again_by_the_http_process(main: Database) -> None:
    async with main.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1))
        assert await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=1) == 1
    async with main.transaction([SADDAR]) as session:
        assert list(await session.scalars(update(rows).values(cancelled_at=None).returning(rows.c.type))) == []
        await say(session, TOPIC, disclosed(P2))
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with main.transaction([SADDAR]) as session:
            await session.execute(update(rows).values(cancelled_at=None))


async def test_an_agencys_http_process_takes_back_nothing(api: Database) -> None:
    async with api.transaction([SADDAR]) as session:
        await say(session, "facts.police-link", kit(P1))
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with api.transaction([SADDAR]) as session:
            await session.execute(update(rows).values(cancelled_at=NOW))


@pytest.mark.parametrize("topic", ["checkpoints.intake", "checkpoints.police-link", "facts.police-link", ""])
async def test_intakes_http_process_speaks_on_disclosures_alone(gate: Database, main: Database, topic: str) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with main.transaction([SADDAR]) as session:
            await say(session, topic, kit(P1))
    async with gate.transaction([SADDAR]) as session:
        await say(session, topic, kit(P1))


@pytest.mark.parametrize("topic", ["checkpoints.police-link", "facts.forensics", "facts.police-link2", TOPIC])
async def test_an_agencys_http_process_speaks_on_its_own_facts_alone(
    worker: Database, api: Database, topic: str
) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with api.transaction([SADDAR]) as session:
            await say(session, topic, kit(P1))
    async with worker.transaction([SADDAR]) as session:
        await say(session, topic, kit(P1))


async def test_the_relay_is_notified_once_for_all_events_of_a_flush(worker: Database) -> None:
    heard: list[None] = []
    ear = await worker.listen(lambda: heard.append(None))
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, *[kit(P1, number) for number in range(5)])
        await asyncio.sleep(0.1)
        assert not heard, "before the commit there is nothing to fetch"
    await asyncio.sleep(0.3)
    await ear.close()
    assert len(heard) == 1


async def test_notifications_of_many_commits_are_coalesced(worker: Database) -> None:
    heard: list[None] = []
    ear = await worker.listen(lambda: heard.append(None))

    async def commit(number: int) -> None:
        async with worker.transaction([SADDAR]) as session:
            await say(session, TOPIC, kit(P1, number))

    await asyncio.gather(*(commit(number) for number in range(20)))
    await asyncio.sleep(0.3)
    await ear.close()
    assert 1 <= len(heard) < 20


async def test_a_transaction_without_events_notifies_nobody(worker: Database) -> None:
    heard: list[None] = []
    ear = await worker.listen(lambda: heard.append(None))
    async with worker.transaction([SADDAR]) as session:
        await session.execute(select(1))
    await asyncio.sleep(0.2)
    await ear.close()
    assert not heard


async def test_a_replay_sends_tombstones_and_skips_dead_epochs(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1, epoch=1), withdrawn(P1, epoch=1), disclosed(P1, epoch=2))
        await say(session, TOPIC, disclosed(P1, "identity", epoch=1), disclosed(P2, epoch=1), kit(P1))
    await publish_all(worker)
    async with worker.transaction(()) as session:
        assert await outbox.replay(session) == 5
    async with worker.transaction(()) as session:
        left = (await session.execute(select(rows).where(rows.c.published_at.is_not(None)))).all()
    assert [(row.referral, row.category, row.epoch) for row in left] == [(P1, "incident", 1)]


async def test_a_replay_leaves_cancelled_rows_alone(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, disclosed(P1), kit(P1))
        await outbox.cancel(session, tenant=SADDAR, referral=P1, category="incident", epoch_upto=1)
    await publish_all(worker)
    async with worker.transaction(()) as session:
        assert await outbox.replay(session) == 1
    assert await unpublished(worker) == ["pk.amanat.kit-announced.v1"]


async def test_a_replay_of_one_topic_leaves_the_others(worker: Database) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, kit(P1))
        await say(session, "disclosures.forensics", kit(P2))
    await publish_all(worker)
    async with worker.transaction(()) as session:
        assert await outbox.replay(session, "disclosures.forensics") == 1


@pytest.mark.parametrize(("days", "left"), [(0, 1), (13, 1), (15, 0)])
async def test_what_was_published_late_stays_as_long_as_a_broker_may_lose_it(
    worker: Database, days: int, left: int
) -> None:
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, kit(P1), now=NOW - timedelta(days=90))
    await publish_all(worker, NOW - timedelta(days=days))
    async with worker.transaction([SADDAR]) as session:
        await outbox.prune(session, Ages(), NOW)
        assert await session.scalar(select(func.count()).select_from(rows)) == left


async def test_pruning_keeps_what_is_young_and_what_was_never_published(worker: Database, cluster: Postgres) -> None:
    old = NOW - timedelta(days=29)
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, kit(P1), now=old)
        await say(session, TOPIC, kit(P2), now=NOW)
    await publish_all(worker, old)
    async with worker.transaction([SADDAR]) as session:
        await say(session, TOPIC, kit(P1, 2), now=old)
        for age in (59, 61):
            await session.execute(
                insert(inbox).values(event_id=uuid4(), type="t", received_at=NOW - timedelta(days=age))
            )
    async with worker.transaction([SADDAR]) as session:
        assert await outbox.prune(session, Ages(), NOW) == 2
        assert await outbox.prune(session, Ages(), NOW) == 0
    assert cluster.sql("police_link", "SELECT count(*) FROM outbox").strip() == "2"
    assert cluster.sql("police_link", "SELECT count(*) FROM inbox").strip() == "1"
