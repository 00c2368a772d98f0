"""A timetable keeps to the wall clock, tells the same whatever happened, and never tells a time before it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from sqlalchemy.exc import OperationalError

from amanat.worker import Timetable

EVERY_S = 600.0
BEGIN = 1_772_323_200.0 + 17.25
"""17.25 s after a full ten minutes."""


class Clock:
    """Goes on by what is waited for; `jumps` maps the number of a wait to where the clock then stands instead."""

    def __init__(self, jumps: dict[int, float] | None = None, late: float = 0.0) -> None:
        self.now, self.waits, self._jumps, self._late = BEGIN, 0, jumps or {}, late

    def __call__(self) -> float:
        return self.now

    async def wait(self, stop: asyncio.Event, seconds: float) -> bool:
        assert 0 < seconds <= EVERY_S
        self.waits += 1
        self.now = self._jumps.get(self.waits, self.now + seconds + self._late)
        return stop.is_set()


async def told(
    clock: Clock, until: int, does: Callable[[datetime, int], Awaitable[None]] | None = None
) -> list[tuple[float, float]]:
    """(the time that was told, the clock then) of so many calls, in seconds after the last full ten minutes before."""
    stop, calls = asyncio.Event(), list[tuple[float, float]]()
    full = BEGIN - 17.25

    async def tick(at: datetime) -> None:
        calls.append((at.timestamp() - full, clock.now - full))
        if len(calls) == until:
            stop.set()
        if does is not None:
            await does(at, len(calls))

    await Timetable("checkpoint", EVERY_S, tick, clock=clock, wait=clock.wait).run(stop)
    return calls


async def test_it_ticks_at_every_full_interval_of_the_wall_clock_however_long_a_tick_took() -> None:
    clock = Clock()

    async def takes_its_time(_: datetime, number: int) -> None:
        clock.now += 0.5 if number != 2 else 400.0

    assert await told(clock, 4, takes_its_time) == [(600, 600), (1200, 1200), (1800, 1800), (2400, 2400)]


async def test_what_is_told_is_the_full_time_and_not_when_the_process_came_to_it() -> None:
    assert await told(Clock(late=0.125), 3) == [(600, 600.125), (1200, 1200.125), (1800, 1800.125)]


async def test_a_database_that_is_away_is_asked_again_each_second_and_given_up_when_the_next_is_due() -> None:
    clock = Clock()

    async def away(at: datetime, number: int) -> None:
        if number in {1, 2} or at.timestamp() == BEGIN - 17.25 + 1200:
            raise OperationalError("", {}, ConnectionRefusedError())

    calls = await told(clock, 3 + 600 + 1, away)
    assert calls[:3] == [(600, 600), (600, 601), (600, 602)]
    assert {told for told, _ in calls[3:-1]} == {1200}
    assert calls[-1] == (1800, 1800)


async def test_what_is_not_passing_ends_the_process() -> None:
    async def broken(_: datetime, number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await told(Clock(), 1, broken)


async def test_a_clock_that_went_back_while_it_waited_is_told_no_time_that_has_not_come() -> None:
    day = 86_400.0
    # A day ahead at the second wait, and back again at the fourth; the sixth ends before its time.
    clock = Clock({2: BEGIN + day, 4: BEGIN + 1500, 6: BEGIN + 1790})
    calls = await told(clock, 5)
    assert all(told <= now < told + EVERY_S for told, now in calls)
    assert [told for told, _ in calls] == [600, day, day + 600, 1800, 2400]


async def test_it_stops_while_it_waits() -> None:
    stop = asyncio.Event()
    stop.set()

    async def never(_: datetime) -> None:
        raise AssertionError

    async with asyncio.timeout(5):
        await Timetable("checkpoint", EVERY_S, never).run(stop)
