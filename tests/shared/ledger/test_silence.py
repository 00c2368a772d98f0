"""A ledger that was silent is cosigned again only after an operator's word, and the silence is on show until then."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner, Result

from amanat import ledger_commands
from amanat.ledger.alarms import Board
from amanat_local.keys import Keys

from .test_duty import duty
from .test_witness import OTHERS, TAMPERINGS, _cosigned, _history
from .world import EVERY_S, SERVICES, START, World, origin_of

POLICE, FORENSICS, LEGAL = SERVICES


async def _silent(world: World, *whom: str, intervals: float = 2.6) -> None:
    """Nobody says anything for so long; these others watch."""
    world.now += timedelta(seconds=intervals * EVERY_S)
    for other in whom or OTHERS:
        await world[other].watch(world.now)


async def _of_police(world: World, service: str) -> list[str]:
    return [kind for kind, of in await world[service].alarms() if of == POLICE]


async def test_silence_is_an_alarm_and_stands_after_its_end_until_it_is_acknowledged(world: World) -> None:
    await _history(world)
    await _silent(world, FORENSICS, intervals=2.4)
    assert await world[FORENSICS].alarms() == []
    await _silent(world, FORENSICS, intervals=0.2)
    await world[FORENSICS].watch(world.now)
    silent = [("silence", LEGAL), ("silence", POLICE)]
    assert await world[FORENSICS].alarms() == [*silent, ("uncosigned", FORENSICS)]
    for number in (5, 0, 7):
        await world[POLICE].append(number)
        await world.tick()
        await world[FORENSICS].watch(world.now)
    # Its own ledger is cosigned again, which ends that alarm by itself.
    assert await world[FORENSICS].alarms() == silent
    assert await _cosigned(world, 62) == {LEGAL}
    for service in (LEGAL, POLICE):
        assert await world[FORENSICS].acknowledge(service, "the line was cut") == 1
    assert await world.all_alarms() == {}
    await world[POLICE].append(4)
    await world.tick()
    assert await _cosigned(world, 66) == set(OTHERS)
    assert await world.all_alarms() == {}


async def test_a_silence_that_was_acknowledged_while_it_lasts_is_not_told_again_and_the_next_one_is(
    world: World,
) -> None:
    await _history(world)
    await _silent(world)
    for other in OTHERS:
        assert await world[other].acknowledge(POLICE, "maintenance until six") == 1
    await _silent(world)
    assert [await _of_police(world, other) for other in OTHERS] == [[], []]
    await world[POLICE].append(2)
    await world.tick(POLICE)
    assert await _cosigned(world, 52) == set(OTHERS)
    await _silent(world)
    assert [await _of_police(world, other) for other in OTHERS] == [["silence"], ["silence"]]


async def test_each_silence_is_an_alarm_of_its_own(world: World) -> None:
    await _history(world)
    for _ in range(2):
        await _silent(world, FORENSICS)
        await world.tick(POLICE)
    assert await _of_police(world, FORENSICS) == ["silence", "silence"]
    assert await world[FORENSICS].acknowledge(POLICE) == 2
    await world.tick(POLICE)
    assert FORENSICS in await _cosigned(world, 50)


@pytest.mark.parametrize("first", ["the fork", "the silence"])
async def test_a_fork_in_a_silence_is_trusted_again_once_both_are_understood(world: World, first: str) -> None:
    await _history(world)
    await _silent(world, FORENSICS)
    world[POLICE].sql(*TAMPERINGS["all is changed and computed anew"])
    await world.tick(POLICE)
    assert await _of_police(world, FORENSICS) == ["silence", "fork"]
    if first == "the silence":
        ids = world[FORENSICS].sql("SELECT id FROM ledger_alarms WHERE kind = 'silence' ORDER BY origin DESC")
        assert await world[FORENSICS].acknowledge(POLICE, through=int(ids.split()[0])) == 1
        assert await _of_police(world, FORENSICS) == ["fork"]
    else:
        world[FORENSICS].sql("UPDATE ledger_alarms SET id = DEFAULT WHERE kind = 'silence'")
        ids = world[FORENSICS].sql("SELECT id FROM ledger_alarms WHERE kind = 'fork'")
        assert await world[FORENSICS].acknowledge(POLICE, through=int(ids)) == 1
        assert await _of_police(world, FORENSICS) == ["silence"]
    await world.tick(POLICE)
    assert await _cosigned(world) == set()
    assert await world[FORENSICS].acknowledge(POLICE) == 1
    await world[POLICE].append(3)
    await world.tick(POLICE)
    assert await _of_police(world, FORENSICS) == []
    assert await _cosigned(world, 53) == {FORENSICS}


async def test_a_ledger_that_was_never_heard_is_an_alarm_and_is_cosigned_from_its_first_checkpoint(
    world: World,
) -> None:
    await _silent(world, FORENSICS)
    assert await _of_police(world, FORENSICS) == []
    await _silent(world, FORENSICS)
    assert await _of_police(world, FORENSICS) == ["unheard"]
    assert await world[FORENSICS].acknowledge(LEGAL, "they join in March") == 1
    await world[FORENSICS].watch(world.now)
    assert ("unheard", LEGAL) not in await world[FORENSICS].alarms()
    await world[POLICE].append(3)
    await world.tick(POLICE)
    assert await world[FORENSICS].alarms() == []
    assert FORENSICS in await _cosigned(world, 3)


async def test_on_a_short_timetable_a_service_that_is_started_again_was_not_silent(world: World) -> None:
    await _history(world)
    short = replace(world[FORENSICS].witness, every_s=5.0)
    for seconds, expected in ((119, []), (2, ["silence"])):
        world.now += timedelta(seconds=seconds)
        await short.watch(world[FORENSICS].database, START, world.now)
        assert await _of_police(world, FORENSICS) == expected


async def test_who_could_not_hear_calls_nobody_silent(world: World, agency_keys: Keys) -> None:
    """The database was away, or the machine stood still: what was said meanwhile is still to be read."""
    ledger = duty(world, agency_keys)
    begin = ledger.now()
    world[POLICE].sql(
        "INSERT INTO witness_states (origin, heard_at, told_at)"
        f" VALUES ('amanat.local/{FORENSICS}', '{begin.isoformat()}', '{begin.isoformat()}')"
    )

    async def watched(from_s: int, to_s: int) -> list[tuple[str, str]]:
        for seconds in range(from_s, to_s, 50):
            await replace(ledger, now=lambda seconds=seconds: begin + timedelta(seconds=seconds))._watch()
        return [each for each in await world[POLICE].alarms() if each[0] == "silence"]

    assert await watched(0, 1400) == []
    assert await watched(2000, 3400) == []
    assert await watched(3400, 3700) == [("silence", FORENSICS)]


async def test_an_operator_sees_a_silence_that_is_over_everywhere_and_takes_all_in_one_command(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _history(world)
    forensics, board = world[FORENSICS], Board(world[FORENSICS].database)
    monkeypatch.setenv("AMANAT_DATABASE_URL", forensics.postgres.url("forensics_worker", "forensics"))
    monkeypatch.setenv("COLUMNS", "250")

    async def asked(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, ledger_commands.app, [*words, "--service", FORENSICS])

    async def shown() -> tuple[tuple[str, ...], list[float | None]]:
        await board.look()
        labels = ({"origin": origin_of(each), "kind": "silence"} for each in (LEGAL, POLICE))
        return board.told, [REGISTRY.get_sample_value("amanat_ledger_alarm", each) for each in labels]

    assert (await asked("alarms")).exit_code == 0
    await _silent(world, FORENSICS)
    told, gauges = await shown()
    assert gauges == [1, 1]
    assert f"silence: {origin_of(POLICE)}" in told
    began = world.now - timedelta(seconds=2.6 * EVERY_S)
    await world.tick()
    await forensics.watch(world.now)
    assert await shown() == (tuple(f"silence, over: {origin_of(each)}" for each in (LEGAL, POLICE)), [1, 1])
    listed = await asked("alarms")
    assert listed.exit_code == 1
    [line] = [each for each in listed.output.splitlines() if origin_of(POLICE) in each]
    assert f"since {began.isoformat()}" in line
    assert f"{world.now:%Y-%m-%d %H:%M:%S} UTC" in line
    both = [origin_of(each) for each in OTHERS if each != FORENSICS] + [origin_of(POLICE)]
    closed = await asked("acknowledge", *both, "--through", "999", "--reason", "the network was down")
    assert (closed.exit_code, closed.output) == (0, "2 alarms closed\n")
    assert await shown() == ((), [0, 0])
    assert (await asked("alarms")).exit_code == 0
