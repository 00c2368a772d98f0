"""Who reads what, and what an operator's commands do to the groups after something was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as Librdkafka
from sqlalchemy import func, select, update
from typer.testing import CliRunner, Result

from amanat import groups, outbox_commands
from amanat.categories import OUTSIDE, Agency
from amanat.db import Database
from amanat.groups import groups_of, topics_of
from amanat.tables import outbox as rows
from amanat_local.broker import PARTITIONS, TOPICS
from amanat_local.postgres import Postgres

from .conftest import Kafka
from .making import NOW, P1, SADDAR, disclosed, kit, say

Amanat = Callable[..., Result]


def test_every_topic_is_read_by_those_whom_it_concerns() -> None:
    assert groups_of("disclosures.legal-aid") == ["legal-aid"]
    assert groups_of("facts.police-link") == ["intake"]
    assert groups_of("checkpoints.intake") == ["forensics-ledger", "legal-aid-ledger", "police-link-ledger"]
    assert groups_of("checkpoints.forensics") == ["intake-ledger", "legal-aid-ledger", "police-link-ledger"]
    assert groups_of("of.nobody") == []


def test_together_the_services_read_every_topic_that_the_broker_has() -> None:
    read = [topic for service in Agency for topics in topics_of(service).values() for topic in topics]
    assert set(read) == set(TOPICS)


def test_what_a_service_reads_is_in_the_outboxes_that_are_named_for_it() -> None:
    assert groups.sent_by(Agency.FORENSICS) == [("intake", "disclosures.forensics")]
    assert groups.sent_by(Agency.INTAKE) == [(agency, f"facts.{agency}") for agency in sorted(OUTSIDE)]


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    """A broker of its own with the platform's topics."""
    host = Librdkafka({"test.mock.num.brokers": 1, "allow.auto.create.topics": True, "log_level": 3})
    for topic in TOPICS:
        while len(host.list_topics(topic, timeout=10).topics[topic].partitions) != PARTITIONS:
            pass
    (found,) = host.list_topics(timeout=10).brokers.values()
    yield Kafka(f"{found.host}:{found.port}")
    del host


@pytest.fixture
def amanat(cluster: Postgres, broker: Kafka, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Amanat:
    monkeypatch.chdir(tmp_path)  # no local stack's description
    monkeypatch.setenv("AMANAT_DATABASE_URL", cluster.url("police_link_worker", "police_link"))
    monkeypatch.setenv("AMANAT_KAFKA_BOOTSTRAP", broker.kafka_bootstrap)
    monkeypatch.setenv("AMANAT_KAFKA_SECURITY", "plaintext")

    def run(*words: str) -> Result:
        return CliRunner().invoke(outbox_commands.app, [*words, "--service", "police-link"])

    return run


def keeper(broker: Kafka, group: str) -> Consumer:
    return Consumer({"bootstrap.servers": broker.kafka_bootstrap, "group.id": group})


def stand_at(broker: Kafka, group: str, topic: str, offset: int) -> None:
    """The group has read so far."""
    client = keeper(broker, group)
    client.commit(offsets=[TopicPartition(topic, each, offset) for each in range(PARTITIONS)], asynchronous=False)
    client.close()


def stands_at(broker: Kafka, group: str, topic: str) -> set[int]:
    client = keeper(broker, group)
    found = client.committed([TopicPartition(topic, each) for each in range(PARTITIONS)], 10)
    client.close()
    return {each.offset for each in found}


async def published(worker: Database, *topics: str) -> None:
    async with worker.transaction([SADDAR]) as session:
        for topic in topics:
            await say(session, topic, disclosed(P1), kit(P1))
        await session.execute(update(rows).values(published_at=NOW))


async def unpublished(worker: Database) -> int:
    async with worker.transaction([SADDAR]) as session:
        return int(await session.scalar(select(func.count()).where(rows.c.published_at.is_(None))) or 0)


async def test_a_replay_sets_back_every_group_that_reads_what_the_outbox_holds(
    worker: Database, broker: Kafka, amanat: Amanat
) -> None:
    await published(worker, "facts.police-link", "checkpoints.police-link")
    read = {"intake": "facts.police-link"} | {
        f"{service}-ledger": "checkpoints.police-link" for service in ("intake", "forensics", "legal-aid")
    }
    for group, topic in read.items():
        await asyncio.to_thread(stand_at, broker, group, topic, 7)
    await asyncio.to_thread(stand_at, broker, "intake", "facts.forensics", 7)
    done = await asyncio.to_thread(amanat, "replay", "--reset-group")
    assert done.exit_code == 0, done.output
    assert await unpublished(worker) == 4
    for group, topic in read.items():
        assert await asyncio.to_thread(stands_at, broker, group, topic) == {0}, group
    assert await asyncio.to_thread(stands_at, broker, "intake", "facts.forensics") == {7}, "of another outbox"


async def test_while_a_reader_runs_nothing_is_marked_and_the_answer_names_who_must_be_stopped(
    worker: Database, broker: Kafka, amanat: Amanat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amanat.groups.set_back.__kwdefaults__", {"wait_s": 0.5})
    await published(worker, "facts.police-link")
    gate = keeper(broker, "intake")
    gate.subscribe(["facts.police-link"])
    while not gate.assignment():
        await asyncio.to_thread(gate.poll, 0.1)
    refused = await asyncio.to_thread(amanat, "replay", "--reset-group")
    await asyncio.to_thread(gate.close)
    assert refused.exit_code == 2
    assert "nothing was replayed: the gate must be stopped first" in refused.output
    assert await unpublished(worker) == 0


async def test_a_topic_that_the_outbox_does_not_hold_is_refused_plainly(worker: Database, amanat: Amanat) -> None:
    await published(worker, "facts.police-link")
    refused = await asyncio.to_thread(amanat, "replay", "--topic", "facts.forensics", "--reset-group")
    assert refused.exit_code == 2
    assert "holds nothing for facts.forensics; it holds facts.police-link" in refused.output
    assert await unpublished(worker) == 0


async def test_a_restored_service_begins_again_with_all_that_it_reads(
    worker: Database, broker: Kafka, amanat: Amanat
) -> None:
    read = {"disclosures.police-link": "police-link"} | {
        f"checkpoints.{service}": "police-link-ledger" for service in ("intake", "forensics", "legal-aid")
    }
    for topic, group in read.items():
        await asyncio.to_thread(stand_at, broker, group, topic, 7)
    done = await asyncio.to_thread(amanat, "rewind")
    assert done.exit_code == 0, done.output
    for topic, group in read.items():
        assert await asyncio.to_thread(stands_at, broker, group, topic) == {0}, topic
    assert "amanat outbox replay --service intake --topic disclosures.police-link" in done.output


def test_an_address_without_a_word_on_security_is_that_of_a_broker_with_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from amanat.cli import kafka_admin

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMANAT_KAFKA_SECURITY", raising=False)
    monkeypatch.setenv("AMANAT_KAFKA_BOOTSTRAP", "kafka:9092")
    monkeypatch.setenv("AMANAT_KAFKA_USER", "intake-gate")
    monkeypatch.setenv("AMANAT_KAFKA_PASSWORD", "of the gate")
    assert kafka_admin()["sasl.username"] == "intake-gate"
