"""Waiting for an event, and ending tasks, without losing a cancellation on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_S = 10.0
"""Longer than anything here takes to clean up after a cancellation: a second one would break that off."""


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

    A task that goes on is told again after a while: before Python 3.12 `asyncio.wait_for`, which the Kafka client uses
    too, loses a cancellation that meets its result in the same turn of the loop. Who is cancelled while waiting here
    waits to the end as well; raises CancelledError then.
    """
    cancelled: asyncio.CancelledError | None = None
    told_at = dict.fromkeys(tasks, float("-inf"))
    loop = asyncio.get_running_loop()
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            if loop.time() - told_at[task] >= _AGAIN_S:
                told_at[task] = loop.time()
                task.cancel()
        try:
            await asyncio.wait(running, timeout=_AGAIN_S)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
