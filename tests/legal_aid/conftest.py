"""Legal-aid between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from amanat.agency.testing import World, environment, world
from amanat.categories import Agency
from amanat.facts import FactOpener
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from legal_aid.handlers import handlers
from legal_aid.main import build
from legal_aid.settings import Settings


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(Path(tmp_path_factory.mktemp("keys")), ["legal-aid-service"])


@pytest.fixture
async def partner(
    migrated: Callable[[str, str], Postgres], emptied: Callable[[str], None], keys: Keys
) -> AsyncIterator[World]:
    """Legal-aid with empty tables."""
    postgres = migrated("legal_aid", "legal_aid")
    emptied("legal_aid")
    settings = Settings(**environment(Agency.LEGAL_AID, keys, postgres.url("legal_aid_api", "legal_aid")))
    async with world(
        build(settings),
        worker_url=postgres.url("legal_aid_worker", "legal_aid"),
        opener=FactOpener.from_dir(keys.facts_dir, keys.directory_file),
        role="legal_aid_officer",
        handlers=handlers,
    ) as made:
        yield made
