"""`amanat gate`: closing after a restore, hearing again what the backup does not know, and reopening."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as Librdkafka
from typer.testing import CliRunner

from amanat.categories import OUTSIDE, Agency
from amanat.groups import topics_of
from amanat_local.broker import PARTITIONS, TOPICS
from intake import commands
from intake.gate import GROUP
from intake.handlers import TOPICS as READ

from .world import POLICE, World, consent

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes a broker with the platform's topics, at whose address the commands look from then on."""
    hosts: list[Librdkafka] = []

    def make() -> str:
        host = Librdkafka({"test.mock.num.brokers": 1, "allow.auto.create.topics": True, "log_level": 0})
        hosts.append(host)
        for topic in TOPICS:
            while len(host.list_topics(topic, timeout=10).topics[topic].partitions) != PARTITIONS:
                pass
        (found,) = host.list_topics(timeout=10).brokers.values()
        monkeypatch.setenv("AMANAT_KAFKA_BOOTSTRAP", f"{found.host}:{found.port}")
        return f"{found.host}:{found.port}"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMANAT_KAFKA_SECURITY", "plaintext")
    yield make
    hosts.clear()


@pytest.fixture
def broker(brokers: Callable[[], str]) -> str:
    return brokers()


@pytest.fixture
def run(world: World, postgres: Any, broker: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    settings = world.settings.model_copy(update={"database_url": postgres.url("intake_gate", "intake")})
    monkeypatch.setattr(commands, "_settings", lambda: settings)

    async def command(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, commands.gate, list(words))

    return command


def test_what_is_set_back_is_what_the_gate_reads() -> None:
    assert topics_of(Agency.INTAKE)[GROUP] == sorted(READ)


async def test_a_restored_gate_takes_facts_from_the_earliest_again(world: World, broker: str, run: Run) -> None:
    read = topics_of(Agency.INTAKE)
    for group, topics in read.items():
        reader = Consumer({"bootstrap.servers": broker, "group.id": group})
        everywhere = [TopicPartition(topic, each, 7) for topic in topics for each in range(PARTITIONS)]
        await asyncio.to_thread(reader.commit, offsets=everywhere, asynchronous=False)
        reader.close()
    done = await run("restored")
    assert done.exit_code == 0, done.output
    for agency in OUTSIDE:
        assert f"amanat outbox replay --service {agency} --topic facts.{agency}" in done.output
    for group, topics in read.items():
        reader = Consumer({"bootstrap.servers": broker, "group.id": group})
        asked = [TopicPartition(topic, each) for topic in topics for each in range(PARTITIONS)]
        assert {each.offset for each in await asyncio.to_thread(reader.committed, asked, 10)} == {0}, group
        reader.close()


async def test_a_gate_that_still_runs_is_closed_and_its_operator_told_to_stop_it_first(
    world: World, broker: str, brokers: Callable[[], str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    running = Consumer({"bootstrap.servers": broker, "group.id": "intake"})
    running.subscribe(["facts.police-link"])
    while not running.assignment():
        await asyncio.to_thread(running.poll, 0.1)
    monkeypatch.setattr("amanat.groups.set_back.__kwdefaults__", {"wait_s": 0.5})
    refused = await run("restored")
    await asyncio.to_thread(running.close)
    assert refused.exit_code == 2
    assert "what intake missed will not be read again: the gate must be stopped first" in refused.output
    assert (await world.lease(POLICE, referrals[POLICE])).status_code == 503
    brokers()  # the mock cluster never forgets a group's members; that Kafka does is shown on Kafka
    again = await run("restored")
    assert again.exit_code == 0, again.output
    assert "the gate is closed; every agency is asked" in again.output
    assert "intake begins at the earliest event of facts.forensics, facts.legal-aid, facts.police-link" in again.output


async def test_the_commands_close_tell_and_reopen(world: World, run: Run) -> None:
    assert "never restored" in (await run("status")).output
    assert (await run("reopen")).exit_code == 1
    assert (await run("restored")).exit_code == 0
    refused = await run("reopen", "--without", "police-link")
    assert refused.exit_code == 1
    assert "forensics, legal-aid" in refused.output
    assert (await run("reopen", "--without", "a-stranger")).exit_code == 1
    told = (await run("status")).output
    assert "closed since" in told
    assert "police-link: no answer yet" in told
    words = [word for agency in OUTSIDE for word in ("--without", str(agency))]
    assert (await run("reopen", *words)).exit_code == 0
    assert (await run("status")).output.startswith("open; restored")
