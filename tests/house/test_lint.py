"""ruff and mypy as the house configures them: each finds a planted violation, and nothing in the same put right.

The violations are of rules that others rely on: no printing in the product (personal data in logs), no assert as a
guard, no time without a zone, no annotation left out, no value of the wrong type.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT, TEST = "services/intake/src/intake/planted.py", "tests/intake/test_planted.py"

LINT = {
    "F401": ("import os\n", "import os\n\nHERE = os.curdir\n"),
    "F821": ("CASE = found\n", 'found = "C-1"\nCASE = found\n'),
    "T201": (
        'def tell(case: str) -> None:\n    print(f"{case} was opened")\n',
        'def tell(case: str) -> str:\n    return f"{case} was opened"\n',
    ),
    "S101": (
        "def check(tenant: str) -> str:\n    assert tenant\n    return tenant\n",
        "def check(tenant: str) -> str:\n    if not tenant:\n        raise LookupError\n    return tenant\n",
    ),
    "S608": (
        "def of(code: str) -> str:\n    return f\"SELECT tenant FROM cases WHERE code = '{code}'\"\n",
        'def of() -> str:\n    return "SELECT tenant FROM cases WHERE code = :code"\n',
    ),
    "DTZ005": (
        "from datetime import datetime\n\nNOW = datetime.now()\n",
        "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n",
    ),
    "ASYNC251": (
        "import time\n\n\nasync def wait() -> None:\n    time.sleep(1)\n",
        "import asyncio\n\n\nasync def wait() -> None:\n    await asyncio.sleep(1)\n",
    ),
    "RUF006": (
        'import asyncio\n\n\nasync def start() -> None:\n    asyncio.create_task(asyncio.sleep(1), name="a")\n',
        'import asyncio\n\n\nasync def start() -> None:\n    await asyncio.create_task(asyncio.sleep(1), name="a")\n',
    ),
    "E501": (f'WORD = "{"x" * 120}"\n', f'WORD = "{"x" * 100}"\n'),
}
"""Rule → a module of the product that breaks it, and the same put right."""

TYPES = {
    "no-untyped-def": ("def tell(case):\n    return case\n", "def tell(case: str) -> str:\n    return case\n"),
    "return-value": (
        "def count(case: str) -> int:\n    return case\n",
        "def count(case: str) -> int:\n    return len(case)\n",
    ),
    "type-arg": ("CASES: dict = {}\n", "CASES: dict[str, int] = {}\n"),
    "union-attr": (
        "def code(case: str | None) -> str:\n    return case.upper()\n",
        'def code(case: str | None) -> str:\n    return case.upper() if case else ""\n',
    ),
    "unused-ignore": ("CASE: int = 1  # type: ignore[assignment]\n", "CASE: int = 1\n"),
}
"""What mypy calls it → a module that does it, and the same put right."""


def lint(source: str, as_file: str) -> subprocess.CompletedProcess[str]:
    """The house's ruff on a text, as if it stood in this file."""
    program = [Path(sys.executable).with_name("ruff"), "check", "--no-cache", "--output-format", "concise"]
    program += ["--stdin-filename", ROOT / as_file, "-"]
    return subprocess.run(program, cwd=ROOT, input=source, capture_output=True, text=True, check=False)


def typed(folder: Path, **modules: str) -> str:
    """The house's mypy on these modules, outside the repository; what it says."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    program = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", folder / "cache"]
    program += [folder / f"{name}.py" for name in modules]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == ("Success" not in done.stdout), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("rule", LINT)
def test_what_breaks_a_rule_is_found_and_the_same_put_right_passes(rule: str) -> None:
    wrong, right = LINT[rule]
    found, passed = lint(wrong, PRODUCT), lint(right, PRODUCT)
    assert (found.returncode, passed.returncode) == (1, 0), found.stdout + passed.stdout
    assert f" {rule} " in found.stdout


def test_tests_may_assert_and_may_not_print() -> None:
    assert lint("def test_it() -> None:\n    assert 1\n", TEST).returncode == 0
    assert " T201 " in lint("def test_it() -> None:\n    print(1)\n", TEST).stdout


def test_what_breaks_a_type_is_found_and_the_same_put_right_passes(tmp_path: Path) -> None:
    """One run for all the wrong ones and one for the right: mypy takes its time to begin."""
    names = {rule: f"planted_{rule.replace('-', '_')}" for rule in TYPES}
    said = typed(tmp_path, **{names[rule]: wrong for rule, (wrong, _) in TYPES.items()}).splitlines()
    for rule, name in names.items():
        assert any(f"{name}.py" in line and line.endswith(f"[{rule}]") for line in said), (rule, said)
    assert "Success" in typed(tmp_path, **{names[rule]: right for rule, (_, right) in TYPES.items()})
