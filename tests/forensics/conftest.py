"""Forensics between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from amanat.agency.testing import World
from amanat.categories import Agency


@pytest.fixture
async def laboratory(serve: Callable[..., Awaitable[World]]) -> World:
    """Forensics with empty tables."""
    return await serve(Agency.FORENSICS, role="laboratory_analyst")
