"""One cell with its gate for all tests of intake, its tables emptied before each."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from amanat.db import Database
from amanat.kek import FileKekPrivate, FileKekPublic
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from intake import gate, main
from intake.service.instruments import Instruments
from intake.settings import GateSettings

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
        kafka_bootstrap="127.0.0.1:1",
        kafka_security="plaintext",
        rate_per_minute=1_000_000,
    )
    public = FileKekPublic(keys.kek_public)
    instruments = Instruments.from_settings(settings, public, secrets.token_bytes)
    issuer = Issuer()
    as_main = Database(settings.database_url, application_name="tests-main")
    as_gate = Database(postgres.url("intake_gate", "intake"), application_name="tests-gate")
    main_app = main.build(settings)
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


@pytest.fixture
def world(whole_cell: World, emptied: Callable[[str], None]) -> World:
    """The cell with empty tables."""
    emptied("intake")
    return whole_cell
