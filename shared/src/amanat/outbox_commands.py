"""`amanat outbox`: what waits to be published, and what is done after a broker or a database lost something."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from amanat import groups, outbox
from amanat.categories import Agency
from amanat.cli import database_of, kafka_admin, stop
from amanat.db import Database
from amanat.tables import outbox as rows

app = typer.Typer(
    help="What waits to be published; refill a broker that lost its log; read again after a restore.",
    no_args_is_help=True,
)

Service = Annotated[str, typer.Option(help="intake, police-link, forensics or legal-aid")]
Topic = Annotated[str | None, typer.Option(help="this topic alone")]
ResetGroup = Annotated[
    bool,
    typer.Option(
        "--reset-group", help="first let the topics' readers, all of them stopped, begin at the earliest event"
    ),
]


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

    Before the empty broker is started, stop the gate and every agency's worker: what they published meanwhile would
    overtake what was lost, and none begins at the earliest event while it runs. Start the broker, make its topics and
    ACLs, run this with --reset-group for each of the four services, then start the gate and the workers: they publish
    what is marked here. Tombstones go again, disclosures of withdrawn epochs do not; readers know what they had before.
    """
    held = asyncio.run(_topics(database_of(service)))
    if topic is not None and topic not in held:
        stop(f"the outbox of {service} holds nothing for {topic}; it holds {', '.join(held) or 'nothing'}")
    topics = held if topic is None else [topic]
    if reset_group:
        _set_back(groups.readers_of(topics), "nothing was replayed")
    count = asyncio.run(_replay(database_of(service), topic))
    typer.echo(f"{count} events of {service} will be published again once {groups.process_of(service)} runs")


@app.command()
def rewind(service: Service) -> None:
    """Lets a service whose database was restored from a backup read again all that came since, and before.

    What came after the backup takes effect once more; the restored inbox knows the rest. Run it before the service's
    worker is started on that database. For intake `amanat gate restored` does it, and closes the gate.
    """
    if service not in set(Agency):
        stop(f"no such service; there are {', '.join(agency.value for agency in Agency)}")
    read_again(Agency(service))


def read_again(service: Agency) -> None:
    """Sets all that a service reads back to the earliest event, and says what else may have to be sent again.

    Raises typer.Exit with a plain line when that cannot be done.
    """
    _set_back(groups.topics_of(service), f"what {service} missed will not be read again")
    typer.echo(
        "if the backup is older than what Kafka keeps (AMANAT_TOPIC_RETENTION_DAYS, 7 unless set), send it again:"
    )
    for sender, topic in groups.sent_by(service):
        typer.echo(f"  amanat outbox replay --service {sender} --topic {topic}")


def _set_back(readers: Mapping[str, Sequence[str]], otherwise: str) -> None:
    try:
        groups.set_back(AdminClient(kafka_admin()), readers)
    except groups.NotSetBack as error:
        stop(f"{otherwise}: {error}")
    for group, topics in readers.items():
        typer.echo(f"{group} begins at the earliest event of {', '.join(topics)}")


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


async def _topics(database: Database) -> list[str]:
    try:
        async with database.transaction(()) as session:
            return sorted(await session.scalars(select(rows.c.topic).distinct()))
    finally:
        await database.dispose()


async def _replay(database: Database, topic: str | None) -> int:
    try:
        async with database.transaction(()) as session:
            return await outbox.replay(session, topic)
    finally:
        await database.dispose()
