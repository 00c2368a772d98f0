"""The clock that leases are counted on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from amanat.boottime import boottime


def test_it_only_goes_forward() -> None:
    first = boottime()
    time.sleep(0.001)
    assert boottime() > first


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own word for it")
def test_it_counts_from_boot_through_suspension() -> None:
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    assert boottime() == pytest.approx(uptime, abs=1.0)
