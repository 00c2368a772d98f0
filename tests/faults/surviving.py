"""Stories told while a fault comes again and again, compared with one that nothing disturbed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from amanat_local.stack import Stack

from .compact_story import Story
from .disturbing import Beside, Fault
from .final_state import Model, differences, settle, unrecorded, untold
from .test_kills import say, seeded


@dataclass(frozen=True)
class Named:
    """A fault, what it counts, and how often it must come about: in the long form, and in the short one."""

    what: str
    fault: Fault
    times: int
    short: int = 1
    a_story: int = 8
    """At most so often in one story: none would end in which everything broke all the time."""

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


def short_and_long(faults: Iterable[Named]) -> list[Any]:
    """Parameters `named, times` of a test: the short form, and marked as it is the long one."""
    faults = list(faults)
    long = [pytest.mark.full, pytest.mark.timeout(3600)]
    return [
        *(pytest.param(each, each.short, id=str(each)) for each in faults),
        *(pytest.param(each, each.times, id=f"{each}-{each.times}-times", marks=long) for each in faults),
    ]


def undisturbed(stack: Stack) -> Model:
    """The final state of a story that nothing disturbed."""
    story = Story(stack.info)
    try:
        story.play()
        return settle(story)
    finally:
        story.close()


def survived(stack: Stack, wanted: Model, named: Named, times: int, capsys: pytest.CaptureFixture[str]) -> int:
    """Tells stories until the fault came so often; how often it came. Raises AssertionError for what differs."""
    seed, chance = seeded()
    wrong: list[str] = []
    stories: list[Story] = []
    done = 0
    say(capsys, f"\nAMANAT_SEED={seed}: {named.what}, {times} times")
    while done < times:
        stories.append(story := Story(stack.info))
        beside = Beside(stack, story, chance, min(named.a_story, times - done))
        try:
            with ThreadPoolExecutor(max_workers=1) as aside:
                struck = aside.submit(named.fault, beside)
                try:
                    story.play()
                finally:
                    beside.over.set()
                    struck.result()
            found = differences(wanted, settle(story)) + unrecorded(story)
        finally:
            story.close()
        found += [f"{name} does not run any more" for name in stack.ended()]
        done += beside.done
        say(capsys, f"   {done} of {times}: told in {story.took_s:.1f} s, {len(found)} differences")
        wrong += [f"{named.what}, story {len(stories)}: {line}" for line in found]
        assert len(stories) <= 4 * times, "the fault does not come about"
    assert wrong + untold(stories) == []
    return done
