"""`amanat outbox`: what waits to be published, and the refilling of a broker that lost its log."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from amanat import outbox
from amanat.categories import Agency
from amanat.cli import database_of, kafka_admin, stop
from amanat.db import Database
from amanat.tables import outbox as rows

app = typer.Typer(help="What waits to be published; refill a broker that lost its log.", no_args_is_help=True)

Service = Annotated[str, typer.Option(help="intake, police-link, forensics or legal-aid")]
Topic = Annotated[str | None, typer.Option(help="this topic alone")]
ResetGroup = Annotated[
    bool, typer.Option("--reset-group", help="also let the topics' readers begin at the earliest event")
]
_ASK_S = 20
_STILL_MEMBERS = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.REBALANCE_IN_PROGRESS)


@app.command()
def status(service: Service) -> None:
    """Shows, for each topic, how many events wait, are published, and were cancelled."""
    table = Table("topic", "waiting", "published", "cancelled")
    for line in asyncio.run(_status(database_of(service))):
        table.add_row(*line)
    Console().print(table)


@app.command()
def replay(service: Service, topic: Topic = None, reset_group: ResetGroup = False) -> None:
    """Publishes again what the outbox still holds: for a broker that lost its log.

    Tombstones go again, disclosures of withdrawn epochs do not; readers know what they had before. A group can be reset
    only while none of its members runs: stop the readers, replay, start them.
    """
    count, topics = asyncio.run(_replay(database_of(service), topic))
    typer.echo(f"{count} events of {service} will be published again by its relay")
    if reset_group:
        for name in topics:
            try:
                reset(AdminClient(kafka_admin()), name, group_of(name))
            except KafkaException as error:
                stop(f"the group {group_of(name)} was not reset on {name}: {error.args[0].name()}")
            typer.echo(f"{group_of(name)} begins at the earliest event of {name}")


def group_of(topic: str) -> str:
    """The group that reads a topic: an agency its disclosures, the gate all facts."""
    kind, _, agency = topic.partition(".")
    return agency if kind == "disclosures" else Agency.INTAKE.value


def reset(admin: AdminClient, topic: str, group: str, *, wait_s: float = 20) -> None:
    """Sets a group's offsets on a topic to the earliest events.

    Waits up to `wait_s` for members that have just ended, whose sessions Kafka still keeps. Raises KafkaException, also
    when a member runs on.
    """
    described = admin.list_topics(topic, timeout=_ASK_S).topics[topic]
    if described.error is not None:
        raise KafkaException(described.error)
    # Where 0 is no longer kept, it is out of range, and readers are set to begin at the earliest event then.
    earliest = [TopicPartition(topic, partition, 0) for partition in described.partitions]
    deadline = time.monotonic() + wait_s
    while True:
        asked = [ConsumerGroupTopicPartitions(group, earliest)]
        (outcome,) = admin.alter_consumer_group_offsets(asked, request_timeout=_ASK_S).values()
        errors = [each.error for each in outcome.result(_ASK_S).topic_partitions if each.error is not None]
        if not errors:
            return
        if errors[0].code() not in _STILL_MEMBERS or time.monotonic() > deadline:
            raise KafkaException(errors[0])
        time.sleep(0.5)


async def _status(database: Database) -> list[tuple[str, ...]]:
    waiting = rows.c.published_at.is_(None) & rows.c.cancelled_at.is_(None)
    statement = (
        select(
            rows.c.topic,
            func.count().filter(waiting),
            func.count(rows.c.published_at),
            func.count(rows.c.cancelled_at),
        )
        .group_by(rows.c.topic)
        .order_by(rows.c.topic)
    )
    try:
        async with database.transaction(()) as session:
            return [tuple(map(str, line)) for line in await session.execute(statement)]
    finally:
        await database.dispose()


async def _replay(database: Database, topic: str | None) -> tuple[int, list[str]]:
    try:
        async with database.transaction(()) as session:
            topics = [topic] if topic else list(await session.scalars(select(rows.c.topic).distinct()))
            return await outbox.replay(session, topic), sorted(topics)
    finally:
        await database.dispose()
