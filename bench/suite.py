"""`make attacks`, `make faults`: the suite in its long form on the real stack, and a table of what was tried.

The tests count (the fixture `count`); a failing suite writes nothing. The table stands in README.md with its commit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from bench.figures import FOLDER, commit, machine

SUITES = {"attacks": "attack", "faults": "fault"}
"""A suite, and the mark of its tests."""


def main() -> None:
    """Runs a suite; its status is pytest's."""
    parser = argparse.ArgumentParser(prog="bench.suite")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--short", action="store_true", help="the short forms, on the stack that AMANAT_STACK says")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally, report = Path(folder, "tally.json"), Path(folder, "report.xml")
        told = {"AMANAT_TALLY": str(tally)} | ({} if asked.short else {"AMANAT_STACK": "real", "AMANAT_FULL": "1"})
        began = time.monotonic()
        program = [sys.executable, "-m", "pytest", "-m", SUITES[asked.suite], f"--junit-xml={report}"]
        status = subprocess.run(program, env=os.environ | told, check=False).returncode
        if status == 0 and not asked.short:
            save(asked.suite, json.loads(tally.read_text()), _passed(report), time.monotonic() - began)
    raise SystemExit(status)


def _passed(report: Path) -> int:
    [suite] = ElementTree.parse(report).getroot().iter("testsuite")
    return int(suite.attrib["tests"]) - int(suite.attrib["skipped"])


def save(suite: str, counted: dict[str, int], tests: int, seconds: float, folder: Path = FOLDER) -> None:
    """Writes what was counted between the suite's marks in README.md."""
    begin, end = f"<!-- {suite}: written by make {suite} -->\n", f"<!-- end of {suite} -->\n"
    lines = [f"Commit {commit()}; {machine()}; {tests:,} tests in {seconds / 60:.0f} min, all passed.\n"]
    lines += ["| tried | times |", "|---|---|", *(f"| {kind} | {number:,} |" for kind, number in counted.items())]
    readme = (folder / "README.md").read_text()
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    (folder / "README.md").write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n\n{end}{after}")


if __name__ == "__main__":
    main()
