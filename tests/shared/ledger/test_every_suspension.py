"""The sequencer and the publishing of checkpoints interrupted wherever they wait: each entry becomes one leaf, no
checkpoint contradicts another, and no witness is alarmed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from counting import Count
from stepping import How, Process, sweep

from amanat.ledger import tree

from .world import EVERY_S, World

pytestmark = pytest.mark.fault
POLICE = "police-link"
ENTRIES = 7


@pytest.mark.parametrize("how", How)
async def test_every_entry_is_one_leaf_wherever_the_sequencer_is_interrupted(
    world: World, how: How, count: Count
) -> None:
    police = world[POLICE]

    async def append(number: int) -> None:
        await police.append(ENTRIES)
        world.now += timedelta(seconds=EVERY_S)

    async def sequence(number: int) -> None:
        await tree.integrate(police.database, batch=3)
        await police.publish(world.now)

    async def judge(number: int) -> None:
        await tree.integrate(police.database, batch=3)
        leaves = police.sql("SELECT count(*), count(DISTINCT entry) FROM ledger_leaves").strip()
        assert leaves == f"{ENTRIES * number}|{ENTRIES * number}"
        await world.tick(POLICE)
        assert await world.all_alarms() == {}

    points = await sweep(sequence, judge, how, Process((police.database,)), prepare=append)
    assert points >= 20
    count(f"suspension points where something was {how}", points)
