"""Migrations by Alembic: `python -m amanat.migrate police_link`, as the database's migrator.

A service keeps `migrations/env.py` (which calls `run_env`) and `migrations/versions/` inside its module.
AMANAT_DATABASE_URL is the migrator's address. One migration runs at a time; a lock that others hold is waited for a few
seconds, let go and tried again, so that a migration never queues a whole service behind itself.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, pool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

LOCK_TIMEOUT_S = 5
ATTEMPTS = 6
_LOCK_NOT_AVAILABLE = "55P03"
_ONE_AT_A_TIME = 4_703_391  # an advisory lock's number; any does, if nothing else takes it


def upgrade(module: str, url: str, revision: str = "head") -> None:
    """Brings the database at `url` to `revision` with the migrations of `module`.

    Raises FileNotFoundError when the module has no migrations, and the database's error when one fails; then nothing
    of that run is kept.
    """
    config = Config()
    config.set_main_option("script_location", str(_migrations(module)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    for attempt in range(ATTEMPTS):
        try:
            command.upgrade(config, revision)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE or attempt == ATTEMPTS - 1:
                raise
            time.sleep(1 + attempt)
        else:
            return


def run_env(metadata: MetaData) -> None:
    """What a service's `env.py` calls; `metadata` is that of its `models.py`."""
    url = context.config.attributes["url"]
    # Alembic is synchronous and may be called where an event loop already runs.
    with ThreadPoolExecutor(max_workers=1) as aside:
        aside.submit(asyncio.run, _run(url, metadata)).result()


async def _run(url: str, metadata: MetaData) -> None:
    engine = create_async_engine(
        url,
        poolclass=pool.NullPool,
        hide_parameters=True,
        connect_args={
            "server_settings": {
                "application_name": "amanat-migrate",
                "lock_timeout": f"{LOCK_TIMEOUT_S}s",
                "statement_timeout": "10min",
            }
        },
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, metadata)
    finally:
        await engine.dispose()


def _migrate(connection: Connection, metadata: MetaData) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
        context.run_migrations()


def _migrations(module: str) -> Path:
    origin = importlib.import_module(module).__file__
    folder = Path(origin or "").parent / "migrations"
    if not (folder / "env.py").exists():
        raise FileNotFoundError(f"{module} has no migrations/env.py")
    return folder


def main(arguments: list[str]) -> int:
    """Exit status 2 for a wrong call, 1 for a failed migration, 0 otherwise."""
    url_file = os.environ.get("AMANAT_DATABASE_URL_FILE")
    url = os.environ.get("AMANAT_DATABASE_URL") or (Path(url_file).read_text().strip() if url_file else "")
    if len(arguments) != 1 or not url:
        sys.stderr.write("usage: AMANAT_DATABASE_URL=<the migrator's> python -m amanat.migrate <module>\n")
        return 2
    try:
        upgrade(arguments[0], url)
    except (DBAPIError, OSError) as error:
        # The database's own text: it names tables and locks. Parameters are hidden.
        sys.stderr.write(f"migration failed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
