"""`amanat bundle`: a court bundle made at the cell by its operator, with `main`'s environment or the local stack's."""

import asyncio
import getpass
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from amanat import verify
from amanat.categories import Agency
from amanat.cli import settings_of, stop
from amanat.codes import PREFIX, BadCode, parse_code
from amanat.db import Database
from amanat.errors import Refused
from amanat.kek import FileKekPublic
from amanat.principal import Principal
from intake.service import court
from intake.service.instruments import Instruments
from intake.settings import CellSettings

NOBODYS = "none"
"""The token of who has the machine itself."""


def bundle(
    case: Annotated[str, typer.Argument(help="the case's code")],
    basis: Annotated[str, typer.Option(help="court_order, consent or statutory_duty")],
    reference: Annotated[str, typer.Option(help="of the order, the consent or the duty")],
    recipient: Annotated[str, typer.Option(help="who gets the bundle")],
    out: Annotated[Path, typer.Option(help="the file to write; it must not be there yet")],
    looks: Annotated[bool, typer.Option("--looks", help="who looked as well: only where a court ordered it")] = False,
) -> None:
    """Make a court bundle of a case; that, and by whom, is on record. Exit status 1: made, and not proven."""
    try:
        code = parse_code(case, PREFIX[Agency.INTAKE])
        body = court.NewBundle.model_validate(
            {"basis": basis, "reference": reference, "recipient": recipient, "looks": looks}
        )
    except BadCode:
        stop("that is no case's code")
    except ValidationError:
        stop("--basis takes court_order, consent or statutory_duty; --looks goes with court_order alone")
    if out.exists():
        stop("the file that --out names is there already")
    try:
        made = asyncio.run(_make(settings_of("intake-main", CellSettings), code, body))
    except Refused as refused:
        stop(refused.title)
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(made.packed)
    answer = made.answer
    typer.echo(
        f"bundle {answer.bundle}: {answer.entries} entries, {answer.waiting} not yet under a cosigned checkpoint"
    )
    typer.echo(f"manifest {answer.manifest_sha256}")
    for each in answer.wrong:
        told = {name: value for name, value in each.items() if name != "code"}
        typer.echo(f"NOT PROVEN: {verify.Said(each['code'], told).words()}")
    if answer.wrong:
        raise typer.Exit(1)


async def _make(settings: CellSettings, code: str, body: court.NewBundle) -> court.Made:
    database = Database(settings.database_url, application_name="intake-command")
    try:
        instruments = Instruments.from_settings(settings, FileKekPublic(settings.kek_public_dir), secrets.token_bytes)
        cells = frozenset(cell.id for cell in instruments.directory.cells)
        made = await court.make(database, _operator(cells), code, body, datetime.now(UTC), instruments)
        async with database.transaction([made.row["tenant"]]) as session:
            await court.keep(session, made, instruments)
        return made
    finally:
        await database.dispose()


def _operator(cells: frozenset[str]) -> Principal:
    """Whoever may read the cell's keys on its own machine: on record under the name that the machine knows."""
    return Principal(
        agency=Agency.INTAKE,
        organisation=min(cells),
        roles=frozenset({"operator"}),
        cells=cells,
        subject=f"operator {getpass.getuser()}",
        client="amanat-bundle",
        token_id=NOBODYS,
    )
