"""Faults that come again and again while stories are told: each ends as one that nothing disturbed, on all four
services."""

from __future__ import annotations

import pytest
from counting import Count

from amanat_local.stack import Stack

from . import disturbing
from .final_state import Model
from .surviving import Named, short_and_long, survived, undisturbed

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]
FAULTS = (
    Named("the broker was killed", disturbing.broker_killed, 20),
    Named("PostgreSQL was stopped at once", disturbing.postgres_stopped_at_once, 20),
    Named("PostgreSQL said that its disk is full", disturbing.disk_full, 200, 5, 100),
    Named("a process was told to stop", disturbing.told_to_stop, 50, 2),
    Named("a zombie came back beside its successor", disturbing.zombies, 6),
    Named("poison was put on a topic", disturbing.poisoned, 500, 30, 500),
    Named("a group read its topics from the beginning", disturbing.read_again, 9),
    Named("a stranger joined a group", disturbing.others_join, 30, 2),
)


@pytest.fixture(scope="module")
def wanted(stack: Stack) -> Model:
    return undisturbed(stack)


@pytest.mark.parametrize(("named", "times"), short_and_long(FAULTS))
def test_a_story_ends_as_ever_though(
    stack: Stack, wanted: Model, named: Named, times: int, count: Count, capsys: pytest.CaptureFixture[str]
) -> None:
    count(named.what, survived(stack, wanted, named, times, capsys))
