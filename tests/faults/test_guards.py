"""Every guard has a test that fails without it: each is taken out of a copy of the source tree, and its test must fail.

| guard | taken out | what must fail |
|---|---|---|
| tombstone join | no withdrawal hides anything | `agency/test_tombstones` |
| tombstone of one's own | any referral's withdrawal hides it | `police_link/test_feed` |
| tenant join | every referral is the asker's | `agency/test_tenants` |
| tenant join of a flush | a request writes for whom another may write | `intake/cell/test_together` |
| RLS policy | every row is everybody's | `agency/test_tenants` |
| look | nothing is recorded of it | `agency/test_reading` |
| look told | nobody notes that the gate is to hear of it | `agency/test_telling` |
| lease accounted for | nobody asks what became of it | `intake/cell/test_unaccounted` |
| overdue clock | nobody looks for clocks that ran over | `intake/cell/test_sweeps` |
| referral taken up | nobody looks for referrals without an acknowledgement | `intake/cell/test_sweeps` |
| second person | who asked may approve, or a colleague of the same unit | `intake/cell/test_outside_disclosures` |
| emergency's time | it is read for ever | `intake/cell/test_emergencies` |
| category test | a field without a category | `contracts/test_categories` |
| ceiling | an agency may have every category | `contracts/test_projection` |
| import contract | one contract is gone | `house/test_imports` |
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("shared", "services", "deploy", "tests", "conftest.py", "pyproject.toml", "Makefile")
SOURCES = (
    *("shared/src", "deploy/local/src", "services/intake/src", "services/police-link/src"),
    *("services/forensics/src", "services/legal-aid/src"),
)
TENANTS = "tests/shared/agency/test_tenants.py"
SWEEPS = "tests/intake/cell/test_sweeps.py"


@dataclass(frozen=True)
class Guard:
    """`held` stands once in `file`; with `gone` in its place the test of `tests` that `fails` names must fail."""

    name: str
    file: str
    held: str
    gone: str
    tests: str
    fails: str


GUARDS = (
    Guard(
        "tombstone join",
        "shared/src/amanat/agency/repository.py",
        "    return ~(\n        exists()\n        .where(\n            tombstones.c.tenant == tenant,",
        "    return true() | ~(\n        exists()\n        .where(\n            tombstones.c.tenant == tenant,",
        "tests/shared/agency/test_tombstones.py",
        "test_a_tombstone_that_comes_after_the_lease_still_hides_its_category",
    ),
    Guard(
        "tenant join",
        "shared/src/amanat/agency/repository.py",
        "    return referrals.c.tenant == access.organisation\n",
        "    return true()\n",
        TENANTS,
        "test_each_statement_joins_the_asking_tenant_even_where_the_transaction_sees_more",
    ),
    Guard(
        "tombstone of one's own",
        "shared/src/amanat/agency/repository.py",
        "            tombstones.c.epoch >= epoch,\n        )\n        .correlate_except(tombstones)\n",
        "            tombstones.c.epoch >= epoch,\n        )\n",
        "tests/police_link/test_feed.py",
        "test_what_is_withdrawn_of_one_referral_takes_nothing_of_another_out_of_the_feed",
    ),
    Guard(
        "tenant join of a flush",
        "shared/src/amanat/groupcommit.py",
        "JOIN asked ON asked.n = new.request AND asked.tenant = new.tenant",
        "JOIN asked ON asked.n = new.request",
        "tests/intake/cell/test_together.py",
        "test_no_request_writes_for_anothers_tenant_though_they_are_written_together",
    ),
    Guard(
        "RLS policy",
        "shared/src/amanat/schema/__init__.py",
        'TENANT_POLICY = "tenant = ANY (',
        'TENANT_POLICY = "true OR tenant = ANY (',
        TENANTS,
        "test_no_table_shows_another_tenants_rows_to_the_api",
    ),
    Guard(
        "look",
        "shared/src/amanat/looks.py",
        ".add_cte(_look_row(look, seen), _ledger_row(look, seen))",
        ".add_cte(_ledger_row(look, seen))",
        "tests/shared/agency/test_reading.py",
        "test_a_look_is_on_record_with_what_was_opened",
    ),
    Guard(
        "look told",
        "shared/src/amanat/looks.py",
        "    return recorded.add_cte(_untold_row(look, seen)) if tells else recorded",
        "    return recorded",
        "tests/shared/agency/test_telling.py",
        "test_each_look_is_told_once_in_one_digest_per_referral",
    ),
    Guard(
        "lease accounted for",
        "services/intake/src/intake/service/sweeps.py",
        '    settled += await each(database, "looks", unaccounted, unlooked)\n',
        "",
        "tests/intake/cell/test_unaccounted.py",
        "test_a_lease_without_a_look_is_an_alarm_once",
    ),
    Guard(
        "overdue clock",
        "services/intake/src/intake/service/sweeps.py",
        '    settled += await each(database, "overdue", overdue_clocks, overdue)\n',
        "",
        SWEEPS,
        "test_each_clock_that_runs_over_shows_on_the_timeline_once",
    ),
    Guard(
        "referral taken up",
        "services/intake/src/intake/service/sweeps.py",
        '    settled += await each(database, "silence", unheard, silent)\n',
        "",
        SWEEPS,
        "test_a_referral_that_nobody_acknowledged_in_a_day_shows_on_the_timeline_once",
    ),
    Guard(
        "second person",
        "services/intake/src/intake/break_glass/service/decisions.py",
        "    if not second_person(principal, row):\n        raise SecondPersonNeeded\n",
        "",
        "tests/intake/cell/test_outside_disclosures.py",
        "test_who_is_not_another_in_person_unit_and_role_decides_nothing",
    ),
    Guard(
        "emergency's time",
        "services/intake/src/intake/break_glass/repository/emergencies.py",
        "            emergencies.c.open_until > now,\n",
        "",
        "tests/intake/cell/test_emergencies.py",
        "test_it_is_read_again_by_the_same_clinician_while_its_time_lasts",
    ),
    Guard(
        "category test",
        "shared/src/amanat/contracts/records/person.py",
        "    nationality: Annotated[Line | None, Category.IDENTITY] = None",
        "    nationality: Line | None = None",
        "tests/shared/contracts/test_categories.py",
        "test_every_field_of_every_contract_carries_exactly_one_category",
    ),
    Guard(
        "ceiling",
        "shared/src/amanat/categories.py",
        "    return agency in CEILINGS[category]",
        "    return agency in CEILINGS[category] or True",
        "tests/shared/contracts/test_projection.py",
        "test_care_and_counselling_leave_the_cell_through_no_record",
    ),
    Guard(
        "import contract",
        "pyproject.toml",
        'modules = ["intake", "police_link", "forensics", "legal_aid"]\n\n[[',
        'modules = ["intake", "forensics", "legal_aid"]\n\n[[',
        "tests/house/test_imports.py",
        "test_a_planted_violation_is_found",
    ),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source tree, to be spoiled."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "faults")
            shutil.copytree(source, tmp_path / name, ignore=ignored)
        else:
            shutil.copy2(source, tmp_path / name)
    return tmp_path


def run(tree: Path, guards: Sequence[Guard]) -> subprocess.CompletedProcess[str]:
    """pytest's run, in that tree and on that tree's own sources, of the tests that these guards name."""
    only = " or ".join(sorted({guard.fails for guard in guards}))
    files = sorted({guard.tests for guard in guards})
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-rf", "-p", "no:cacheprovider", "-k", only, *files],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / source) for source in SOURCES)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def failed(outcome: subprocess.CompletedProcess[str]) -> list[str]:
    """The names of the tests that failed."""
    return re.findall(r"^FAILED \S+?::(.+?)(?: - |$)", outcome.stdout, re.MULTILINE)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_its_guard_a_test_fails(copy: Path, guard: Guard) -> None:
    spoiled = copy / guard.file
    source = spoiled.read_text()
    assert source.count(guard.held) == 1, "the guard was rewritten: tell this test how it stands now"
    spoiled.write_text(source.replace(guard.held, guard.gone))
    outcome = run(copy, [guard])
    assert outcome.returncode == 1, outcome.stdout[-3000:]
    assert any(name.startswith(guard.fails) for name in failed(outcome)), outcome.stdout[-3000:]


def test_with_all_guards_in_place_the_same_tests_pass(copy: Path) -> None:
    outcome = run(copy, GUARDS)
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    assert re.search(r"\b[1-9][0-9]* passed", outcome.stdout)
