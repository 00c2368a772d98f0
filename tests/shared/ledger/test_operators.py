"""What an operator's word does to a witness, and what neither noise nor chance may make of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amanat.contracts.checkpoints import CheckpointPublished
from amanat.ledger import tree

from .test_witness import OTHERS, TAMPERINGS, _cosigned, _history
from .world import EVERY_S, SERVICES, World

POLICE, FORENSICS, LEGAL = SERVICES


async def test_an_acknowledged_silence_makes_no_witness_forget_what_it_saw(world: World) -> None:
    await _history(world)
    world.now += timedelta(seconds=3 * EVERY_S)
    for other in OTHERS:
        await world[other].watch(world.now)
        assert await world[other].acknowledge(POLICE) >= 1
        assert await world[other].acknowledge(POLICE) == 0
    world[POLICE].sql(*TAMPERINGS["all is changed and computed anew"])
    await world.tick(POLICE)
    for other in OTHERS:
        assert ("fork", POLICE) in await world[other].alarms()
    assert await _cosigned(world) == set()


async def test_alarms_that_came_after_the_operator_looked_stay_and_keep_cosigning_stopped(world: World) -> None:
    await _history(world)
    world[POLICE].sql("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8")
    await world.tick(POLICE)
    looked_at = int(world[FORENSICS].sql("SELECT max(id) FROM ledger_alarms"))
    await world[FORENSICS].hear(world.event(f"checkpoints.{POLICE}", CheckpointPublished.type, b"{}"), world.now)
    assert await world[FORENSICS].acknowledge(POLICE, through=looked_at) == 1
    assert await world[FORENSICS].alarms() == [("bad_checkpoint", POLICE)]
    await world.tick(POLICE)
    assert await _cosigned(world) == set()


async def test_a_stranger_who_repeats_itself_raises_one_alarm(world: World) -> None:
    await _history(world)
    world[POLICE].sql("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8")
    for _ in range(6):
        await world[POLICE].append(1)
        await world.tick(POLICE)
        await world[FORENSICS].hear(world.event(f"checkpoints.{POLICE}", CheckpointPublished.type, b"{}"), world.now)
    assert sorted(await world[FORENSICS].alarms()) == [
        ("bad_checkpoint", POLICE),
        ("fork", POLICE),
        ("unlinked", POLICE),
    ]


async def test_of_two_processes_the_slower_one_publishes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await _history(world)
    police, recompute, now = world[POLICE], tree.recompute, world.now

    async def paused(*arguments: Any, **more: Any) -> tree.Tree:
        found = await recompute(*arguments, **more)
        monkeypatch.setattr(tree, "recompute", recompute)
        await police.append(5)
        assert await police.publish(now + timedelta(seconds=2 * EVERY_S)) is not None
        return found

    monkeypatch.setattr(tree, "recompute", paused)
    assert await police.publish(now + timedelta(seconds=EVERY_S)) is None
    await world.deliver()
    assert await world.all_alarms() == {}


async def test_what_the_broker_hands_out_again_is_no_rollback_and_a_ledger_that_says_it_anew_is(world: World) -> None:
    await world[POLICE].append(3)
    await world.tick(POLICE, deliver=False)
    [old] = await world[POLICE].sent()
    again = world.event(old.topic, old.type, old.body)
    await world[FORENSICS].hear(again, world.now)
    await world[POLICE].append(3)
    await world.tick(POLICE)
    await world[FORENSICS].hear(again, world.now)
    assert await world[FORENSICS].alarms() == []
    await world[FORENSICS].hear(world.event(old.topic, old.type, old.body), world.now)
    assert await world[FORENSICS].alarms() == [] or world.now == again.time
    world.now += timedelta(seconds=1)
    await world[FORENSICS].hear(world.event(old.topic, old.type, old.body), world.now)
    assert await world[FORENSICS].alarms() == [("rollback", POLICE)]


async def test_nothing_is_judged_before_one_has_listened_long_enough_oneself(world: World) -> None:
    await _history(world)
    world.now += timedelta(days=2)
    forensics = world[FORENSICS]
    await forensics.witness.watch(forensics.database, EVERY_S, world.now - timedelta(seconds=EVERY_S), world.now)
    assert await forensics.alarms() == []
    await forensics.witness.watch(forensics.database, EVERY_S, world.now - timedelta(seconds=3 * EVERY_S), world.now)
    assert ("silence", POLICE) in await forensics.alarms()


async def test_a_part_of_a_proof_that_no_proof_has_is_refused(world: World) -> None:
    body = {"referral": "*", "previous": 0, "size": 9, "part": 40000, "hashes": ""}
    await world[FORENSICS].hear(world.event(f"checkpoints.{POLICE}", "pk.amanat.consistency-shown.v1", body), world.now)
    assert await world[FORENSICS].alarms() == [("bad_checkpoint", POLICE)]


async def test_a_ledger_that_was_mended_without_growing_is_trusted_again_after_the_operators_word(world: World) -> None:
    await _history(world)
    kept = world[POLICE].sql("SELECT encode(commitment, 'hex') FROM ledger_entries WHERE id = 8").strip()
    world[POLICE].sql("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8")
    await world.tick(POLICE)
    world[POLICE].sql(f"UPDATE ledger_entries SET commitment = '\\x{kept}' WHERE id = 8")
    await world.tick(POLICE)
    assert await world[FORENSICS].acknowledge(POLICE) >= 1
    await world.tick(POLICE)
    assert await world[FORENSICS].alarms() == []
    assert await _cosigned(world, 50) >= {FORENSICS}
