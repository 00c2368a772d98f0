"""Police-link, standing for every agency, between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from amanat.agency.testing import World, environment, world
from amanat.categories import Agency
from amanat.facts import FactOpener
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from police_link.handlers import handlers
from police_link.main import build
from police_link.settings import Settings


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(Path(tmp_path_factory.mktemp("keys")), ["police-link-service"])


@pytest.fixture
async def police(
    migrated: Callable[[str, str], Postgres], emptied: Callable[[str], None], keys: Keys
) -> AsyncIterator[World]:
    """Police-link, standing for every agency, with empty tables."""
    postgres = migrated("police_link", "police_link")
    emptied("police_link")
    settings = Settings(**environment(Agency.POLICE_LINK, keys, postgres.url("police_link_api", "police_link")))
    async with world(
        build(settings),
        worker_url=postgres.url("police_link_worker", "police_link"),
        opener=FactOpener.from_dir(keys.facts_dir, keys.directory_file),
        role="police_officer",
        handlers=handlers,
    ) as made:
        yield made
