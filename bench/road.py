"""The road between the services: the relay beside bare sends, the consumer beside one transaction per event.

The services' own classes run in this process, in the place of the workers that are stopped meanwhile, on events that
intake really wrote.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not marked as exported

from amanat.agency.handlers import NEVER_PARK, tenant_of
from amanat.agency.instruments import Instruments
from amanat.agency.settings import WorkerSettings
from amanat.categories import Agency
from amanat.db import Database
from amanat.inbox import Inbox
from amanat.kafka import Consumer, make_producer
from amanat.received import Received
from amanat.relay import BATCH, Relay
from amanat_local.process import Process
from amanat_local.stack import Stack
from bench import stack as at
from bench.figures import Figure, Goal, compared
from bench.load import closed_loop
from intake.settings import GateSettings
from police_link.handlers import handlers

LOOKS = 4
"""At the outbox, of BATCH rows each, in a round of the relay."""
_AHEAD = (
    "SELECT topic, key, headers::text, body FROM outbox"
    " WHERE published_at IS NULL AND cancelled_at IS NULL ORDER BY id LIMIT $1"
)


async def road(stack: Stack, rounds: int) -> list[Figure]:
    """Both pairs, on the same events."""
    async with stopped(stack, "intake-gate", "police-link-worker"):
        await write_events(stack, rounds * LOOKS * BATCH)
        relayed = await relay(stack, rounds)
        async with running_relay(stack):
            await at.drained(stack, "intake")
        consumed = await consume(stack)
    return [relayed, consumed]


@asynccontextmanager
async def stopped(stack: Stack, *names: str) -> AsyncIterator[None]:
    """These processes stand still meanwhile."""
    for name in names:
        stack.stop_process(name)
    try:
        yield
    finally:
        for name in names:
            stack.start_process(name)


async def write_events(stack: Stack, number: int) -> None:
    """Opens cases until so many events wait."""
    async with at.administrator(stack, "intake") as database:
        waiting = "SELECT count(*) FROM outbox WHERE published_at IS NULL AND cancelled_at IS NULL"
        while (there := await database.fetchval(waiting)) < number:
            making = at.intake_posts(stack, at.case(at.STATION))
            # Each case writes two events and more.
            await closed_loop(
                stack.info["services"]["intake"], making, 16, 600, status=201, at_most=(number - there) // 2 + 1
            )


async def relay(stack: Stack, rounds: int) -> Figure:
    """The relay, look after look, in turns with `send()` of the same bytes to the same broker."""
    settings = GateSettings.model_validate(told(stack, "intake-gate"))
    database = Database(settings.database_url, application_name="bench")
    relay = Relay(database, make_producer(settings, "bench"), "intake")
    bare, topic = await bare_producer(stack), await bare_topic(stack)
    rates, bounds = list[float](), list[float]()
    try:
        async with at.administrator(stack, "intake") as looking:
            for _ in range(rounds):
                rows = await looking.fetch(_AHEAD, LOOKS * BATCH)
                assert len(rows) == LOOKS * BATCH
                began = time.perf_counter()
                for _ in range(LOOKS):
                    await relay.once()
                rates.append(len(rows) / (time.perf_counter() - began))
                bounds.append(len(rows) / await sent(bare, topic, rows))
    finally:
        await relay.run(_set())
        await bare.stop()
        await database.dispose()
    return compared("relay ÷ bare send()", " events/s", rates, bounds, goal=Goal(ratio_at_least=0.85))


@asynccontextmanager
async def running_relay(stack: Stack) -> AsyncIterator[None]:
    """The relay at work, in the place of the gate."""
    settings = GateSettings.model_validate(told(stack, "intake-gate"))
    database = Database(settings.database_url, application_name="bench")
    stop = asyncio.Event()
    running = asyncio.create_task(Relay(database, make_producer(settings, "bench"), "intake").run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
        await database.dispose()


async def consume(stack: Stack) -> Figure:
    """Batches as they come, every second one event by event."""
    settings = WorkerSettings.model_validate(told(stack, "police-link-worker"))
    database = Database(settings.database_url, application_name="bench")
    instruments = Instruments.from_settings(Agency.POLICE_LINK, settings, secrets.token_bytes)
    inbox = Inbox(
        database, handlers(instruments, lambda: datetime.now(UTC)), never_park=NEVER_PARK, tenants_of=tenant_of
    )
    rates: dict[bool, list[float]] = {True: [], False: []}
    before = 0.0

    async def settle(batch: Sequence[Received]) -> None:
        nonlocal before
        together = len(rates[True]) <= len(rates[False])
        began = before or time.perf_counter()
        if together:
            await inbox.process(batch)
        else:
            for event in batch:
                await inbox.process([event])
        now = time.perf_counter()
        if before:
            rates[together].append(len(batch) / (now - began))
        before = now

    stop = asyncio.Event()
    consumer = Consumer(settings, ["disclosures.police-link"], "police-link", settle)
    running = asyncio.create_task(consumer.run(stop))
    async with at.administrator(stack, "intake") as sent, at.administrator(stack, "police_link") as arrived:
        there = await sent.fetchval("SELECT count(*) FROM outbox WHERE topic = 'disclosures.police-link'")
        began = time.monotonic()
        while await arrived.fetchval("SELECT count(*) FROM inbox") < there:
            if time.monotonic() - began > 5 * at.WAIT_S or running.done():
                raise TimeoutError("the events did not all arrive")
            await asyncio.sleep(0.2)
    stop.set()
    await running
    await database.dispose()
    pairs = min(map(len, rates.values()))
    return compared(
        "consumer ÷ one transaction per event", " events/s", rates[True][:pairs], rates[False][:pairs],
        goal=Goal(ratio_at_least=20),
    )  # fmt: skip


def told(stack: Stack, name: str) -> dict[str, str]:
    """The settings of one of the stack's processes."""
    process = stack.part(name)
    assert isinstance(process, Process)
    return {
        key.removeprefix("AMANAT_").lower(): value for key, value in process.env.items() if key.startswith("AMANAT_")
    }


async def bare_topic(stack: Stack) -> str:
    """A topic that nobody reads."""
    name, kafka = f"bench.{uuid4().hex[:8]}", stack.info["kafka"]
    admin = AdminClient(
        {
            "bootstrap.servers": kafka["bootstrap"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "admin",
            "sasl.password": kafka["users"]["admin"],
        }
    )
    for done in admin.create_topics([NewTopic(name, 4, 1)]).values():
        await asyncio.to_thread(done.result, 30)
    return name


async def bare_producer(stack: Stack) -> AIOKafkaProducer:
    """As durable as the relay's, and nothing more."""
    kafka = stack.info["kafka"]
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka["bootstrap"], security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="admin", sasl_plain_password=kafka["users"]["admin"], acks="all", enable_idempotence=True,
    )  # fmt: skip
    await producer.start()
    return producer


async def sent(producer: AIOKafkaProducer, topic: str, rows: Sequence[Any]) -> float:
    """Seconds until all of it was acknowledged."""
    began = time.perf_counter()
    on_their_way = [
        await producer.send(
            topic, row["body"], key=(row["key"] or "").encode(), headers=[("headers", row["headers"].encode())]
        )
        for row in rows
    ]
    await asyncio.gather(*on_their_way)
    return time.perf_counter() - began


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
