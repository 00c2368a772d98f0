"""Both ends against librdkafka's mock cluster: what it can show. Durability and ACLs are shown on Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka import Consumer as LibrdkafkaConsumer
from confluent_kafka import Producer as Librdkafka
from confluent_kafka import TopicPartition as At
from confluent_kafka.admin import AdminClient
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import Database
from amanat.groups import set_back
from amanat.inbox import Inbox
from amanat.kafka import Consumer, Received, Stalled, make_producer
from amanat.relay import Relay
from amanat_local.postgres import Postgres

from .conftest import Kafka, made_topic
from .making import KIT, P1, P2, SADDAR, kit, say
from .readers import Group, outgoing, published, until


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex[:8]}"


async def test_what_is_published_is_read_in_the_order_of_its_key(kafka: Kafka, topic: str, group: str) -> None:
    producer = make_producer(kafka)
    keys = [P1, P2, *(f"P-{number:04}" for number in range(10))]
    rows = [outgoing(topic, key, str(number).encode()) for number in range(30) for key in keys]
    await published(producer, *rows)
    await producer.stop()
    async with Group(kafka, topic, group) as reader:
        await until(lambda: len(reader.taken) == len(rows))
        for key in keys:
            assert reader.bodies(key) == [str(number).encode() for number in range(30)]
        first = reader.taken[0]
        assert (first.type, first.referral, first.organisation) == (KIT, first.key, SADDAR)


class Picky:
    """A client whose broker takes no record larger than 1,000 bytes, as brokers do for a whole batch at once."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> PickyBatch:
        return PickyBatch()

    async def send_batch(self, batch: PickyBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        acknowledged = asyncio.get_running_loop().create_future()
        if any(len(value) > 1000 for value in batch.values):
            acknowledged.set_exception(MessageSizeTooLargeError())
        else:
            self.taken.extend(batch.values)
            acknowledged.set_result(None)
        return acknowledged

    async def stop(self) -> None:
        raise AssertionError("a record's own fault is no reason to reconnect")


class PickyBatch:
    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: object) -> object:
        self.values.append(value)
        return object()

    def close(self) -> None:
        """As a batch is."""


async def test_a_record_that_is_refused_holds_back_its_own_key_alone(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, broker = make_producer(kafka), Picky()
    monkeypatch.setattr(producer, "_client", broker)
    outcome = await producer.publish(
        [
            outgoing("t", P1, b"1", id=1),
            outgoing("t", P2, b"2", id=2),
            outgoing("t", P1, b"x" * 2000, id=3),
            outgoing("t", P2, b"4", id=4),
            outgoing("t", P1, b"5", id=5),
        ]
    )
    assert (outcome.failed_topics, outcome.failed_keys) == (set(), {P1})
    assert sorted(outcome.sent) == [1, 2, 4]
    assert broker.taken == [b"1", b"2", b"4"]


async def test_a_broker_that_is_away_fails_in_time_and_is_used_when_it_is_there(
    mock: Librdkafka, kafka: Kafka, topic: str
) -> None:
    away = make_producer(Kafka("127.0.0.1:1"))
    outcome = await asyncio.wait_for(away.publish([outgoing(topic, P1, b"1")]), 30)
    assert outcome.failed_topics == {topic}
    assert outcome.sent == []
    await away.stop()


async def test_a_batch_that_fails_is_tried_again_until_it_settles(kafka: Kafka, topic: str, group: str) -> None:
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"1"))
    async with Group(kafka, topic, group, fails=3) as reader:
        await until(lambda: reader.bodies(P1) == [b"1"])
        assert reader.attempts == 4
    await producer.stop()


async def test_a_restart_goes_on_behind_what_was_settled(kafka: Kafka, topic: str, group: str) -> None:
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"1"))
    async with Group(kafka, topic, group) as first:
        await until(lambda: first.bodies(P1) == [b"1"])
    await published(producer, outgoing(topic, P1, b"2"))
    async with Group(kafka, topic, group) as second:
        await until(lambda: len(second.taken) > 0)
        await asyncio.sleep(0.3)
        assert second.bodies(P1) == [b"2"]
    await producer.stop()


async def test_a_connection_that_breaks_under_the_client_is_opened_anew(
    kafka: Kafka, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    getmany, broken = AIOKafkaConsumer.getmany, list[AIOKafkaConsumer]()

    async def broken_at_first(client: AIOKafkaConsumer, **asked: int) -> object:
        if not broken:
            broken.append(client)
            raise RuntimeError("unable to perform operation on <TCPTransport closed>; the handler is closed")
        return await getmany(client, **asked)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", broken_at_first)
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"1"))
    await producer.stop()
    async with Group(kafka, topic, group) as reader:
        await until(lambda: reader.bodies(P1) == [b"1"])
    assert broken


async def test_a_coordinator_that_stays_silent_is_connected_to_anew_and_then_hears_the_offsets(
    kafka: Kafka, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard: list[AIOKafkaConsumer] = []
    heard: list[AIOKafkaConsumer] = []
    commit = AIOKafkaConsumer.commit

    async def silent_to_the_first(client: AIOKafkaConsumer, offsets: object) -> None:
        if client in unheard or not unheard:
            unheard.append(client)
            await asyncio.Event().wait()
        await commit(client, offsets)
        heard.append(client)

    monkeypatch.setattr(AIOKafkaConsumer, "commit", silent_to_the_first)
    monkeypatch.setattr("amanat.kafka.consumer._ASK_S", 0.5)
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"1"))
    async with Group(kafka, topic, group) as reader:
        await until(lambda: bool(heard))
        assert reader.bodies(P1) == [b"1", b"1"]
    await published(producer, outgoing(topic, P1, b"2"))
    await producer.stop()
    async with Group(kafka, topic, group) as after:
        await until(lambda: bool(after.taken))
        assert after.bodies(P1) == [b"2"]


