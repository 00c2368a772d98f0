"""A network between services and databases, and between agencies and the gate, that delays, resets, cuts short, and
loses the answer to a COMMIT: stories end as ever."""

from __future__ import annotations

import random
from collections.abc import Iterator
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
from .surviving import Named, survived, undisturbed

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]
MOODS = {Mood.SLOW: 2000, Mood.RESET: 60, Mood.CUT_SHORT: 60, Mood.COMMIT_LOST: 60}
"""How often each must have come about in the long form."""
SHORT = {Mood.SLOW: 100, Mood.RESET: 3, Mood.CUT_SHORT: 3, Mood.COMMIT_LOST: 3}


@pytest.fixture(scope="module")
def wanted(stack: Stack) -> Model:
    return undisturbed(stack)


@pytest.fixture(scope="module")
def between(stack: Stack, wanted: Model) -> Iterator[tuple[Proxy, Proxy]]:
    """Proxies before PostgreSQL and before the gate; every service goes through them, and after the tests no more."""
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
    try:
        yield database, door
    finally:
        database.mood = door.mood = Mood.CALM
        started_with(parts, had)
        database.close()
        door.close()


def started_with(parts: dict[str, Process], environments: dict[str, dict[str, str]]) -> None:
    """Stops all and starts all, each with its environment."""
    with ThreadPoolExecutor(max_workers=len(parts)) as together:
        list(together.map(lambda part: part.stop(), parts.values()))
    for name, part in parts.items():
        part.env = environments[name]
        part.start()
    for part in parts.values():
        part.wait()


def moody(between: tuple[Proxy, Proxy], mood: Mood) -> Fault:
    def fault(beside: Beside) -> None:
        before = sum(each.happened[mood] for each in between)
        for each in between:
            each.mood = mood
        beside.over.wait()
        for each in between:
            each.mood = Mood.CALM
        beside.done = sum(each.happened[mood] for each in between) - before

    return fault


@pytest.mark.parametrize("mood", MOODS, ids=lambda mood: mood.name)
def test_a_story_ends_as_ever_though_the_network_falters(
    stack: Stack,
    wanted: Model,
    between: tuple[Proxy, Proxy],
    mood: Mood,
    count: Count,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = Named(f"what passed the network {mood}", moody(between, mood), MOODS[mood], SHORT[mood])
    count(f"the network: what {mood}", survived(stack, wanted, named, named.short, capsys))


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mood", MOODS, ids=lambda mood: mood.name)
def test_stories_end_as_ever_though_the_network_falters_time_and_again(
    stack: Stack,
    wanted: Model,
    between: tuple[Proxy, Proxy],
    mood: Mood,
    count: Count,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = Named(f"what passed the network {mood}", moody(between, mood), MOODS[mood], SHORT[mood])
    count(f"the network: what {mood}", survived(stack, wanted, named, named.times, capsys))
