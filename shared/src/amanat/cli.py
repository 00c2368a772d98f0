"""`amanat`: the operator's command. Each package adds its own by an entry point of the group `amanat.commands`.

An entry point loads a typer application, or a function that is one command, and is added under the entry point's name.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer

from amanat.categories import Agency
from amanat.db import Database
from amanat.schema import background_role
from amanat.settings import BadSettings, ServiceSettings

STACK_FILE = Path(".amanat/stack.json")
S = TypeVar("S", bound=ServiceSettings)


def run() -> None:
    """The console script."""
    build()()


def build() -> typer.Typer:
    """The command with all that the installed packages add."""
    app = typer.Typer(
        name="amanat", help="Amanat's operator command.", no_args_is_help=True, pretty_exceptions_enable=False
    )
    for entry in sorted(entry_points(group="amanat.commands"), key=lambda entry: entry.name):
        _add(app, entry)
    return app


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    loaded = entry.load()
    if not isinstance(loaded, typer.Typer):
        app.command(entry.name)(loaded)
        return
    commands = loaded.registered_commands
    if len(commands) == 1 and commands[0].name == entry.name and commands[0].callback is not None:
        # A room of one command with its own name is that command: `amanat token NAME`, not `amanat token token NAME`.
        app.command(entry.name)(commands[0].callback)
    else:
        app.add_typer(loaded, name=entry.name)


def database_of(service: str) -> Database:
    """A service's database as its background role: AMANAT_DATABASE_URL (or …_FILE), else the local stack's.

    Raises typer.Exit with a plain line when neither is there, or the service is none.
    """
    if service not in {agency.value for agency in Agency}:
        stop(f"no such service; there are {', '.join(agency.value for agency in Agency)}")
    url = _from_environment("AMANAT_DATABASE_URL")
    if url is None:
        db = service.replace("-", "_")
        roles = stack_info().get("databases", {}).get(db, {}).get("roles", {})
        url = roles.get(background_role(db))
    if url is None:
        stop("AMANAT_DATABASE_URL is not set (the worker's or the gate's role), and no local stack is running here")
    return Database(
        str(url).replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=2, application_name="amanat-cli"
    )


def settings_of(process: str, settings: type[S]) -> S:
    """A process's settings for a command that acts in its place: from the environment or, without
    AMANAT_DATABASE_URL (or …_FILE) in it, from the local stack's process of this name ("intake-main").

    Raises typer.Exit with a plain line when neither is there, or a setting does not fit.
    """
    told: dict[str, str] = {}
    if _from_environment("AMANAT_DATABASE_URL") is None:
        told = stack_info().get("environments", {}).get(process, {})
        if not told:
            stop(f"AMANAT_DATABASE_URL is not set ({process}'s environment is needed), and no local stack runs here")
    try:
        return settings.load(told)
    except BadSettings as error:
        stop(str(error))


def kafka_admin() -> dict[str, str | int | float | bool]:
    """librdkafka's settings for an administrator: AMANAT_KAFKA_BOOTSTRAP, …_SECURITY, …_USER, …_PASSWORD, else the
    local stack's `admin`. Raises typer.Exit with a plain line when neither is there.
    """
    named = _from_environment("AMANAT_KAFKA_BOOTSTRAP")
    # As the services' settings have it: an address without more is that of a broker with users.
    local: dict[str, Any] = {"security": "scram"} if named else stack_info().get("kafka", {})
    bootstrap = named or local.get("bootstrap")
    if not bootstrap:
        stop("AMANAT_KAFKA_BOOTSTRAP is not set, and no local stack is running here")
    found: dict[str, str | int | float | bool] = {"bootstrap.servers": str(bootstrap), "log_level": 3}
    if (_from_environment("AMANAT_KAFKA_SECURITY") or local.get("security")) == "scram":
        found |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": _from_environment("AMANAT_KAFKA_USER") or "admin",
            "sasl.password": _from_environment("AMANAT_KAFKA_PASSWORD") or str(local.get("users", {}).get("admin", "")),
        }
    return found


def stack_info() -> dict[str, Any]:
    """What a local stack running in this folder says of itself; empty without one."""
    try:
        info = json.loads(STACK_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return info if isinstance(info, dict) else {}


def stop(reason: str) -> NoReturn:
    """Ends the command with exit status 2 and one plain line."""
    sys.stderr.write(f"amanat: {reason}\n")
    raise typer.Exit(2)


def _from_environment(name: str) -> str | None:
    path = os.environ.get(f"{name}_FILE")
    return os.environ.get(name) or (Path(path).read_text(encoding="utf-8").strip() if path else None)
