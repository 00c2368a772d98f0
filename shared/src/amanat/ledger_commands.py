"""`amanat ledger`: how a service's ledger stands, what it found wrong with others', an operator's word on it, the
mending of its stored tree, and the erasing of an entry."""

from __future__ import annotations

import asyncio
import getpass
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.at_rest import AtRest
from amanat.categories import Agency
from amanat.cli import database_of, settings_of, stop
from amanat.db import AnyRow
from amanat.ledger import alarms, audit, checkpoints, nodes, proofs, tree
from amanat.ledger.witness import cosignatures_of
from amanat.settings import ServiceSettings
from amanat.tables import witness_states

app = typer.Typer(
    help="Ledgers and their witnesses: status, alarms, acknowledge, rebuild, erase.", no_args_is_help=True
)

Service = Annotated[str, typer.Option(help="intake, police-link, forensics or legal-aid")]
T = TypeVar("T")


@app.command()
def status(service: Service) -> None:
    """Shows the service's own ledger, what it last saw of the others', and whether anything stands against them."""

    async def found(session: AsyncSession) -> tuple[AnyRow | None, int, list[str], list[AnyRow], int]:
        last = await checkpoints.latest(session)
        signed: list[str] = []
        if last is not None:
            # An alarm's own name for the ledger is the first line of what was signed.
            origin = str(last.note).split("\n", 1)[0]
            signed = [row.witness for row in await cosignatures_of(session, origin, last.size, bytes(last.root))]
        states = list(await session.execute(select(witness_states).order_by(witness_states.c.origin)))
        return last, await tree.size_of(session), signed, states, len(await alarms.standing(session))

    last, size, signed, states, standing = _ask(service, found)
    typer.echo(f"{size} entries in the tree of {service}")
    if last is None:
        typer.echo("no checkpoint was published yet; nothing is protected")
    else:
        typer.echo(f"checkpoint of {last.size} entries, {_time(last.published_at)}; cosigned by {_names(signed)}")
    table = Table("ledger", "last seen", "entries", "cosigning")
    for state in states:
        table.add_row(
            state.origin,
            _time(state.heard_at),
            "-" if state.size is None else str(state.size),
            "yes" if state.stopped_at is None else f"stopped {_time(state.stopped_at)}",
        )
    Console().print(table)
    if standing:
        typer.echo(f"{standing} alarms stand: amanat ledger alarms --service {service}")
        raise typer.Exit(1)


@app.command("alarms")
def alarms_(service: Service) -> None:
    """Lists the alarms that nobody acknowledged, a silence also when it is over; exit status 1 when there are any."""
    rows = _ask(service, alarms.standing)
    table = Table("id", "ledger", "kind", "raised", "ended", "detail")
    for row in rows:
        detail = ", ".join(f"{name} {value}" for name, value in row.detail.items())
        ended = "" if row.ended_at is None else _time(row.ended_at)
        table.add_row(str(row.id), row.origin, row.kind, _time(row.raised_at), ended, detail)
    Console(width=160).print(table)
    if rows:
        raise typer.Exit(1)


@app.command()
def acknowledge(
    ledgers: Annotated[list[str], typer.Argument(help="the ledgers' names, as `amanat ledger alarms` shows them")],
    service: Service,
    through: Annotated[int, typer.Option(help="the id of the last alarm that you looked at; later ones stay")],
    reason: Annotated[str, typer.Option(help="why this is understood; it stays on record")],
    by: Annotated[str, typer.Option(help="who says so")] = "",
) -> None:
    """Closes ledgers' alarms with a reason. When none is left that stopped the cosigning, it goes on: from where it was
    after a silence, else from the newest checkpoint that was seen."""
    if not reason.strip():
        stop("a reason is needed: it stays on record beside the alarms")

    async def close(session: AsyncSession) -> int:
        who, now = by or getpass.getuser(), datetime.now(UTC)
        # By name, as whoever else locks several ledgers does.
        names = sorted(set(ledgers))
        return sum([await alarms.acknowledge(session, name, through, who, reason.strip(), now) for name in names])

    closed = _ask(service, close)
    if not closed:
        stop(f"no alarm stands against a ledger of that name at {service}")
    typer.echo(f"{closed} alarms closed")


@app.command()
def rebuild(service: Service) -> None:
    """Writes the tree's stored nodes anew from the leaves: the remedy for `tree_damaged`. The service may run on.

    Refuses, and writes nothing, when the leaves themselves are not those of the checkpoint published last.
    """

    async def asked() -> nodes.Rebuilt:
        database = database_of(service)
        try:
            return await nodes.rebuild(database)
        finally:
            await database.dispose()

    try:
        done = asyncio.run(asked())
    except nodes.LeavesChanged:
        stop(
            "nothing was written: the leaves are not those of the checkpoint published last, which no rebuilding mends"
        )
    wrong = done.missing + done.changed + done.strays
    typer.echo(f"the tree over {done.leaves} leaves of {service}: {'no node was wrong' if not wrong else 'mended'}")
    if wrong:
        typer.echo(f"{done.missing} nodes were missing, {done.changed} changed, {done.strays} none of this tree's")
        typer.echo(f"the alarm stands until it is acknowledged: amanat ledger alarms --service {service}")


@app.command()
def erase(
    position: Annotated[int, typer.Argument(help="where in the ledger the entry stands")],
    service: Service,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask again")] = False,
) -> None:
    """Takes an entry's salt away for good: its leaf stands, and nobody can show any more what it says.

    Its row is another matter, and goes by the service's own rules; that the entry was erased is entered too.
    """
    worker = "intake-gate" if service == Agency.INTAKE else f"{service}-worker"
    at_rest = AtRest.from_file(settings_of(worker, ServiceSettings).at_rest_key_file)
    if not (yes or typer.confirm(f"Entry {position} of {service} can never be proven again. Erase it?")):
        raise typer.Exit(1)

    async def asked() -> str | None:
        database = database_of(service)
        try:
            async with database.transaction(()) as session:
                found = await proofs.entry_at(session, position)
            if found is None:
                return None
            async with database.transaction((found.tenant,)) as session:
                await audit.erase(session, bytes(found.commitment), at_rest, secrets.token_bytes, datetime.now(UTC))
            return str(found.kind)
        finally:
            await database.dispose()

    try:
        kind = asyncio.run(asked())
    except LookupError as error:
        stop(str(error))
    if kind is None:
        stop(f"no entry stands at {position} in the ledger of {service}")
    typer.echo(f"erased: entry {position} of {service} ({kind})")


def _ask(service: str, question: Callable[[AsyncSession], Awaitable[T]]) -> T:
    async def asked() -> Any:
        database = database_of(service)
        try:
            async with database.transaction(()) as session:
                return await question(session)
        finally:
            await database.dispose()

    answer: T = asyncio.run(asked())
    return answer


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _names(names: list[str]) -> str:
    return ", ".join(names) if names else "nobody yet"
