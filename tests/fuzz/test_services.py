"""Each service, fuzzed by its own OpenAPI document with its own client's token: no fault, no undocumented answer.

A failed check is printed with the request that found it; the seed is pinned in `fuzzing.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from amanat_local.stack import Stack

from .fuzzing import AIMS, SEED, Aim, Report, Values, fuzz, opened

pytestmark = pytest.mark.stack
SERVICES = pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.client if aim.only else aim.service)
SHORT, FULL = 60, 2000
OUT_OF_REACH = {
    "POST /v1/subscriptions/{subscription}/replay",
    "POST /v1/my/view",
    "POST /v1/my/withdrawals",
}
"""Accepted only of an endpoint that proved itself, and what the fuzzer subscribes is where nothing listens; and of a
visit that a sign-in began."""


@pytest.fixture(scope="module")
def values(stack: Stack) -> Values:
    return opened(stack.info)


@SERVICES
def test_some_cases_find_no_fault_and_no_undocumented_answer(
    stack: Stack, values: Values, aim: Aim, tmp_path: Path
) -> None:
    report = fuzz(stack.info, stack.folder / "stack.json", aim, values, tmp_path, cases=SHORT, coverage=False)
    assert_clean(report, at_least=SHORT)


@pytest.mark.full
@SERVICES
def test_two_thousand_cases_find_no_fault_and_no_undocumented_answer(
    stack: Stack, values: Values, aim: Aim, tmp_path: Path
) -> None:
    many = min(FULL, aim.at_most)
    report = fuzz(stack.info, stack.folder / "stack.json", aim, values, tmp_path, cases=many, coverage=True)
    print(f"\n{aim.service}: {report.cases} cases, seed {SEED}")  # noqa: T201 - the closing note's figure
    assert_clean(report, at_least=many)
    assert set(report.never_accepted) <= OUT_OF_REACH, "the fuzzer never got past the first check there"


def assert_clean(report: Report, *, at_least: int) -> None:
    assert report.failures == (), report.text
    assert report.errors == (), report.text
    assert report.cases >= at_least
