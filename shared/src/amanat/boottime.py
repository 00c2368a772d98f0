"""The clock that leases are counted on."""

from __future__ import annotations

import time

# macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC counts on through sleep, as Linux's does not.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds since boot, through suspension too and untouched by whoever sets the wall clock.

    A laptop or a paused virtual machine that wakes must not find its leases still young.
    """
    return time.clock_gettime(_CLOCK)
