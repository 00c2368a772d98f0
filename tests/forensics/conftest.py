"""Forensics between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from amanat.agency.testing import World, environment, world
from amanat.categories import Agency
from amanat.facts import FactOpener
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from forensics.handlers import handlers
from forensics.main import build
from forensics.settings import Settings


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(Path(tmp_path_factory.mktemp("keys")), ["forensics-service"])


@pytest.fixture
async def laboratory(
    migrated: Callable[[str, str], Postgres], emptied: Callable[[str], None], keys: Keys
) -> AsyncIterator[World]:
    """Forensics with empty tables."""
    postgres = migrated("forensics", "forensics")
    emptied("forensics")
    settings = Settings(**environment(Agency.FORENSICS, keys, postgres.url("forensics_api", "forensics")))
    async with world(
        build(settings),
        worker_url=postgres.url("forensics_worker", "forensics"),
        opener=FactOpener.from_dir(keys.facts_dir, keys.directory_file),
        role="laboratory_analyst",
        handlers=handlers,
    ) as made:
        yield made
