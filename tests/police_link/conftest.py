"""Police-link between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amanat.agency.testing import World, world
from amanat.facts import FactOpener
from amanat_local.keys import Keys
from police_link.handlers import handlers
from police_link.main import build
from police_link.settings import Settings


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(Path(tmp_path_factory.mktemp("police-keys")), ["police-link-service"])


@pytest.fixture
async def police(migrated, emptied, keys: Keys) -> AsyncIterator[World]:
    """Police-link with empty tables."""
    postgres = migrated("police_link", "police_link")
    emptied("police_link")
    settings = Settings(
        database_url=postgres.url("police_link_api", "police_link"),
        issuer="http://issuer.test/realms/amanat",
        audience="amanat-police-link",
        directory_file=keys.directory_file,
        at_rest_key_file=keys.at_rest("police-link"),
        index_key_file=keys.index("police-link"),
        gate_url="http://gate.test",
        client_id="police-link-service",
        client_key_file=keys.client("police-link-service"),
        signing_key_file=keys.signing("police-link"),
    )
    async with world(
        build(settings),
        worker_url=postgres.url("police_link_worker", "police_link"),
        opener=FactOpener.from_dir(keys.facts_dir, keys.directory_file),
        role="police_officer",
        handlers=handlers,
    ) as made:
        yield made
