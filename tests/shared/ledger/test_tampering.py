"""Whatever is done to a ledger's tables, with all rights, its witness sees it at the next checkpoint; and a ledger that
only grows is never suspected."""

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from counting import Count
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from amanat.ledger import tree

from .world import EVERY_S, SERVICES, Service, World

pytestmark = pytest.mark.attack

POLICE, FORENSICS, _ = SERVICES
LEDGER = ("ledger_entries", "ledger_leaves", "ledger_nodes", "ledger_checkpoints")
HOME = (*LEDGER, "ledger_alarms", "witness_states", "cosignatures", "outbox")
EYES = ("witnessed", "witness_states", "proof_parts", "cosignatures", "ledger_alarms", "outbox")
STEPS = 5
"""Checkpoints under which the ledger grows before anybody touches it."""


class Ground:
    """A ledger, its witness, who may do anything to the ledger's database, and the way back to how it was."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.size = 0
        self.chance = random.Random()
        self._engines: dict[str, AsyncEngine] = {
            name: create_async_engine(world[name].postgres.admin_url(world[name].db)) for name in (POLICE, FORENSICS)
        }

    @property
    def police(self) -> Service:
        return self.world[POLICE]

    async def run(self, *statements: str, service: str = POLICE, **given: Any) -> Any:
        """As superuser, in one transaction; the last statement's first value."""
        async with self._engines[service].begin() as connection:
            for statement in statements:
                names = set(re.findall(r":(\w+)", statement))
                done = await connection.execute(text(statement), {name: given[name] for name in names})
            return done.scalar() if done.returns_rows else None

    async def keep(self, label: str, tables: tuple[str, ...], service: str = POLICE) -> None:
        copies = (f"CREATE TABLE kept.{label}_{table} AS TABLE {table}" for table in tables)
        await self.run("CREATE SCHEMA IF NOT EXISTS kept", *copies, service=service)

    async def back(self, label: str, tables: tuple[str, ...], service: str = POLICE) -> None:
        copies = (f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept.{label}_{table}" for table in tables)
        await self.run(f"TRUNCATE {', '.join(tables)}", *copies, service=service)

    async def grown(self, leaves: int) -> None:
        """So many leaves under cosigned checkpoints; each step is kept, the last one to come back to."""
        for step in range(STEPS):
            await self.keep(f"step{step}", LEDGER)
            await self.police.append(leaves // STEPS)
            assert (await self.checkpoint(), await self.was_cosigned()) == ([], True)
        self.size = leaves
        await self.keep("whole", HOME)
        await self.keep("whole", EYES, FORENSICS)

    async def restored(self) -> None:
        await self.back("whole", HOME)
        await self.back("whole", EYES, FORENSICS)

    async def checkpoint(self) -> list[str]:
        """The next one is published, and the witness hears it. The kinds of the witness's alarms."""
        self.world.now += timedelta(seconds=EVERY_S)
        await self.police.publish(self.world.now)
        for row in await self.police.sent():
            await self.world.tell([FORENSICS], row)
        return [kind for kind, of in await self.world[FORENSICS].alarms() if of == POLICE]

    async def was_cosigned(self) -> bool:
        """Whether the witness says a cosignature, which it then has said."""
        return bool(await self.world[FORENSICS].sent())

    async def close(self) -> None:
        for service, engine in self._engines.items():
            await self.run("DROP SCHEMA IF EXISTS kept CASCADE", service=service)
            await engine.dispose()

    def at(self, below: int | None = None) -> int:
        return self.chance.randrange(below or self.size)

    def two(self) -> tuple[int, int]:
        one, other = self.chance.sample(range(self.size), 2)
        return one, other


@pytest.fixture
async def ground(world: World) -> AsyncIterator[Ground]:
    made = Ground(world)
    yield made
    await made.close()


CUT_LEAVES = "DELETE FROM ledger_leaves WHERE position >= :size"
CUT_NODES = "DELETE FROM ledger_nodes WHERE (position + 1) << level > :size"
CUT_ENTRIES = "DELETE FROM ledger_entries WHERE id NOT IN (SELECT entry FROM ledger_leaves)"
ALL_AGAIN = ("TRUNCATE ledger_leaves", "TRUNCATE ledger_nodes")
OF = "(SELECT entry FROM ledger_leaves WHERE position = :at)"
CHANGE_ENTRY = f"UPDATE ledger_entries SET commitment = :hash WHERE id = {OF}"
CHANGE_LEAF = "UPDATE ledger_leaves SET hash = :hash WHERE position = :at"
FORGED_ENTRY = (
    "INSERT INTO ledger_entries (tenant, kind, subject, at, said, commitment)"
    " VALUES ('station-saddar', 'state', 'forged', now(), '{}', :hash) RETURNING id"
)


async def cut(ground: Ground, *, to: int | None = None) -> None:
    size = ground.at() if to is None else to
    tidy = [CUT_NODES] if ground.chance.random() < 0.5 else []
    await ground.run(CUT_LEAVES, CUT_ENTRIES, *tidy, size=size)


async def rolled_back(ground: Ground) -> None:
    await ground.back(f"step{ground.at(STEPS)}", LEDGER)


async def leaves_changed(ground: Ground) -> None:
    for at in ground.chance.sample(range(ground.size), ground.chance.randint(1, 5)):
        await ground.run(CHANGE_LEAF, at=at, hash=ground.chance.randbytes(32))


async def entries_changed(ground: Ground) -> None:
    for at in ground.chance.sample(range(ground.size), ground.chance.randint(1, 5)):
        await ground.run(CHANGE_ENTRY, at=at, hash=ground.chance.randbytes(32))


async def both_changed(ground: Ground) -> None:
    for at in ground.chance.sample(range(ground.size), ground.chance.randint(1, 5)):
        await ground.run(CHANGE_ENTRY, CHANGE_LEAF, at=at, hash=ground.chance.randbytes(32))


async def _swapped(ground: Ground, one: int, other: int) -> None:
    move = "UPDATE ledger_leaves SET position = {} WHERE position = {}"
    moves = [move.format(-1, one), move.format(one, other), move.format(other, -1)]
    await ground.run(*moves)


async def neighbours_swapped(ground: Ground) -> None:
    at = ground.at(ground.size - 1)
    await _swapped(ground, at, at + 1)


async def strangers_swapped(ground: Ground) -> None:
    one, other = ground.two()
    await _swapped(ground, one, other if ground.chance.random() < 0.8 else ground.size - 1)


async def entry_deleted(ground: Ground) -> None:
    at = ground.at()
    with_leaf = [f"DELETE FROM ledger_entries WHERE id = {OF}", "DELETE FROM ledger_leaves WHERE position = :at"]
    close_ranks = [
        "UPDATE ledger_leaves SET position = -position WHERE position > :at",
        "UPDATE ledger_leaves SET position = -position - 1 WHERE position < 0",
    ]
    await ground.run(*ground.chance.choice([with_leaf[:1], with_leaf, with_leaf + close_ranks]), at=at)


async def entry_forged(ground: Ground) -> None:
    at, forged = ground.at(), ground.chance.randbytes(32)
    entry = await ground.run(
        "UPDATE ledger_leaves SET position = -position - 2 WHERE position >= :at",
        "UPDATE ledger_leaves SET position = -position - 1 WHERE position < 0",
        FORGED_ENTRY,
        at=at,
        hash=forged,
    )
    await ground.run("INSERT INTO ledger_leaves VALUES (:at, :entry, :hash)", at=at, entry=entry, hash=forged)
    if ground.chance.random() < 0.5:  # among the old ones, where the sequencer would have put it
        await ground.run(f"UPDATE ledger_entries SET transaction = 1 WHERE id = {OF}", at=at)


async def nodes_computed_anew(ground: Ground) -> None:
    await ground.run(CHANGE_ENTRY, *ALL_AGAIN, at=ground.at(), hash=ground.chance.randbytes(32))


async def forked(ground: Ground) -> None:
    """From somewhere on, all entries are others, as many or not, and the tree is built over them."""
    begin = ground.at()
    await cut(ground, to=begin)
    await ground.police.append(ground.chance.choice([ground.size - begin, ground.chance.randint(1, ground.size)]))
    if ground.chance.random() < 0.5:
        await ground.run(*ALL_AGAIN)


async def checkpoint_forged(ground: Ground) -> None:
    """Something else is done as well, and the service is told that it published just that."""
    await ground.chance.choice([cut, both_changed, forked])(ground)
    with contextlib.suppress(tree.Damaged):
        await ground.police.integrate()
    found = await tree.recompute(ground.police.database)
    await ground.run(
        "UPDATE ledger_checkpoints SET size = :size, root = :root WHERE published_at ="
        " (SELECT max(published_at) FROM ledger_checkpoints)",
        size=found.size, root=found.root,
    )  # fmt: skip


TAMPERINGS: tuple[Callable[[Ground], Awaitable[None]], ...] = (
    cut, rolled_back, leaves_changed, entries_changed, both_changed, neighbours_swapped, strangers_swapped,
    entry_deleted, entry_forged, nodes_computed_anew, forked, checkpoint_forged,
)  # fmt: skip


def seeded(capsys: pytest.CaptureFixture[str]) -> random.Random:
    """By AMANAT_SEED, or a seed of its own, which is printed."""
    seed = int(os.environ.get("AMANAT_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nAMANAT_SEED={seed}", end=" ")  # noqa: T201 - what repeats the run
    return random.Random(seed)


@pytest.mark.parametrize(("leaves", "number"), [(1000, 25), pytest.param(10_000, 240, marks=pytest.mark.full)])
async def test_every_tampering_is_seen_by_the_witness_at_the_next_checkpoint(
    ground: Ground, leaves: int, number: int, count: Count, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.chance = seeded(capsys)
    await ground.grown(leaves)
    unseen = []
    for turn in range(number):
        tampering = TAMPERINGS[turn % len(TAMPERINGS)]
        grows = ground.chance.choice([1, ground.chance.randint(2, leaves // 5)]) if turn // len(TAMPERINGS) % 2 else 0
        await ground.restored()
        await tampering(ground)
        await ground.police.append(grows)
        alarms = await ground.checkpoint()
        if not set(alarms) & {"fork", "rollback", "unlinked"} or await ground.was_cosigned():
            unseen.append((turn, tampering.__name__, grows, alarms))
    assert unseen == []
    count("tamperings with a ledger", number)


@pytest.mark.parametrize("number", [60, pytest.param(1000, marks=pytest.mark.full)])
async def test_a_ledger_that_only_grows_is_never_suspected(
    ground: Ground, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.chance = seeded(capsys)
    for turn in range(number):
        await ground.police.append(ground.chance.choice([0, 1, ground.chance.randint(2, 20)]))
        assert (await ground.checkpoint(), await ground.was_cosigned()) == ([], True), turn
    assert await ground.police.alarms() == []


async def test_a_checkpoint_that_was_forged_into_the_future_silences_nobody_and_is_an_alarm_at_home(
    ground: Ground,
) -> None:
    await ground.grown(100)
    await ground.run(
        "INSERT INTO ledger_checkpoints SELECT published_at + interval '1 year', size, root, note"
        " FROM ledger_checkpoints ORDER BY published_at DESC LIMIT 1"
    )
    for _ in range(3):
        assert (await ground.checkpoint(), await ground.was_cosigned()) == ([], True)
    assert await ground.police.alarms() == [("clock_went_back", POLICE)]
    await ground.world[FORENSICS].watch(ground.world.now)
    assert ("silence", POLICE) not in await ground.world[FORENSICS].alarms()
