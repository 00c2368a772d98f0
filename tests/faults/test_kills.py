"""A process that is killed in the middle of the story and started again changes nothing of how the story ends."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator

import asyncpg
import pytest

from amanat_local.stack import Stack

from .chaos import Kill, disturbed, long_plan, short_plan
from .compact_story import Story
from .final_state import Model, differences, settle, unrecorded, untold

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> Iterator[tuple[Story, Model]]:
    """A story that nothing disturbed, and its final state."""
    story = Story(stack.info)
    try:
        story.play()
        yield story, settle(story)
    finally:
        story.close()


def test_a_few_killed_processes_leave_the_final_state_as_it_is(
    stack: Stack, undisturbed: tuple[Story, Model], capsys: pytest.CaptureFixture[str]
) -> None:
    seed, chance = seeded()
    survives(stack, undisturbed, short_plan(chance, undisturbed[0].steps_played), seed, capsys)


@pytest.mark.full
def test_thirty_killed_processes_leave_the_final_state_as_it_is(
    stack: Stack, undisturbed: tuple[Story, Model], capsys: pytest.CaptureFixture[str]
) -> None:
    seed, chance = seeded()
    survives(stack, undisturbed, long_plan(chance, undisturbed[0].steps_played), seed, capsys)


def test_one_row_lost_or_doubled_is_noticed(stack: Stack, undisturbed: tuple[Story, Model]) -> None:
    story, model = undisturbed
    assert differences(model, settle(story)) == []
    planted = (
        "INSERT INTO timeline (tenant, case_code, at, kind, agency, organisation, referral, detail)"
        " SELECT tenant, case_code, at, kind, agency, organisation, referral, detail FROM timeline"
        f" WHERE case_code = '{story.second['case']}' AND kind = 'referral_fir_registered'"
    )
    as_superuser(stack, planted)
    doubled = differences(model, settle(story))
    assert {line.split(": ")[0] for line in doubled} == {"intake", "seen"}
    assert all("referral_fir_registered" in line and " 2 instead of 1" in line for line in doubled)
    lost = f"DELETE FROM keys WHERE referral = '{story.second['legal-aid']}' AND category = 'laboratory'"
    as_superuser(stack, lost)
    assert any(line.startswith("intake: keys: ") for line in differences(model, settle(story)))


def seeded() -> tuple[int, random.Random]:
    """The run's seed: AMANAT_SEED, or one of its own, which is printed."""
    seed = int(os.environ.get("AMANAT_SEED") or random.SystemRandom().randrange(10**6))
    return seed, random.Random(seed)


def survives(
    stack: Stack,
    undisturbed: tuple[Story, Model],
    plan: list[Kill],
    seed: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Plays one story for each kill. What differs is told of all of them, not of the first alone."""
    usual, model = undisturbed
    wrong: list[str] = []
    stories: list[Story] = []
    say(capsys, f"\nAMANAT_SEED={seed}: {len(plan)} kills in stories of {usual.steps_played} steps")
    for number, kill in enumerate(plan, 1):
        stories.append(story := Story(stack.info))
        try:
            outcome = disturbed(stack, story, kill)
            found = differences(model, outcome.model) + unrecorded(story)
        finally:
            story.close()
        found += [f"{name} does not run any more" for name in stack.ended()]
        say(
            capsys,
            f"{number:2}. {kill}: back after {outcome.back_after_s:.1f} s, told in {outcome.took_s:.1f} s,"
            f" {outcome.sent_again} requests sent again, {outcome.webhook_attempts} webhook attempts,"
            f" {len(found)} differences",
        )
        wrong += [f"{number}. {kill}: {line}" for line in found]
    assert wrong + untold(stories) == []


def say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def as_superuser(stack: Stack, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(stack.info["databases"]["intake"]["admin"])
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
