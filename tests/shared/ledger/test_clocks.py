"""A clock that jumps ahead and goes back again stops nobody for long, and is an alarm wherever it is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from amanat.contracts.checkpoints import CheckpointCosigned
from amanat.ledger.witness import BEHIND
from amanat.notes import Checkpoint, signed_note, split_note
from amanat.tables import cosignatures, witness_states

from .test_witness import OTHERS, _cosigned, _history
from .world import EVERY_S, SERVICES, Service, World, origin_of

POLICE, FORENSICS, LEGAL = SERVICES
DAY = timedelta(days=1)
LAG = timedelta(seconds=BEHIND * EVERY_S)


async def _jumped(world: World, by: timedelta, *whom: str) -> None:
    """The police's clock jumps ahead for one tick; these others hear what it published, and the clock goes back."""
    await world[POLICE].publish(world.now + by)
    for row in await world[POLICE].sent():
        said = replace(world.event(row.topic, row.type, row.body), time=world.now + by)
        for other in whom or OTHERS:
            await world[other].hear(said, world.now)


async def _told_at(service: Service) -> datetime:
    async with service.database.transaction(()) as session:
        statement = select(witness_states.c.told_at).where(witness_states.c.origin == origin_of(POLICE))
        found: datetime = (await session.execute(statement)).scalar_one()
        return found


@pytest.mark.parametrize("entries", [0, 9])
async def test_a_publisher_whose_clock_went_back_says_so_and_goes_on(world: World, entries: int) -> None:
    await _history(world)
    await world[POLICE].append(entries)
    await _jumped(world, DAY)
    assert await _cosigned(world) == (set(OTHERS) if not entries else set())
    for turn in range(4):
        await world[POLICE].append(entries)
        await world.tick()
        for service in SERVICES:
            await world[service].watch(world.now)
        alarms = await world.all_alarms()
        assert alarms[POLICE][0] == ("clock_went_back", POLICE), turn
        assert alarms[FORENSICS] == alarms[LEGAL] == [("bad_checkpoint", POLICE)], turn
    for service in SERVICES:
        assert await world[service].acknowledge(POLICE) >= 1
    await world.tick()
    for service in SERVICES:
        await world[service].watch(world.now)
    assert await world.all_alarms() == {}
    assert await _cosigned(world) == set(OTHERS)


async def test_a_tick_that_another_process_published_is_no_clock_that_went_back(world: World) -> None:
    await _history(world)
    assert await world[POLICE].publish(world.now + timedelta(seconds=EVERY_S)) is not None
    assert await world[POLICE].publish(world.now) is None
    assert await world[POLICE].alarms() == []


async def test_clocks_may_differ_a_little_and_no_time_is_kept_that_has_not_come(world: World) -> None:
    await _history(world)
    await world[POLICE].append(3)
    await _jumped(world, LAG)
    assert await world.all_alarms() == {}
    await world.deliver()
    assert await _cosigned(world) == set(OTHERS)
    assert await _told_at(world[FORENSICS]) == world.now


async def test_a_time_that_has_not_come_lets_nothing_be_judged_before_it_could_be_here(world: World) -> None:
    await _history(world)
    await _jumped(world, DAY, FORENSICS)
    # The next checkpoint reaches the other witness first, and its cosignature is here before the checkpoint itself.
    await world[POLICE].append(5)
    await world.tick(POLICE, deliver=False)
    late = await world[POLICE].sent()
    for row in late:
        await world.tell([LEGAL], row)
    for row in await world[LEGAL].sent():
        await world.tell([FORENSICS], row)
    await world[FORENSICS].watch(world.now)
    for row in late:
        await world.tell([FORENSICS], row)
    await world.tick()
    await world[FORENSICS].watch(world.now)
    assert await world[FORENSICS].alarms() == [("bad_checkpoint", POLICE)]


async def test_a_cosignature_of_a_time_that_has_not_come_is_refused(world: World) -> None:
    await _history(world)
    police, legal = world[POLICE].speaker.signer, world[LEGAL].speaker.signer
    checkpoint = Checkpoint(origin_of(POLICE), 51, bytes(32))
    body, lines = split_note(police.sign_checkpoint(checkpoint))
    for by in (LAG, LAG + timedelta(seconds=1)):
        said = CheckpointCosigned(note=signed_note(body, [*lines, legal.cosign(checkpoint, world.now + by)]))
        await world[FORENSICS].hear(world.event(f"checkpoints.{LEGAL}", said.type, said.body()), world.now)
    assert await world[FORENSICS].alarms() == [("bad_checkpoint", LEGAL)]
    async with world[FORENSICS].database.transaction(()) as session:
        kept = select(cosignatures.c.cosigned_at).where(cosignatures.c.size == 51)
        assert list(await session.scalars(kept)) == [world.now + LAG]
