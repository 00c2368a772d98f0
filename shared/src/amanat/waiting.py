"""Waiting: for an event, for tasks to end without losing a cancellation on the way, for the next try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

_AGAIN_S = 10.0
"""Longer than anything here takes to clean up after a cancellation: a second one would break that off."""


LONGEST_WAIT_S = 300.0


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


class Patience:
    """When an event that must not wait, and failed, is tried again by itself: the next time around, then after 4 s, 8 s
    and so on up to five minutes. Of this process alone: a new one, which may know better, tries at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[int, tuple[int, float]] = {}

    def due(self, rows: Sequence[int]) -> list[int]:
        """Those of the rows whose time has come; what is no longer among them is forgotten."""
        self._waits = {row: self._waits[row] for row in rows if row in self._waits}
        now = self._clock()
        return [row for row in rows if self._waits.get(row, (0, now))[1] <= now]

    def failed(self, row: int) -> None:
        """Lets the row wait, longer each time."""
        times = self._waits.get(row, (0, 0.0))[0] + 1
        wait = 0.0 if times == 1 else min(2.0**times, LONGEST_WAIT_S)
        self._waits[row] = (min(times, 30), self._clock() + wait)
