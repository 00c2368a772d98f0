"""A benchmark whose promise does not hold says so, and ends as a failure."""

from __future__ import annotations

import random

import pytest

from bench.ledger import WAYS, Pass, Took, beyond
from bench.my_case import KINDS, told_apart


@pytest.mark.parametrize(
    ("without", "seconds", "missed"),
    [(9.6, 1.0, []), (9.4, 1.0, ["transaction"]), (9.6, 11.0, ["second"]), (9.0, 20.0, ["transaction", "second"])],
)
def test_entries_that_take_too_long_are_told(without: float, seconds: float, missed: list[str]) -> None:
    times = zip(WAYS, (10.0, 9.9, without), strict=True)
    opened = {"one alone": {way: [Took(whole, whole)] for way, whole in times}}
    found = beyond(50_000, opened, {"integrate": Pass(seconds, 0.0)})
    assert len(found) == len(missed)
    assert all(word in said for word, said in zip(missed, found, strict=True))


@pytest.mark.parametrize("shift", [0.0, -5.0, 5.0])
def test_a_kind_of_sign_in_that_a_stopwatch_tells_apart_is_named(shift: float) -> None:
    chance = random.Random(1)
    took = {kind: [chance.gauss(100.0, 5.0) for _ in range(300)] for kind in KINDS}
    took["closed"] = [each + shift for each in took["closed"]]
    assert told_apart(took) == (["closed"] if shift else [])
