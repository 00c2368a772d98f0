"""Waiting for an event, and ending tasks, without losing a cancellation on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_S = 2.0


async def waited(event: asyncio.Event, seconds: float) -> bool:
    """Waits until `event` is set, for at most so many seconds; whether it is set."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True


async def ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels `tasks` and returns when all of them have ended, however they did.

    A task is told again as long as it goes on: before Python 3.12 `asyncio.wait_for`, which the Kafka client uses too,
    loses a cancellation that meets its result in the same turn of the loop.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_AGAIN_S)
