"""Each service, fuzzed by its own OpenAPI document with its own client's token: no fault, no undocumented answer.

A failed check is printed with the request that found it; the seed is pinned in `fuzzing.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from amanat_local.stack import Stack

from .fuzzing import AIMS, Aim, Report, Values, fuzz, opened

pytestmark = pytest.mark.stack
SERVICES = pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.name)
SHORT, FULL = 60, 2000
FORGIVEN = 100
"""One case of so many may be told to come again: more is no hiccup of a busy machine."""
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
    stack: Stack, values: Values, aim: Aim, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = leases(stack)
    report = fuzz(stack.info, stack.folder / "stack.json", aim, values, tmp_path, cases=SHORT, coverage=False)
    tell(capsys, aim, report)
    # To whom nothing is open the gate gives an empty lease and a 200 all the same.
    assert aim.service != "gate" or leases(stack) > before, "the fuzzer never got a key"
    assert_clean(report, at_least=SHORT)


@pytest.mark.full
@SERVICES
def test_two_thousand_cases_find_no_fault_and_no_undocumented_answer(
    stack: Stack, values: Values, aim: Aim, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = min(FULL, aim.at_most)
    report = fuzz(stack.info, stack.folder / "stack.json", aim, values, tmp_path, cases=many, coverage=True)
    tell(capsys, aim, report)
    assert_clean(report, at_least=many)
    assert set(report.never_accepted) <= OUT_OF_REACH, "the fuzzer never got past the first check there"


def leases(stack: Stack) -> int:
    """How many leases are on record."""
    assert stack.postgres is not None
    return int(stack.postgres.sql("intake", "SELECT count(*) FROM leases"))


def tell(capsys: pytest.CaptureFixture[str], aim: Aim, report: Report) -> None:
    """The figures, green or not."""
    with capsys.disabled():
        print(f"\n{aim.name}: {report}")  # noqa: T201 - the closing note's figures


def assert_clean(report: Report, *, at_least: int) -> None:
    assert report.failures == (), report.text
    assert report.errors == (), report.text
    assert report.cases >= at_least
    assert report.forgiven <= max(1, report.cases // FORGIVEN), f"{report.forgiven} of {report.cases} came again"
