"""Three services' ledgers, empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from amanat_local.postgres import Postgres

from .world import SERVICES, World, made


@pytest.fixture
async def world(migrated: Callable[[str, str], Postgres], emptied: Callable[[str], None]) -> AsyncIterator[World]:
    clusters = {}
    for name in SERVICES:
        db = name.replace("-", "_")
        clusters[name] = migrated(db, db)
        emptied(db)
    world = made(clusters)
    yield world
    await world.close()
