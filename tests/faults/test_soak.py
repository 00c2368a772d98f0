"""Stories without end: memory, descriptors and connections of every process stay where they were."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path

import pytest
from counting import Count

from amanat_local.services import NAMES
from amanat_local.stack import Stack

from .compact_story import Story
from .test_kills import say

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]
WARM_UP_STORIES = 15
STORIES = 120
MORE_MEMORY = 1.10
"""Of the last third over the first, once warm."""
MORE_OF_THE_REST = 4
"""Descriptors, and sessions at PostgreSQL: pools breathe."""


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_nothing_grows_in_hundreds_of_requests(stack: Stack, count: Count, capsys: pytest.CaptureFixture[str]) -> None:
    seen: dict[str, list[tuple[int, int]]] = defaultdict(list)
    sessions: list[int] = []
    began = time.monotonic()
    for number in range(WARM_UP_STORIES + STORIES):
        story = Story(stack.info)
        try:
            story.play()
        finally:
            story.close()
        if number >= WARM_UP_STORIES:
            for name in NAMES:
                seen[name].append(taken(stack, name))
            sessions.append(_sessions(stack))
    third = STORIES // 3
    grown = {
        name: (_median(samples[:third], 0), _median(samples[-third:], 0), _median(samples[:third], 1),
               _median(samples[-third:], 1))
        for name, samples in seen.items()
    }  # fmt: skip
    say(capsys, f"\n{STORIES} stories in {time.monotonic() - began:.0f} s")
    for name, (was, now, descriptors_was, descriptors) in grown.items():
        memory = f"{was / 1024:.0f} → {now / 1024:.0f} MiB"
        say(capsys, f"   {name}: {memory}, {descriptors_was:.0f} → {descriptors:.0f} descriptors")
    for name, (was, now, descriptors_was, descriptors) in grown.items():
        assert now <= was * MORE_MEMORY, name
        assert descriptors <= descriptors_was + MORE_OF_THE_REST, name
    assert statistics.median(sessions[-third:]) <= statistics.median(sessions[:third]) + MORE_OF_THE_REST
    count("stories of a soak", STORIES)


def taken(stack: Stack, name: str) -> tuple[int, int]:
    """(KiB of resident memory, open descriptors) of a process."""
    pid = stack.part(name).pid
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return resident, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _sessions(stack: Stack) -> int:
    assert stack.postgres is not None
    asked = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    return int(stack.postgres.sql("postgres", asked))


def _median(samples: list[tuple[int, int]], which: int) -> float:
    return statistics.median(sample[which] for sample in samples)
