"""Waiting, and ending tasks that do not hear at once."""

from __future__ import annotations

import asyncio

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


async def test_a_task_that_loses_a_cancellation_is_told_again() -> None:
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
