"""The gate's commands: `amanat keys …` and `amanat gate …`. They read the gate's environment, or the local
stack's."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, NoReturn, TypeVar
from uuid import UUID

import typer

from amanat.categories import OUTSIDE, Agency
from amanat.cli import settings_of
from amanat.consent import own
from amanat.db import Database
from amanat.kek import FileKekPrivate, FileKekPublic
from amanat.outbox_commands import read_again
from intake.errors import GateClosed
from intake.service import reopening, restoring, rotation
from intake.service.gatekeeper import GateItself
from intake.service.instruments import Instruments
from intake.settings import GateSettings

Result = TypeVar("Result")

keys = typer.Typer(help="The key-encryption key and its generations.", no_args_is_help=True)
gate = typer.Typer(help="The gate after a restore of its database.", no_args_is_help=True)


@keys.callback()
def _keys() -> None:
    """The key-encryption key and its generations. Reads the gate's environment."""


@keys.command()
def rotate(
    quiet: Annotated[bool, typer.Option(help="Print the new generation's number only.")] = False,
) -> None:
    """Move every live key to a new generation and destroy the old ones: backups from before open nothing withdrawn."""
    settings = _settings()
    kek = FileKekPrivate(settings.kek_public_dir, settings.kek_private_dir)
    try:
        done = _run(settings, lambda db, made: rotation.rotate(db, kek, made.kek, made, now=_now))
    except GateClosed:
        _stop("the gate is closed after a restore; `amanat gate reopen` replaces every key")
    except rotation.AlreadyRotating:
        _stop("another rotation is under way")
    if quiet:
        typer.echo(done.generation)
        return
    typer.echo(f"generation {done.generation} is current; {done.rewrapped} live keys moved to it")
    typer.echo("destroyed: " + (", ".join(map(str, done.destroyed)) or "none"))


@gate.callback()
def _gate() -> None:
    """The gate after a restore of its database. Reads the gate's environment."""


@gate.command()
def restored() -> None:
    """Say, before the gate is started on it, that its database was restored.

    It leases nothing until it is reopened, and takes again all that agencies reported since the backup: what the
    database knows already has no effect twice. Where only the first was done, run it again.
    """

    async def close(database: Database, instruments: Instruments) -> UUID:
        async with database.transaction(()) as session:
            return await restoring.close(session, _now(), instruments)

    request = _run(_settings(), close)
    typer.echo(f"the gate is closed; every agency is asked for its tombstones (request {request})")
    # Behind the closing, which needs nothing but the database: whatever follows, no withdrawn key is leased.
    read_again(Agency.INTAKE)
    typer.echo("start the gate; when all have answered (`amanat gate status`): `amanat gate reopen`")


@gate.command()
def status() -> None:
    """Tell whether the gate leases, and which agencies have reported their tombstones."""

    async def read(database: Database, _: Instruments) -> restoring.Status:
        async with database.transaction(()) as session:
            return await restoring.status(session)

    found = _run(_settings(), read)
    if found.restored_at is None:
        typer.echo("open; never restored")
        return
    typer.echo(
        f"closed since {found.restored_at.isoformat()}"
        if found.reopened_at is None
        else f"open; restored {found.restored_at.isoformat()}, reopened {found.reopened_at.isoformat()}"
    )
    for agency, (tombstones, taken) in sorted(found.answered.items()):
        typer.echo(f"{agency}: {tombstones} tombstones reported, {taken} of them news")
    for agency in found.missing:
        here, parts = found.partly.get(agency, (0, 0))
        typer.echo(f"{agency}: {here} of {parts} pieces of its answer" if here else f"{agency}: no answer yet")


@gate.command()
def reopen(
    without: Annotated[
        list[str] | None,
        typer.Option(help="An agency that will not answer. What she took back from it may show again."),
    ] = None,
) -> None:
    """Start a new epoch of every still valid grant, and lease again. Refused until every agency has answered."""
    for agency in without or ():
        if agency not in set(OUTSIDE):
            _stop(f"--without takes one of {', '.join(sorted(OUTSIDE))}")
    try:
        done = _run(
            _settings(),
            lambda database, instruments: reopening.reopen(
                database, own(GateItself()), _now, instruments, without or ()
            ),
        )
    except reopening.StillOpen:
        _stop("the gate is open; nothing was restored")
    except reopening.Unanswered as missing:
        _stop(f"not reopened: no answer yet from {', '.join(sorted(missing.agencies))} (or give --without AGENCY)")
    except reopening.NothingOpens as nothing:
        _stop(f"not reopened: none of {nothing} opens; is this the database's own key at rest?")
    typer.echo(f"the gate is open; {done.restarted} cases went into a new epoch")
    if done.unread:
        named = ", ".join(f"{case} of {cell}" for cell, case in done.unread)
        _stop(f"{len(done.unread)} cases do not open, and are closed to every agency until they are mended: {named}")


def _run(settings: GateSettings, work: Callable[[Database, Instruments], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        database = Database(settings.database_url, application_name="intake-command")
        try:
            public = FileKekPublic(settings.kek_public_dir)
            return await work(database, Instruments.from_settings(settings, public, secrets.token_bytes))
        finally:
            await database.dispose()

    return asyncio.run(run())


def _settings() -> GateSettings:
    return settings_of("intake-gate", GateSettings)


def _now() -> datetime:
    return datetime.now(UTC)


def _stop(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(1)
