"""How promptly this process looks at its sockets: what a measured time of arrival may owe to ourselves."""

from __future__ import annotations

import asyncio
import time
from collections import deque

BEAT_S = 0.005


class Pulse:
    """How long this process's loop was kept from looking at its sockets within the last second."""

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque()

    async def beat(self) -> None:
        """Beats until cancelled."""
        last = time.time()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.time()
            self._gaps.append((now, now - last - BEAT_S))
            last = now
            while self._gaps[0][0] < now - 1:
                self._gaps.popleft()

    @property
    def delay_s(self) -> float:
        """Twice the longest gap: a byte waits for one turn of the loop, its reader for the next."""
        return 2 * max((gap for _, gap in self._gaps), default=0.0)
