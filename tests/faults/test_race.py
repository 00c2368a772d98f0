"""Withdrawals racing reads at police-link: no answer carries a category whose tombstone its fetch could see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from amanat_local.stack import Stack

from .racing import (
    CATEGORIES,
    Cell,
    Fetch,
    Read,
    Reader,
    Shown,
    Station,
    clients,
    commits,
    fetches,
    noted_by_the_database,
    pause,
    shown,
    until_all_there,
)

pytestmark = [pytest.mark.stack, pytest.mark.fault]

LANES, READERS = 3, 3
LATEST_S = 1.0


@dataclass(frozen=True)
class Raced:
    """One case's race: its referral, and all that its readers were told."""

    referral: str
    reads: Sequence[Read]


async def race(stack: Stack, cell: Cell, police: Station, readers: Sequence[Reader]) -> Raced:
    """Opens a case, and withdraws its categories one by one while all readers read it without a pause."""
    case, referral, consent = await cell.open_case()
    await until_all_there(readers[0], referral)
    for reader in readers:
        reader.reads.clear()
    over = asyncio.Event()

    async def keep_reading(reader: Reader) -> None:
        while not over.is_set():
            await reader.read(referral)

    reading = [asyncio.create_task(keep_reading(reader)) for reader in readers]
    try:
        for category in CATEGORIES:
            await asyncio.sleep(pause())
            await cell.withdraw(case, consent, category)
        async with asyncio.timeout(60):
            while any(reader.reads[-1:] == [] or reader.reads[-1].status != 404 for reader in readers):
                await asyncio.sleep(0.01)
    finally:
        over.set()
        await asyncio.gather(*reading)
    return Raced(referral, [read for reader in readers for read in reader.reads])


async def races(stack: Stack, withdrawals: int) -> tuple[list[Shown], int, int]:
    """(what was shown of withdrawn categories, how many answers there were, how many withdrawals)."""
    cases = iter(range(-(-withdrawals // len(CATEGORIES))))
    raced: list[Raced] = []
    judged: list[Shown] = []
    committed: dict[tuple[str, str], float] = {}
    async with noted_by_the_database(stack) as connection, clients(stack.info) as (cell, police):

        async def lane() -> None:
            readers = [Reader(stack.info, police) for _ in range(READERS)]
            for _ in cases:
                raced.append(await race(stack, cell, police, readers))

        await asyncio.gather(*(lane() for _ in range(LANES)))
        # In portions: a race of ten thousand has more looks than one statement should carry.
        for start in range(0, len(raced), 50):
            portion = raced[start : start + 50]
            codes = [each.referral for each in portion]
            committed |= (ended := await commits(connection, codes))
            looks = await fetches(connection, codes)
            judged += shown([read for each in portion for read in each.reads], looks, ended)
    statuses = {read.status for each in raced for read in each.reads}
    assert statuses <= {200, 404, 503}, statuses
    assert len(committed) == len(raced) * len(CATEGORIES)
    return judged, sum(len(each.reads) for each in raced), len(committed)


def judge(judged: Sequence[Shown], withdrawals: int) -> str:
    """Asserts both rules, and that there was a race at all; says what was seen, for the record."""
    assert [each for each in judged if each.fetched_too_late] == []
    late = [each for each in judged if each.after_commit_s > LATEST_S]
    assert late == [], max(each.after_commit_s for each in late)
    crossed = {
        (each.read.referral, each.category)
        for each in judged
        if each.read.asked_at <= each.committed_at <= each.read.first_byte_at
    }
    assert len(crossed) > withdrawals / 10, "hardly a read was under way when a tombstone was committed"
    latest = max(each.after_commit_s for each in judged)
    return (
        f"{withdrawals} withdrawals, {len(judged)} times a category was shown that was withdrawn later,"
        f" {len(crossed)} tombstones committed while an answer with theirs was under way,"
        f" the latest first byte {latest * 1000:+.0f} ms after its commit"
    )


@pytest.mark.parametrize("at_least", [150, pytest.param(10_000, marks=pytest.mark.full)])
async def test_withdrawals_racing_reads_leave_no_category_that_its_fetch_could_see_withdrawn(
    stack: Stack, record_property: Callable[[str, object], None], at_least: int
) -> None:
    judged, reads, withdrawals = await races(stack, at_least)
    record_property("race", said := f"{reads} answers; {judge(judged, withdrawals)}")
    print(said)  # noqa: T201 - shown by -s and -rP


def crossing(*, sees: frozenset[str], first_byte_at: float) -> list[Shown]:
    read = Read("token", "P-0000-0000-0", 9.9, first_byte_at, 200, frozenset({"incident"}))
    fetch = Fetch("token", "P-0000-0000-0", 9.95, sees)
    return shown([read], [fetch], {("P-0000-0000-0", "incident"): 10.0})


def test_the_judge_passes_an_answer_that_was_fetched_before_the_tombstone() -> None:
    assert "1 tombstones" in judge(crossing(sees=frozenset(), first_byte_at=10.1), withdrawals=1)


def test_the_judge_finds_an_answer_whose_fetch_saw_the_tombstone() -> None:
    with pytest.raises(AssertionError):
        judge(crossing(sees=frozenset({"incident"}), first_byte_at=10.1), withdrawals=1)


def test_the_judge_finds_an_answer_that_began_a_second_after_the_commit() -> None:
    with pytest.raises(AssertionError):
        judge(crossing(sees=frozenset(), first_byte_at=11.1), withdrawals=1)


def test_the_judge_finds_an_answer_without_a_look() -> None:
    read = Read("token", "P-0000-0000-0", 9.9, 10.1, 200, frozenset({"incident"}))
    with pytest.raises(LookupError):
        shown([read], [], {})
