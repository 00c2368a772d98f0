"""Stored nodes that a hand changed, took out or put in are an alarm, and are written anew from sound leaves."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from amanat import ledger_commands
from amanat.ledger import audit as auditing
from amanat.ledger import nodes, tree
from amanat.ledger.nodes import LeavesChanged, Rebuilt
from amanat_local.keys import Keys

from .test_duty import duty
from .test_witness import OTHERS, _cosigned, _history
from .world import AT_REST, SERVICES, START, Service, World

POLICE, FORENSICS, LEGAL = SERVICES
# Fifty leaves: the frontier is (5, 0), (4, 2) and (1, 24).
DAMAGES = {
    "an inner node is changed": (
        "UPDATE ledger_nodes SET hash = sha256(hash) WHERE (level, position) = (3, 1)",
        Rebuilt(leaves=50, missing=0, changed=1, strays=0),
    ),
    "an inner node is gone": (
        "DELETE FROM ledger_nodes WHERE (level, position) = (2, 5)",
        Rebuilt(leaves=50, missing=1, changed=0, strays=0),
    ),
    "a node of the frontier is gone": (
        "DELETE FROM ledger_nodes WHERE (level, position) = (4, 2)",
        Rebuilt(leaves=50, missing=1, changed=0, strays=0),
    ),
    "a node stands where none can be yet": (
        "INSERT INTO ledger_nodes VALUES (1, 25, sha256('x'))",
        Rebuilt(leaves=50, missing=0, changed=0, strays=1),
    ),
    "nodes stand on no level": (
        "INSERT INTO ledger_nodes VALUES (0, 1, sha256('x')), (64, 0, sha256('x')), (1, -1, sha256('x'))",
        Rebuilt(leaves=50, missing=0, changed=0, strays=3),
    ),
    "all are gone": ("DELETE FROM ledger_nodes", Rebuilt(leaves=50, missing=47, changed=0, strays=0)),
}


async def audit(service: Service, batch: int = 7) -> int:
    """How many alarms a pass makes."""
    done = await auditing.audit(service.database, [], AT_REST, service.speaker.origin, START, batch=batch)
    return done.alarms


async def stored(service: Service) -> set[tuple[int, int, bytes]]:
    async with service.database.transaction(()) as session:
        rows = await session.execute(text("SELECT level, position, hash FROM ledger_nodes"))
        return {(row.level, row.position, bytes(row.hash)) for row in rows}


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize("what", DAMAGES)
async def test_a_damaged_tree_is_an_alarm_until_it_is_mended_and_then_is_as_it_was(
    world: World, what: str, batch: int
) -> None:
    await _history(world)
    police, (statement, expected) = world[POLICE], DAMAGES[what]
    before = await stored(police)
    assert await audit(police, batch) == 0
    police.sql(statement)
    assert await audit(police, batch) == await audit(police, batch) == 1
    assert await police.alarms() == [("tree_damaged", POLICE)]
    assert await police.acknowledge(POLICE) == 1
    assert await audit(police, batch) == 1
    assert await police.alarms() == [("tree_damaged", POLICE)]
    assert await nodes.rebuild(police.database, batch=batch) == expected
    assert await stored(police) == before
    assert await nodes.rebuild(police.database, batch=batch) == Rebuilt(leaves=50, missing=0, changed=0, strays=0)
    assert await audit(police, batch) == 0


@pytest.mark.parametrize("what", ["a node of the frontier is gone", "a node stands where none can be yet"])
async def test_a_sequencer_that_cannot_go_on_says_so_at_once_and_goes_on_once_the_tree_is_mended(
    world: World, agency_keys: Keys, what: str
) -> None:
    await _history(world)
    police, ledger = world[POLICE], duty(world, agency_keys)
    police.sql(DAMAGES[what][0])
    await police.append(9)
    for _ in range(3):
        await ledger._sequence()
    alarms = police.sql("SELECT kind FROM ledger_alarms").split()
    assert alarms == ["tree_damaged"]
    # What is signed rests on leaves alone: the others go on trusting this ledger.
    await world.tick()
    assert await _cosigned(world, 50) == set(OTHERS)
    await nodes.rebuild(police.database)
    await ledger._sequence()
    await world.tick()
    assert await _cosigned(world, 59) == set(OTHERS)
    assert await audit(police) == 0


@pytest.mark.parametrize(
    "how",
    [
        "UPDATE ledger_leaves SET hash = sha256(hash) WHERE position = 7",
        "UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8",
        "DELETE FROM ledger_leaves WHERE position = 7",
        "DELETE FROM ledger_leaves WHERE position = 49",
    ],
)
async def test_a_history_that_was_changed_is_not_made_to_look_whole(world: World, how: str) -> None:
    await _history(world)
    police = world[POLICE]
    police.sql(how, "DELETE FROM ledger_nodes WHERE (level, position) = (2, 5)")
    before = await stored(police)
    with pytest.raises(LeavesChanged):
        await nodes.rebuild(police.database)
    assert await stored(police) == before


async def test_a_tree_is_mended_while_entries_come_and_the_sequencer_takes_them(world: World) -> None:
    await _history(world)
    police = world[POLICE]
    stop = asyncio.Event()

    async def grow() -> None:
        while not stop.is_set():
            await police.append(3)
            await tree.integrate(police.database)

    async def mend() -> None:
        try:
            for _ in range(10):
                police.sql("UPDATE ledger_nodes SET hash = sha256(hash) WHERE (level, position) = (3, 1)")
                assert (await nodes.rebuild(police.database, batch=5)).changed == 1
        finally:
            stop.set()

    await asyncio.gather(grow(), mend())
    await police.integrate()
    assert await audit(police) == 0


async def test_an_operator_mends_the_tree_with_one_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await _history(world)
    police = world[POLICE]
    monkeypatch.setenv("AMANAT_DATABASE_URL", police.postgres.url("police_link_worker", "police_link"))

    async def rebuilt() -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, ledger_commands.app, ["rebuild", "--service", POLICE])
        return done.exit_code, done.output

    status, said = await rebuilt()
    assert (status, "no node was wrong" in said) == (0, True)
    police.sql("DELETE FROM ledger_nodes WHERE level = 1", "UPDATE ledger_nodes SET hash = sha256(hash)")
    status, said = await rebuilt()
    assert (status, "25 nodes were missing, 22 changed" in said) == (0, True)
    assert await audit(police) == 0
    police.sql("UPDATE ledger_leaves SET hash = sha256(hash) WHERE position = 7")
    status, said = await rebuilt()
    assert (status, "nothing was written" in said) == (2, True)