async def test_what_was_not_settled_comes_again_after_a_restart(kafka: Kafka, topic: str, group: str) -> None:
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"1"))
    async with Group(kafka, topic, group, fails=1000) as first:
        await until(lambda: first.attempts > 1)
    async with Group(kafka, topic, group) as second:
        await until(lambda: second.bodies(P1) == [b"1"])
    await producer.stop()


async def test_offsets_of_a_lost_log_are_out_of_range_and_reading_begins_at_the_earliest(
    kafka: Kafka, topic: str, group: str
) -> None:
    keeper = LibrdkafkaConsumer({"bootstrap.servers": kafka.kafka_bootstrap, "group.id": group})
    keeper.commit(offsets=[At(topic, partition, 5000) for partition in range(4)], asynchronous=False)
    keeper.close()
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"refilled"))
    async with Group(kafka, topic, group) as reader:
        await until(lambda: reader.bodies(P1) == [b"refilled"])
    await producer.stop()


async def test_a_groups_offsets_are_reset_to_the_earliest(kafka: Kafka, topic: str, group: str) -> None:
    partitions = [At(topic, partition, 7) for partition in range(4)]
    keeper = LibrdkafkaConsumer({"bootstrap.servers": kafka.kafka_bootstrap, "group.id": group})
    keeper.commit(offsets=partitions, asynchronous=False)
    admin = AdminClient({"bootstrap.servers": kafka.kafka_bootstrap})
    await asyncio.to_thread(set_back, admin, {group: [topic]})
    committed = await asyncio.to_thread(keeper.committed, partitions, 10)
    keeper.close()
    assert [partition.offset for partition in committed] == [0, 0, 0, 0]


async def test_lag_without_progress_ends_the_process(kafka: Kafka, topic: str, group: str) -> None:
    producer = make_producer(kafka)
    await published(producer, outgoing(topic, P1, b"1"))
    stuck = Group(kafka, topic, group, fails=1000, stall_seconds=2)
    await stuck.__aenter__()
    await asyncio.wait({stuck.task}, timeout=30)
    with pytest.raises(Stalled):
        await stuck.task
    await producer.stop()


async def test_waiting_without_lag_is_no_stall(kafka: Kafka, topic: str, group: str) -> None:
    async with Group(kafka, topic, group, stall_seconds=1) as idle:
        await until(lambda: idle.consumer.ready)
        await asyncio.sleep(2.5)
        assert not idle.task.done()


async def test_a_stop_that_meets_the_answer_about_the_lag_is_not_lost(
    kafka: Kafka, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[AIOKafkaConsumer] = []

    async def met_by_its_result(client: AIOKafkaConsumer, partitions: object) -> dict[object, int]:
        asked.append(client)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if len(asked) > 1:
                raise
        return {}

    monkeypatch.setattr(AIOKafkaConsumer, "end_offsets", met_by_its_result)
    monkeypatch.setattr("amanat.waiting._AGAIN_S", 0.5)
    async with asyncio.timeout(30), Group(kafka, topic, group, stall_seconds=0.4):
        await until(lambda: bool(asked))


async def test_a_broker_that_is_away_is_waited_for(group: str) -> None:
    async with Group(Kafka("127.0.0.1:1"), "disclosures.x", group, stall_seconds=1) as waiting:
        await asyncio.sleep(2)
        assert not waiting.task.done()
        assert not waiting.consumer.ready


async def test_from_outbox_to_effect_a_crash_of_the_relay_delivers_twice_and_takes_effect_once(
    cluster: Postgres,
    mock: Librdkafka,
    kafka: Kafka,
    group: str,
    worker: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = made_topic(mock)
    effects: list[bytes] = []

    async def effect(session: AsyncSession, events: Sequence[Received]) -> None:
        effects.extend(event.event().body() for event in events)

    inbox = Inbox(worker, {KIT: effect}, frozenset(), lambda event: event.organisation)
    delivered: list[Received] = []

    async def settle(batch: Sequence[Received]) -> None:
        await inbox.process(batch)
        delivered.extend(batch)

    async with worker.transaction([SADDAR]) as session:
        await say(session, topic, *[kit(P1, number) for number in range(3)])

    async def crash(self: Relay, sent: Sequence[int]) -> None:
        if sent:
            raise ConnectionAbortedError

    producer = make_producer(kafka)
    with monkeypatch.context() as before:
        before.setattr(Relay, "_mark", crash)
        with pytest.raises(ConnectionAbortedError):
            await Relay(worker, producer, "police-link", holder="one").once()
    stop = asyncio.Event()
    running = [
        asyncio.create_task(Relay(worker, producer, "police-link", holder="one").run(stop)),
        asyncio.create_task(Consumer(kafka, [topic], group, settle, instance=group).run(stop)),
    ]
    await until(lambda: len(delivered) == 6)
    stop.set()
    await asyncio.gather(*running)
    assert len({event.event_id for event in delivered}) == 3
    assert [f"KIT-{number:04}".encode() in body for number, body in enumerate(effects)] == [True] * 3
