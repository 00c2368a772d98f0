"""Looks as agencies tell them, for tests of who looked."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from amanat.categories import Agency, Category
from amanat.contracts.looks import LooksReported, LookTold

from .world import POLICE, World

IDENTITY, INCIDENT = Category.IDENTITY, Category.INCIDENT
MORNING = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def look(at: datetime, *categories: Category) -> LookTold:
    """A look of an officer of whoever tells it."""
    return LookTold(look_id=uuid4(), at=at, categories=categories, purpose="investigation")


async def tell(world: World, referral: str, *looks: LookTold, agency: Agency = POLICE) -> None:
    """The agency's digest, taken by the gate."""
    await world.fact(agency, LooksReported(referral=referral, looks=looks))
