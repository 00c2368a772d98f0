"""Waiting, and ending tasks that do not hear at once."""

from __future__ import annotations

import asyncio

import pytest

from amanat import waiting
from amanat.waiting import ended, waited


async def test_an_event_that_is_set_in_time_is_told_at_once() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, event.set)
    async with asyncio.timeout(10):
        assert await waited(event, 600)


async def test_an_event_that_is_not_set_is_waited_for_no_longer_than_asked() -> None:
    async with asyncio.timeout(10):
        assert not await waited(asyncio.Event(), 0.01)
        assert not await waited(asyncio.Event(), -1)


async def test_an_event_set_before_needs_no_waiting() -> None:
    event = asyncio.Event()
    event.set()
    assert await waited(event, 0)


async def test_a_task_that_loses_a_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.05)
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await ended([task])
    assert (lost, task.cancelled()) == (1, True)


async def test_what_a_task_raised_while_it_ended_stays_with_the_task() -> None:
    async def stumbling() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionResetError

    task = asyncio.create_task(stumbling())
    await asyncio.sleep(0)
    await ended([task])
    assert isinstance(task.exception(), ConnectionResetError)


async def test_cleaning_up_is_not_broken_off_by_a_second_cancellation_of_who_waits_for_it() -> None:
    told, cleaning, cleaned = 0, asyncio.Event(), asyncio.Event()

    async def tidy() -> None:
        nonlocal told
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told += 1
            cleaning.set()
            await cleaned.wait()
            raise

    async def waits() -> None:
        task = asyncio.create_task(tidy())
        await asyncio.sleep(0)
        try:
            await ended([task])
        finally:
            assert task.cancelled()

    who_waits = asyncio.create_task(waits())
    async with asyncio.timeout(30):
        await cleaning.wait()
        who_waits.cancel()
        await asyncio.sleep(0)
        cleaned.set()
        with pytest.raises(asyncio.CancelledError):
            await who_waits
    assert told == 1
