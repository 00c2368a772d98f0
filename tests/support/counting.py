"""How much was tried: what `make attacks` and `make faults` make their tables of."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Count = Callable[[str, int], None]


@pytest.fixture(scope="session")
def count() -> Iterator[Count]:
    """`count("forged tokens", 85)`: how many of a kind were tried, and nothing came of them. Written as JSON where
    AMANAT_TALLY says."""
    counted: Counter[str] = Counter()

    def add(kind: str, number: int) -> None:
        counted[kind] += number

    yield add
    if tally := os.environ.get("AMANAT_TALLY"):
        Path(tally).write_text(json.dumps(counted, indent=1) + "\n")
