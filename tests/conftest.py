"""What every test may ask for: a PostgreSQL of its own session, databases migrated as production's are, and an agency's
service between its database and a gate in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joined_anew
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from amanat.categories import OUTSIDE, Agency
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from amanat_local.stack import Kind, Stack

if TYPE_CHECKING:
    from amanat.agency.testing import World

pytest_plugins = ("counting",)
event.listen(Engine, "before_cursor_execute", joined_anew.before_cursor_execute)

Migrated = Callable[[str, str], Postgres]
Emptied = Callable[[str], None]
Serve = Callable[..., Awaitable["World"]]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One cluster for the whole run, without fsync; stopped at its end."""
    running = Postgres.start(Path(tmp_path_factory.mktemp("postgres")) / "cluster", durable=False)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Migrated:
    """`migrated("police_link", "police_link")`: the database, its roles and the module's real migrations, made once."""
    done: set[str] = set()

    def make(db: str, module: str) -> Postgres:
        if db not in done:
            from amanat import migrate

            postgres.create_database(db)
            # In a thread: migrations may start an event loop of their own, and a test may already be inside one.
            with ThreadPoolExecutor(max_workers=1) as aside:
                aside.submit(migrate.upgrade, module, postgres.url(f"{db}_migrator", db)).result()
            done.add(db)
        return postgres

    return make


@pytest.fixture(scope="session")
def emptied(postgres: Postgres) -> Emptied:
    """`emptied("police_link")` truncates every table of the database, Alembic's own excepted, as superuser."""

    def empty(db: str) -> None:
        tables = postgres.sql(
            db,
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'alembic_version'",
        ).strip()
        if tables:
            postgres.sql(db, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")

    return empty


@pytest.fixture(scope="session")
def agency_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of every agency's service, made once for the run."""
    return Keys.make(Path(tmp_path_factory.mktemp("agencies")), [f"{agency}-service" for agency in sorted(OUTSIDE)])


@pytest.fixture
async def serve(migrated: Migrated, emptied: Emptied, agency_keys: Keys) -> AsyncIterator[Serve]:
    """`await serve(Agency.FORENSICS, role="laboratory_analyst")`: the agency's own app and handlers, with empty tables.

    They are found in the rooms that every service has (`tests/house/test_layout.py`). Its clients' tokens say `role`;
    what else is named here is a setting of the service.
    """
    from amanat.agency.testing import environment, world
    from amanat.facts import FactOpener

    async def start(agency: Agency, *, role: str, **told: Any) -> World:
        package = agency.replace("-", "_")
        main, handlers, settings = (import_module(f"{package}.{room}") for room in ("main", "handlers", "settings"))
        postgres = migrated(package, package)
        emptied(package)
        told = environment(agency, agency_keys, postgres.url(f"{package}_api", package)) | told
        served = world(
            main.build(settings.Settings(**told)),
            worker_url=postgres.url(f"{package}_worker", package),
            opener=FactOpener.from_dir(agency_keys.facts_dir, agency_keys.directory_file),
            role=role,
            handlers=handlers.handlers,
        )
        return await running.enter_async_context(served)

    async with AsyncExitStack() as running:
        yield start


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole platform, once for the run: the real stack with STACK=real, else the embedded one. Tests share it and
    open cases of their own; who kills processes starts them again. Its request rate is out of the tests' way, and its
    checkpoints come often.
    """
    kind: Kind = "real" if os.environ.get("AMANAT_STACK") == "real" else "embedded"
    folder = Path(tmp_path_factory.mktemp("stack"))
    told = {"RATE_PER_MINUTE": "1000000", "CHECKPOINT_SECONDS": "5"}
    with Stack.start(kind, folder, settings=told) as running:
        yield running
