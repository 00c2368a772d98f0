"""The gate's commands: `amanat keys …`."""

import asyncio
import secrets
from typing import Annotated

import typer

from amanat.db import Database
from amanat.kek import FileKekPrivate, FileKekPublic
from intake.service import rotation
from intake.service.instruments import Instruments
from intake.settings import GateSettings

keys = typer.Typer(help="The key-encryption key and its generations.", no_args_is_help=True)


@keys.callback()
def _keys() -> None:
    """The key-encryption key and its generations. Reads the gate's environment."""


@keys.command()
def rotate(
    quiet: Annotated[bool, typer.Option(help="Print the new generation's number only.")] = False,
) -> None:
    """Move every live key to a new generation and destroy the old ones: backups from before open nothing withdrawn."""
    done = asyncio.run(_rotate(GateSettings.load()))
    if quiet:
        typer.echo(done.generation)
        return
    typer.echo(f"generation {done.generation} is current; {done.rewrapped} live keys moved to it")
    typer.echo("destroyed: " + (", ".join(map(str, done.destroyed)) or "none"))


async def _rotate(settings: GateSettings) -> rotation.Rotated:
    public = FileKekPublic(settings.kek_public_dir)
    database = Database(settings.database_url, application_name="intake-keys")
    try:
        return await rotation.rotate(
            database,
            FileKekPrivate(settings.kek_public_dir, settings.kek_private_dir),
            public,
            Instruments.from_settings(settings, public, secrets.token_bytes),
        )
    finally:
        await database.dispose()
