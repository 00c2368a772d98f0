"""Police-link between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from amanat.agency.testing import World
from amanat.categories import Agency


@pytest.fixture
async def police(serve: Callable[..., Awaitable[World]]) -> World:
    """Police-link with empty tables."""
    return await serve(Agency.POLICE_LINK, role="police_officer")
