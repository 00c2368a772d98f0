"""`amanat parked`: events that could not be handled, shown without their content, and tried again."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from amanat import parked
from amanat.cli import database_of
from amanat.db import Database

app = typer.Typer(help="Events that could not be handled: list, show, retry, discard.", no_args_is_help=True)

Service = Annotated[str, typer.Option(help="intake, police-link, forensics or legal-aid")]
Referral = Annotated[str, typer.Argument(help="the referral's code, or an event's id")]


@app.command("list")
def list_(service: Service) -> None:
    """Lists parked referrals with their first event and what made it fail."""
    table = Table("topic", "referral", "events", "first type", "reason", "since")
    groups: dict[parked.Place, list[parked.ParkedEvent]] = {}
    for event in asyncio.run(_events(database_of(service), None)):
        groups.setdefault((event.topic, event.referral or f"event {event.event_id}"), []).append(event)
    for (topic, name), events in groups.items():
        first = events[0]
        table.add_row(topic, name, str(len(events)), first.type, first.reason, f"{first.parked_at:%Y-%m-%d %H:%M:%S}")
    Console().print(table)


@app.command()
def show(referral: Referral, service: Service) -> None:
    """Shows a referral's parked events, in their order, without content."""
    table = Table("event", "type", "reason", "topic", "partition", "offset", "parked")
    for event in asyncio.run(_events(database_of(service), referral)):
        table.add_row(
            str(event.event_id),
            event.type,
            event.reason,
            event.topic,
            str(event.partition),
            str(event.offset),
            f"{event.parked_at:%Y-%m-%d %H:%M:%S}",
        )
    Console().print(table)


@app.command()
def retry(
    referral: Referral,
    service: Service,
    wait: Annotated[float, typer.Option(help="seconds to wait for the worker")] = 30.0,
) -> None:
    """Lets the service's worker handle a referral's parked events again, in their order.

    Exit status 1 when some stay parked, or no worker took the request.
    """
    asked, left = asyncio.run(_retry(database_of(service), referral, wait))
    if left is None:
        typer.echo(f"no worker of {service} has taken the request within {wait:g} s; it will when it runs")
        raise typer.Exit(1)
    for event in left:
        typer.echo(f"still parked: {event.event_id} {event.type} {event.reason}")
    typer.echo(f"{asked - len(left)} released, {len(left)} parked")
    if left:
        raise typer.Exit(1)


@app.command()
def discard(event: Annotated[UUID, typer.Argument(help="the event's id")], service: Service) -> None:
    """Gives up an event that nobody signed (BadFact), or an old one that is a repetition (StaleFact), and nothing else.

    An old one is no repetition while it is still in the outbox of who sent it: then retry it. Exit status 1 when there
    is no such event.
    """
    if not asyncio.run(_discard(database_of(service), event)):
        typer.echo("no parked event of that id is unsigned or too old; nothing else is ever given up", err=True)
        raise typer.Exit(1)
    typer.echo("given up; what waits behind it goes on when its referral is retried")


async def _discard(database: Database, event: UUID) -> bool:
    try:
        async with database.transaction(()) as session:
            return await parked.discard(session, event)
    finally:
        await database.dispose()


async def _events(database: Database, referral: str | None) -> list[parked.ParkedEvent]:
    try:
        async with database.transaction(()) as session:
            return await parked.list_parked(session, referral)
    finally:
        await database.dispose()


async def _retry(database: Database, referral: str, wait: float) -> tuple[int, list[parked.ParkedEvent] | None]:
    try:
        async with database.transaction(()) as session:
            asked = await parked.request_retry(session, referral)
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            async with database.transaction(()) as session:
                left = await parked.list_parked(session, referral)
            if not any(event.retry_requested for event in left):
                return asked, left
            if asyncio.get_running_loop().time() > deadline:
                return asked, None
            await asyncio.sleep(0.2)
    finally:
        await database.dispose()
