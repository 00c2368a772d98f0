"""A browser, and the cell's own service on loopback for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from ..world import World
from .browser import browsing, chromium, listening


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium()
    async with browsing() as running:
        yield running


@pytest.fixture
async def host(world: World) -> AsyncIterator[str]:
    async with listening(world.main_app) as address:
        yield address


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: AMANAT_PICTURES keeps them for a look."""
    kept = os.environ.get("AMANAT_PICTURES")
    folder = Path(kept) if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder
