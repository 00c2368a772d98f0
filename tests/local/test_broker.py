"""The embedded stack's broker."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from amanat_local.broker import PARTITIONS, TOPICS
from amanat_local.spawn import dying_with_us, end, spawn, wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = Path(tmp_path_factory.mktemp("broker"))
    address, log = folder / "address", folder / "broker.log"
    process = spawn([*dying_with_us(), sys.executable, "-m", "amanat_local.broker", str(address)], log=log)
    try:
        wait_until(address.exists, process, name="broker", log=log, within_s=20)
        yield address.read_text()
    finally:
        end(process, signal.SIGTERM, within_s=5)
    assert process.returncode == 0


async def test_it_listens_on_loopback_alone(bootstrap: str) -> None:
    assert bootstrap.split(":", maxsplit=1)[0] in {"127.0.0.1", "localhost"}


async def test_every_topic_of_the_platform_is_there_with_its_partitions(bootstrap: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for topic in TOPICS:
            assert len(await producer.partitions_for(topic)) == PARTITIONS


async def test_an_idempotent_producer_and_a_group_with_manual_commits_work(bootstrap: str) -> None:
    topic = "disclosures.forensics"
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all") as producer:
        sent = await producer.send_and_wait(topic, b"body", key=b"F-7KQ2-M4XD-3", headers=[("ce_type", b"some.v1")])
    where = TopicPartition(topic, sent.partition)
    settings = {"bootstrap_servers": bootstrap, "group_id": "forensics", "enable_auto_commit": False}
    async with AIOKafkaConsumer(topic, auto_offset_reset="earliest", **settings) as consumer:
        received = await consumer.getone()
        assert (received.key, received.value, received.offset) == (b"F-7KQ2-M4XD-3", b"body", sent.offset)
        await consumer.commit({where: received.offset + 1})
    async with AIOKafkaConsumer(**settings) as later:
        assert await later.committed(where) == sent.offset + 1
