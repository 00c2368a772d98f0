"""A network between services and databases, and between agencies and the gate, that delays, resets, cuts short, and
loses the answer to a COMMIT: stories end as ever."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from counting import Count

from amanat_local.process import Process
from amanat_local.services import NAMES
from amanat_local.stack import Stack

from .disturbing import Beside, Fault
from .final_state import Model
from .proxy import Mood, Proxy
from .surviving import Named, short_and_long, survived, undisturbed

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]
BETWEEN: list[Proxy] = []
"""Before PostgreSQL and before the gate, while the tests run."""


def moody(mood: Mood) -> Fault:
    """What passes the proxies has a hard time while the story is told."""

    def fault(beside: Beside) -> None:
        before = sum(each.happened[mood] for each in BETWEEN)
        for each in BETWEEN:
            each.mood = mood
        while beside.pause(0.02, 0.02):
            beside.done = sum(each.happened[mood] for each in BETWEEN) - before
        for each in BETWEEN:
            each.mood = Mood.CALM

    return fault


FAULTS = [
    Named(f"what passes the network {mood}", moody(mood), times, short, a_story=a_story)
    for mood, times, short, a_story in (
        (Mood.SLOW, 50_000, 2000, 10**6),
        (Mood.RESET, 1000, 5, 200),
        (Mood.CUT_SHORT, 1000, 5, 200),
        (Mood.COMMIT_LOST, 300, 5, 60),
    )
]


@pytest.fixture(scope="module")
def wanted(stack: Stack) -> Model:
    return undisturbed(stack)


@pytest.fixture(scope="module")
def between(stack: Stack, wanted: Model) -> Iterator[Sequence[Proxy]]:
    """Every service goes through the proxies, and after the tests no more."""
    assert stack.postgres is not None
    gate = urlsplit(stack.info["gate"]).port
    assert gate is not None
    chance = random.Random(11)
    database, door = Proxy(stack.postgres.port, chance), Proxy(gate, chance)
    parts = {name: part for name in NAMES if isinstance(part := stack.part(name), Process)}
    had = {name: dict(part.env) for name, part in parts.items()}
    through = {
        name: env
        | {"AMANAT_DATABASE_URL": env["AMANAT_DATABASE_URL"].replace(f":{stack.postgres.port}/", f":{database.port}/")}
        | ({"AMANAT_GATE_URL": f"http://127.0.0.1:{door.port}"} if "AMANAT_GATE_URL" in env else {})
        for name, env in had.items()
    }
    started_with(parts, through)
    BETWEEN.extend((database, door))
    try:
        yield BETWEEN
    finally:
        started_with(parts, had)
        for proxy in BETWEEN:
            proxy.close()
        BETWEEN.clear()


def started_with(parts: dict[str, Process], environments: dict[str, dict[str, str]]) -> None:
    """Stops all and starts all, each with its environment."""
    with ThreadPoolExecutor(max_workers=len(parts)) as together:
        list(together.map(lambda part: part.stop(), parts.values()))
    for name, part in parts.items():
        part.env = environments[name]
        part.start()
    for part in parts.values():
        part.wait()


@pytest.mark.parametrize(("named", "times"), short_and_long(FAULTS))
def test_a_story_ends_as_ever_though(
    stack: Stack,
    wanted: Model,
    between: Sequence[Proxy],
    named: Named,
    times: int,
    count: Count,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        count(named.what, survived(stack, wanted, named, times, capsys))
    finally:
        for proxy in between:
            proxy.mood = Mood.CALM
