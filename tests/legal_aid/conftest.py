"""Legal-aid between a gate in memory and its real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from amanat.agency.testing import World
from amanat.categories import Agency


@pytest.fixture
async def partner(serve: Callable[..., Awaitable[World]]) -> World:
    """Legal-aid with empty tables."""
    return await serve(Agency.LEGAL_AID, role="legal_aid_officer")
