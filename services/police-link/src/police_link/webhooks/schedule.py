"""When to try again. Pure: the time and the chance are passed in.

A delivery is tried ten times over three days; an endpoint's handshake six times over three hours. Besides, an endpoint
that fails is left alone for a while, whatever is queued for it, and then probed with one delivery at a time.
"""

from datetime import datetime, timedelta

MINUTE, HOUR = 60, 3600
DELIVERY_RETRIES_S = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
HANDSHAKE_RETRIES_S = (5, 30, 5 * MINUTE, 30 * MINUTE, 2 * HOUR)
JITTER = 0.2
"""Waits are up to a fifth longer than listed, so that what failed together is not tried together."""
REST_FIRST_S, REST_LONGEST_S = 5, 30 * MINUTE
RETRY_AFTER_LONGEST_S = HOUR


def retry_at(attempts: int, now: datetime, chance: float, *, handshake: bool) -> datetime | None:
    """When a delivery that was attempted `attempts` times is tried again; None: never. `chance` is in [0, 1)."""
    waits = HANDSHAKE_RETRIES_S if handshake else DELIVERY_RETRIES_S
    if attempts > len(waits):
        return None
    return now + timedelta(seconds=waits[max(attempts, 1) - 1] * (1 + JITTER * chance))


def rest_until(failures: int, now: datetime, chance: float, retry_after_s: float | None) -> datetime:
    """Until when an endpoint that failed `failures` (≥ 1) times in a row is left alone.

    What its Retry-After asks for is honoured up to an hour.
    """
    rest = min(REST_FIRST_S * 2.0 ** min(failures - 1, 20), REST_LONGEST_S) * (1 + JITTER * chance)
    if retry_after_s is not None:
        rest = max(rest, min(retry_after_s, RETRY_AFTER_LONGEST_S))
    return now + timedelta(seconds=rest)
