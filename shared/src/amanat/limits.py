"""Requests per client and minute: 429 with Retry-After. A safety valve for the service, counted in each process.

A client is the `azp` of a verified token, so nobody spends another's share. The count slides over the last minute
(the `limits` library's sliding window counter: two numbers per client, no burst at a minute's edge).
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from amanat.errors import TooManyRequests


class ClientLimits:
    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def hit(self, client: str) -> None:
        """Counts one request. Raises TooManyRequests."""
        if not self._limiter.hit(self._item, client):
            stats = self._limiter.get_window_stats(self._item, client)
            raise TooManyRequests(retry_after=max(1, math.ceil(stats.reset_time - time.time())))
