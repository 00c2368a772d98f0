"""`amanat stack`, `amanat token`, `amanat realm`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from amanat_local.missing import Missing
from amanat_local.spawn import NotReady, tail

if TYPE_CHECKING:
    from amanat_local.stack import Kind

stack = typer.Typer(no_args_is_help=True, help="The platform on this machine, without containers.")
token = typer.Typer(help="An access token of the running local stack.")
realm = typer.Typer(no_args_is_help=True, help="The realm as code.")

_told = Console(stderr=True, highlight=False)
Folder = Annotated[Path, typer.Option(help="Where the stack keeps its data, its logs and stack.json.")]
_FOLDER = Path(".amanat")


def _fail(reason: object) -> typer.Exit:
    _told.print(str(reason), style="red", markup=False)
    return typer.Exit(1)


@stack.command()
def up(
    kind: Annotated[str, typer.Option("--stack", help="embedded: Python alone; real: Kafka, Keycloak.")] = "embedded",
    folder: Folder = _FOLDER,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is ready.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete this stack's data and keys first.")] = False,
    infrastructure: Annotated[
        bool, typer.Option("--infrastructure", help="PostgreSQL, broker and issuer alone, to run services by hand.")
    ] = False,
) -> None:
    """Starts the stack and stays until Ctrl-C or SIGTERM, which leave no process."""
    from amanat_local import supervisor

    if kind not in {"embedded", "real"}:
        raise typer.BadParameter("it is embedded or real", param_hint="--stack")
    try:
        running = supervisor.described(folder)
    except supervisor.NotRunning:
        pass
    else:
        raise _fail(f"a stack ({running['kind']}) already runs in {folder}; `amanat stack down` stops it")
    if fresh:
        shutil.rmtree(folder / kind, ignore_errors=True)
    if detach:
        _detached(["--stack", kind, "--folder", str(folder.absolute())] + ["--infrastructure"] * infrastructure, folder)
    else:
        _foreground("real" if kind == "real" else "embedded", folder, [] if infrastructure else None)


def _foreground(kind: Kind, folder: Path, services: list[str] | None) -> None:
    from amanat_local import supervisor
    from amanat_local.migrations import MigrationFailed
    from amanat_local.stack import Stack

    began = time.monotonic()
    with supervisor.stopped_by_signals():
        try:
            with _told.status(f"starting the {kind} stack") as status:

                def say(step: str) -> None:
                    _told.print(f"[green]✓[/] {time.monotonic() - began:5.1f} s  {step}")
                    status.update(f"starting the {kind} stack")

                running = Stack.start(kind, folder, services, say=say, preferred_ports=True)
        except (NotReady, MigrationFailed, Missing) as error:
            raise _fail(error) from None
        try:
            _told.print(f"ready in {time.monotonic() - began:.1f} s; Ctrl-C stops everything")
            _told.print(_addresses(running.info))
            supervisor.watch(running, lambda step: _told.print(step, markup=False))
        finally:
            _told.print("stopping")
            running.stop()


def _detached(options: list[str], folder: Path) -> None:
    from amanat_local import supervisor
    from amanat_local.kept import private_folder

    log = private_folder(folder) / "stack.log"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "amanat_local.commands", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with _told.status("starting the stack"):
        while process.poll() is None:
            try:
                info = supervisor.described(folder)
            except (supervisor.NotRunning, json.JSONDecodeError):
                time.sleep(0.1)
                continue
            _told.print(_addresses(info))
            return
    raise _fail(tail(log, 40))


def _addresses(info: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, address in info["services"].items():
        table.add_row(name, f"{address}/openapi.json")
    table.add_row("issuer", info["issuer"])
    table.add_row("logs", str(Path(info["folder"]) / "logs"))
    table.add_row("all of it", str(Path(info["folder"]).parent / "stack.json"))
    return table


@stack.command()
def down(folder: Folder = _FOLDER) -> None:
    """Stops the stack that runs in this folder; its data stays."""
    from amanat_local import supervisor

    try:
        with _told.status("stopping"):
            supervisor.down(folder)
    except supervisor.NotRunning as error:
        _told.print(str(error), markup=False)
    except NotReady as error:
        raise _fail(error) from None


@stack.command()
def status(folder: Folder = _FOLDER) -> None:
    """Shows processes, addresses and the realm's names. Exit code 1 when something does not run."""
    from amanat_local import supervisor
    from amanat_local.spawn import born

    try:
        info = supervisor.described(folder)
    except supervisor.NotRunning as error:
        raise _fail(error) from None
    console = Console(highlight=False)
    table = Table("process", "pid", "log", box=None, padding=(0, 2))
    runs = True
    for name, process in info["processes"].items():
        alive = process["pid"] is not None and born(process["pid"]) is not None
        runs = runs and alive
        table.add_row(name, str(process["pid"]) if alive else "[red]ended[/]", process["log"])
    console.print(table, _addresses(info))
    console.print("clients: " + ", ".join(info["clients"]), "users: " + ", ".join(info["users"]), sep="\n")
    if not runs:
        raise typer.Exit(1)


