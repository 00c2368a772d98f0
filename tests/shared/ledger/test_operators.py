"""What an operator's word does to a witness, and what neither noise nor chance may make of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from amanat.contracts.checkpoints import CheckpointCosigned, CheckpointPublished
from amanat.ledger import alarms, tree
from amanat.notes import Checkpoint, signed_note, split_note

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
    await forensics.witness.watch(forensics.database, world.now - timedelta(seconds=EVERY_S), world.now)
    assert await forensics.alarms() == []
    await forensics.witness.watch(forensics.database, world.now - timedelta(seconds=3 * EVERY_S), world.now)
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


async def test_a_tree_shown_to_another_is_found_out_after_days_without_a_watch(world: World) -> None:
    await _history(world)
    forged = Checkpoint(world[POLICE].speaker.origin, 51, bytes(32))
    note = world[POLICE].speaker.signer.sign_checkpoint(forged)
    body, lines = split_note(note)
    lie = CheckpointCosigned(note=signed_note(body, [*lines, world[LEGAL].speaker.signer.cosign(forged, world.now)]))
    for service in (POLICE, FORENSICS):
        await world[service].hear(world.event(f"checkpoints.{LEGAL}", lie.type, lie.body()), world.now)
    world.now += timedelta(days=9)
    for service in (POLICE, FORENSICS):
        for _ in range(2):
            await world[service].watch(world.now)
    assert [kind for kind, _ in await world[FORENSICS].alarms()].count("shown_to_another") == 1
    assert [kind for kind, _ in await world[POLICE].alarms()].count("not_ours") == 1


async def test_whoever_is_no_ledger_of_the_directory_is_never_silent(world: World) -> None:
    await _history(world)
    await world[FORENSICS].hear(world.event("checkpoints.nobody", CheckpointPublished.type, b"{}"), world.now)
    world.now += timedelta(days=1)
    await world[FORENSICS].watch(world.now)
    assert {of for kind, of in await world[FORENSICS].alarms() if kind == "silence"} == {POLICE, LEGAL}


async def test_who_waits_for_a_ledger_waits_before_it_has_raised_anything(world: World) -> None:
    """Else two who raise the same alarm, one of them holding the ledger, would wait for each other for ever."""
    await _history(world)
    database, origin = world[FORENSICS].database, world[POLICE].speaker.origin
    async with database.transaction(()) as session:
        await alarms.lock(session, origin, world.now)
        other = asyncio.create_task(alarms.raise_alarm(database, origin, "fork", {"size": 1}, world.now))
        async with asyncio.timeout(5):
            while "t" not in world[FORENSICS].sql("SELECT bool_or(NOT granted) FROM pg_locks"):
                await asyncio.sleep(0.02)
        await alarms.add(session, origin, "fork", {"size": 1}, world.now)
    await other
    assert await world[FORENSICS].alarms() == [("fork", POLICE)]


@pytest.mark.parametrize("column", ["acknowledged_at", "ended_at"])
async def test_nobody_can_raise_an_alarm_that_is_understood_already(world: World, column: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with world[FORENSICS].database.transaction(()) as session:
            await session.execute(
                text(
                    f"INSERT INTO ledger_alarms (origin, kind, detail, raised_at, {column})"
                    " VALUES ('x', 'fork', '{}', now(), now())"
                )
            )
