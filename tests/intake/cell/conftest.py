"""One cell with its gate for all tests of intake, its tables emptied before each."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from amanat.db import Database
from amanat.kek import FileKekPrivate, FileKekPublic
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from intake import gate, main
from intake.service.instruments import Instruments
from intake.settings import GateSettings, Settings

from .two_cells import Two, two_cells
from .world import ISSUER, Issuer, World


@pytest.fixture(scope="session")
async def whole_cell(
    migrated: Callable[[str, str], Postgres], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    postgres = migrated("intake", "intake")
    keys = Keys.make(Path(tmp_path_factory.mktemp("intake-keys")), [])
    settings = GateSettings(
        database_url=postgres.url("intake_api", "intake"),
        issuer=ISSUER,
        audience="amanat-intake",
        directory_file=keys.directory_file,
        at_rest_key_file=keys.at_rest("intake"),
        index_key_file=keys.index("intake"),
        kek_public_dir=keys.kek_public,
        kek_private_dir=keys.kek_private,
        facts_key_dir=keys.facts_dir,
        ledger_key_file=keys.ledger("intake"),
        bundle_key_file=keys.bundles,
        kafka_bootstrap="127.0.0.1:1",
        kafka_security="plaintext",
        rate_per_minute=1_000_000,
    )
    public = FileKekPublic(keys.kek_public)
    instruments = Instruments.from_settings(settings, public, secrets.token_bytes)
    issuer = Issuer()
    as_main = Database(settings.database_url, application_name="tests-main")
    as_gate = Database(postgres.url("intake_gate", "intake"), application_name="tests-gate")
    main_app = main.build(
        Settings(
            **settings.model_dump(include=set(Settings.model_fields)),
            claim_pepper_file=keys.claim_pepper,
            # Argon2 as cheap as it gets: what it costs is nobody's question here.
            claim_hash_passes=1,
            claim_hash_memory_kib=8,
        )
    )
    gate_app = gate.build(settings, as_gate, instruments)
    main_app.state.verifier = issuer.verifier("amanat-intake")
    gate_app.state.verifier = issuer.verifier("amanat-gate")
    yield World(
        settings=settings,
        keys=keys,
        instruments=instruments,
        kek=FileKekPrivate(keys.kek_public, keys.kek_private),
        public=public,
        issuer=issuer,
        main=as_main,
        gate=as_gate,
        main_app=main_app,
        gate_app=gate_app,
    )
    await main_app.state.desk.database.dispose()
    await as_main.dispose()
    await as_gate.dispose()


@pytest.fixture(scope="session")
async def emptying(migrated: Callable[[str, str], Postgres]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Deletes every row as superuser: for tables of a few rows a tenth of what truncating forty files' worth costs."""
    engine = create_async_engine(migrated("intake", "intake").admin_url("intake"))

    async def empty() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            names = await connection.scalars(
                text("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'")
            )
            for name in set(names) - {"alembic_version"}:
                await connection.execute(text(f"DELETE FROM {name}"))

    yield empty
    await engine.dispose()


@pytest.fixture
async def world(whole_cell: World, emptying: Callable[[], Awaitable[None]]) -> World:
    """The cell with empty tables."""
    await emptying()
    return whole_cell


@pytest.fixture
async def two(world: World, migrated: Callable[[str, str], Postgres]) -> AsyncIterator[Two]:
    """A case of Karachi's and one of Lahore's, and a session to which row-level security is open."""
    async with two_cells(world, migrated("intake", "intake")) as both:
        yield both