@stack.command()
def restart(
    name: Annotated[str, typer.Argument(help="A process, as `amanat stack status` names it.")], folder: Folder = _FOLDER
) -> None:
    """Restarts one process of the running stack and waits until it is ready."""
    from amanat_local import supervisor

    try:
        with _told.status(f"restarting {name}"):
            supervisor.restart(folder, name)
    except (supervisor.NotRunning, NotReady) as error:
        raise _fail(error) from None


@token.callback(invoke_without_command=True)
def print_token(
    name: Annotated[str, typer.Argument(help="A client (station-saddar-system) or a user (station-saddar.officer).")],
    folder: Folder = _FOLDER,
) -> None:
    """Prints the access token of a client or a person of the running local stack."""
    from amanat_local import supervisor, tokens

    try:
        typer.echo(tokens.token(supervisor.described(folder), name))
    except (supervisor.NotRunning, tokens.NoToken) as error:
        raise _fail(error) from None


@realm.callback()
def of_realm() -> None:
    """Keeps `apply` a command of its own, however few there are."""


@realm.command("apply")
def apply_realm(
    folder: Folder = _FOLDER,
    server: Annotated[str, typer.Option(help="Another Keycloak's address; the running local stack's by default.")] = "",
    admin: Annotated[str, typer.Option(help="Its administrator in the realm master.")] = "admin",
    password_file: Annotated[Path | None, typer.Option(help="A file that holds the administrator's password.")] = None,
    directory: Annotated[Path | None, typer.Option(help="The directory file of the organisations.")] = None,
    keys: Annotated[Path | None, typer.Option(help="A folder of the clients' public JWKs, <client>.json.")] = None,
) -> None:
    """Brings a Keycloak's realm up to date: clients of systems and services, roles, and on a local stack its people."""
    from amanat_local import supervisor
    from amanat_local.realm import realm_of
    from amanat_local.realm_apply import KeycloakError, Server, apply, public_jwks

    try:
        if server:
            if password_file is None or directory is None or keys is None:
                raise typer.BadParameter("with --server give --password-file, --directory and --keys as well")
            target = Server(server, admin, password_file.read_text().strip())
            wanted = realm_of(json.loads(directory.read_text()))
            jwks = public_jwks({client.name: keys / f"{client.name}.json" for client in wanted.clients})
            passwords: dict[str, str] = {}
        else:
            info = supervisor.described(folder)
            if info["kind"] == "embedded":
                raise _fail("the embedded issuer reads the realm when it starts: `amanat stack restart issuer`")
            target = Server(info["keycloak"]["url"], info["keycloak"]["admin"], info["keycloak"]["password"])
            wanted = realm_of(json.loads(Path(info["directory_file"]).read_text()))
            jwks = public_jwks({name: Path(client["key_file"]) for name, client in info["clients"].items()})
            passwords = {name: user["password"] for name, user in info["users"].items()}
        with _told.status(f"applying the realm to {target.url}"):
            apply(target, wanted, public_keys=jwks, passwords=passwords)
    except (supervisor.NotRunning, KeycloakError, OSError) as error:
        raise _fail(error) from None
    left_out = [client.name for client in wanted.clients if client.name not in jwks]
    _told.print(f"the realm is applied: {len(jwks)} clients, {len(passwords)} people")
    if left_out:
        _told.print("left out, having no public key: " + ", ".join(left_out))


if __name__ == "__main__":
    stack()
