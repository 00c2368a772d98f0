"""Both ends against Apache Kafka: kills, sessions, users. What the mock cluster cannot show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from amanat.categories import Agency
from amanat.cli import kafka_admin
from amanat.groups import NotSetBack, set_back, topics_of
from amanat.kafka import make_producer
from amanat_local.kafka import KafkaServer
from amanat_local.kept import Kept

from .conftest import Kafka
from .making import P1, P2
from .readers import Group, outgoing, published, until

pytestmark = [pytest.mark.stack, pytest.mark.real]
TOPIC = "disclosures.police-link"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    folder = Path(tmp_path_factory.mktemp("kafka"))
    running = KafkaServer(folder / "kafka", folder, Kept.read(folder), preferred=False)
    try:
        running.start()
        yield running
    finally:
        running.process.stop()


def user(server: KafkaServer, name: str) -> Kafka:
    return Kafka(server.address.bootstrap, "scram", name, server.address.users[name])


@pytest.fixture
def gate(server: KafkaServer) -> Kafka:
    return user(server, "intake-gate")


@pytest.fixture
def agency(server: KafkaServer) -> Kafka:
    return user(server, "police-link")


async def test_a_static_members_restart_goes_on_at_once_behind_what_was_settled(gate: Kafka, agency: Kafka) -> None:
    producer = make_producer(gate)
    await published(producer, outgoing(TOPIC, P1, b"1"))
    async with Group(agency, TOPIC, "police-link") as first:
        await until(lambda: first.bodies(P1) == [b"1"])
    await published(producer, outgoing(TOPIC, P1, b"2"))
    began = time.monotonic()
    async with Group(agency, TOPIC, "police-link") as second:
        await until(lambda: second.bodies(P1) == [b"2"])
    assert time.monotonic() - began < 5, "it did not wait for its former session to end"
    await producer.stop()


async def test_both_ends_outlive_a_killed_broker_and_keep_the_order(
    server: KafkaServer, gate: Kafka, agency: Kafka
) -> None:
    producer = make_producer(gate)
    sent: dict[str, list[bytes]] = {P1: [], P2: []}

    async def send(number: int) -> None:
        """As the relay does: what was not acknowledged is sent again, before anything later of its key."""
        rows = {row.id: row for row in (outgoing(TOPIC, key, b"%d" % number, id=n) for n, key in enumerate(sent))}
        while rows:
            for acknowledged in (await producer.publish(list(rows.values()))).sent:
                key = rows.pop(acknowledged).key
                assert key is not None
                sent[key].append(b"%d" % number)

    def first_arrivals(reader: Group) -> dict[str, list[bytes]]:
        return {key: list(dict.fromkeys(body for body in reader.bodies(key) if len(body) == 4)) for key in sent}

    async with Group(agency, TOPIC, "police-link") as reader:
        for number in range(1000, 1010):
            await send(number)
        await until(lambda: first_arrivals(reader) == sent)
        server.process.kill()
        late = asyncio.create_task(send(1010))
        await asyncio.sleep(1)
        assert not reader.task.done()
        await asyncio.to_thread(server.process.start)
        await asyncio.to_thread(server.process.wait)
        await late
        for number in range(1011, 1020):
            await send(number)
        await until(lambda: first_arrivals(reader) == sent, seconds=60)
    await producer.stop()


async def test_a_broker_that_dies_between_a_batch_and_its_commit_is_waited_for_and_then_hears_of_it(
    server: KafkaServer, gate: Kafka, agency: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amanat.kafka.consumer._ASK_S", 2.0)
    producer = make_producer(gate)
    async with Group(agency, TOPIC, "police-link") as reader:
        await until(lambda: reader.consumer.ready)
        reader.before_settling = lambda: asyncio.to_thread(server.process.kill)
        await published(producer, outgoing(TOPIC, P1, b"the last before"))
        await until(lambda: b"the last before" in reader.bodies(P1))
        await asyncio.sleep(5)  # longer than a commit is waited for, and than the client takes to be left
        assert not reader.task.done()
        reader.before_settling = None
        await asyncio.to_thread(server.start)
        await published(producer, outgoing(TOPIC, P1, b"the first after"))
        await until(lambda: b"the first after" in reader.bodies(P1), seconds=60)
    async with Group(agency, TOPIC, "police-link") as second:
        await published(producer, outgoing(TOPIC, P1, b"later"))
        await until(lambda: b"later" in second.bodies(P1))
        assert b"the last before" not in second.bodies(P1)
    await producer.stop()
    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
    assert not {name for name in left if name.startswith(("AIOKafka", "Fetcher", "GroupCoordinator"))}


async def test_a_group_is_reset_once_its_members_sessions_have_ended(
    server: KafkaServer, gate: Kafka, agency: Kafka
) -> None:
    producer = make_producer(gate)
    await published(producer, outgoing(TOPIC, P1, b"again"))
    async with Group(agency, TOPIC, "police-link") as first:
        await until(lambda: b"again" in first.bodies(P1))
    administrator = server.administer()  # held: its answers die with it
    await asyncio.to_thread(set_back, administrator, {"police-link": [TOPIC]})
    async with Group(agency, TOPIC, "police-link") as second:
        await until(lambda: b"again" in second.bodies(P1))
        both = {"forensics": ["disclosures.forensics"], "police-link": [TOPIC]}
        with pytest.raises(NotSetBack, match="the worker of police-link must be stopped first"):
            await asyncio.to_thread(set_back, administrator, both, wait_s=1)
    lost = {"forensics": ["disclosures.forensics", "disclosures.nobody"]}
    with pytest.raises(NotSetBack, match=r"no topic disclosures\.nobody"):
        await asyncio.to_thread(set_back, administrator, lost, wait_s=1)
    listed = administrator.list_consumer_group_offsets([ConsumerGroupTopicPartitions("forensics")])
    found = await asyncio.to_thread(listed["forensics"].result, 20)
    assert found.topic_partitions == [], "what could not be set back altogether was not at all"
    await producer.stop()


async def test_a_services_own_user_sets_its_own_groups_back_and_nobody_elses(
    server: KafkaServer, gate: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bootstrap", "security", "user", "password"):
        monkeypatch.setenv(f"AMANAT_KAFKA_{name.upper()}", getattr(gate, f"kafka_{name}"))
    as_gate = AdminClient(kafka_admin())
    await asyncio.to_thread(set_back, as_gate, topics_of(Agency.INTAKE))
    with pytest.raises(NotSetBack, match="AUTHORIZATION_FAILED"):
        await asyncio.to_thread(set_back, as_gate, topics_of(Agency.FORENSICS))


async def test_a_topic_that_is_forbidden_fails_in_time_and_the_allowed_one_goes_on(agency: Kafka) -> None:
    producer = make_producer(agency)
    rows = [outgoing("disclosures.forensics", P1, b"1", id=1), outgoing("facts.police-link", P1, b"2", id=2)]
    outcome = await asyncio.wait_for(producer.publish(rows), 40)
    assert outcome.failed_topics == {"disclosures.forensics"}
    assert outcome.sent == [2]
    await producer.stop()


async def test_a_reader_that_is_forbidden_waits_and_is_not_ready(agency: Kafka) -> None:
    async with Group(agency, "disclosures.forensics", "police-link") as forbidden:
        await asyncio.sleep(3)
        assert not forbidden.consumer.ready
        assert not forbidden.task.done()
