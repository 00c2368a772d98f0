"""The sequencer takes every committed entry once, in one order, whatever commits when."""

from __future__ import annotations

import asyncio
import os

from sqlalchemy import select, text

from amanat import ledger, merkle
from amanat.ledger import tree
from amanat.tables import ledger_entries, ledger_leaves

from .world import AT_REST, START, TENANT, Service, World

POLICE = "police-link"


async def _hashes(service: Service) -> list[bytes]:
    async with service.database.transaction(()) as session:
        return [bytes(each) for each in await session.scalars(
            select(ledger_leaves.c.hash).order_by(ledger_leaves.c.position)
        )]  # fmt: skip


async def test_every_entry_becomes_one_leaf_in_the_order_of_transactions(world: World) -> None:
    police = world[POLICE]
    await police.append(25)
    assert await police.integrate() == 25
    assert await police.integrate() == 0
    await police.append(3)
    assert await police.integrate() == 3
    async with police.database.transaction(()) as session:
        order = select(ledger_entries.c.commitment).order_by(ledger_entries.c.transaction, ledger_entries.c.id)
        commitments = [bytes(each) for each in await session.scalars(order)]
    assert await _hashes(police) == commitments


async def test_an_entry_that_commits_late_is_waited_for_and_not_passed(world: World) -> None:
    police = world[POLICE]
    statement = ledger.Statement(TENANT, "state", "late", START)
    async with police.database.transaction([TENANT]) as slow:
        await ledger.append(slow, [ledger.entry(statement, AT_REST, os.urandom)])
        await police.append(4)
        assert await police.integrate() == 0
    assert await police.integrate() == 5
    async with police.database.transaction(()) as session:
        first = await session.scalar(text("SELECT entry FROM ledger_leaves WHERE position = 0"))
        assert first == await session.scalar(select(ledger_entries.c.id).where(ledger_entries.c.subject == "late"))


async def test_what_was_rolled_back_leaves_no_hole(world: World) -> None:
    police = world[POLICE]
    await police.append(2)
    async with police.database.transaction([TENANT]) as session:
        await ledger.append(session, [ledger.entry(ledger.Statement(TENANT, "state", "x", START), AT_REST, os.urandom)])
        await session.rollback()
    await police.append(2)
    assert await police.integrate() == 4


async def test_many_writers_and_two_sequencers_lose_and_double_nothing(world: World) -> None:
    police = world[POLICE]

    async def write() -> None:
        for _ in range(10):
            await police.append(3)

    async def sequence() -> int:
        taken = 0
        for _ in range(60):
            taken += await tree.integrate(police.database, batch=7)
        return taken

    done = await asyncio.gather(*(write() for _ in range(4)), sequence(), sequence())
    taken = sum(each for each in done if each is not None) + await police.integrate()
    assert taken == 120 == await police.entries()
    assert len(set(await _hashes(police))) == 120


async def test_stored_nodes_give_the_root_that_one_pass_over_the_leaves_gives(world: World) -> None:
    police = world[POLICE]
    for number in (1, 2, 5, 64, 31):
        await police.append(number)
        await tree.integrate(police.database, batch=13)
        found = await tree.recompute(police.database, merkle.frontier(number))
        async with police.database.transaction(()) as session:
            size = await tree.size_of(session)
            stored = await tree.read_nodes(session, merkle.frontier(size))
        assert (found.size, found.root) == (size, merkle.root_of(size, stored))


async def test_a_tree_that_lost_its_end_grows_again_as_it_was(world: World) -> None:
    police = world[POLICE]
    await police.append(20)
    await police.integrate()
    before = await _hashes(police)
    police.sql("DELETE FROM ledger_leaves WHERE position >= 13", "DELETE FROM ledger_nodes WHERE level > 0")
    police.sql("DELETE FROM ledger_leaves", "DELETE FROM ledger_nodes")
    await police.integrate()
    assert await _hashes(police) == before
