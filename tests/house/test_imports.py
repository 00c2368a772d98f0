"""Who may import whom: each contract holds, and fails when a violation is planted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "amanat": "shared/src",
    "amanat_local": "deploy/local/src",
    "intake": "services/intake/src",
    "police_link": "services/police-link/src",
    "forensics": "services/forensics/src",
    "legal_aid": "services/legal-aid/src",
}
PLANTED = [
    ("Services never import each other", "intake/errors.py", "import police_link.errors"),
    ("The platform library imports no service and no stack", "amanat/codes.py", "import intake.errors"),
    ("Rooms of intake", "intake/models.py", "import intake.service.cases"),
    ("Rooms of intake", "intake/changes.py", "import intake.service.setting"),
    ("Rooms of an agency", "police_link/models.py", "import police_link.service"),
    ("Rooms of webhooks", "police_link/webhooks/models.py", "import police_link.webhooks.service"),
    ("Rooms of breaking the glass", "intake/break_glass/models.py", "import intake.break_glass.service.reviews"),
    ("Rooms of the survivor's page", "intake/my_case/models.py", "import intake.my_case.service.pins"),
    ("Business rooms know neither", "intake/my_case/service/pins.py", "import fastapi"),
    (
        "A repository is imported by its own service alone",
        "intake/my_case/api/cell.py",
        "import intake.repository.cases",
    ),
    ("Business rooms know neither", "intake/service/cases.py", "import fastapi"),
    ("Business rooms know neither", "intake/break_glass/service/reviews.py", "import starlette"),
    ("Business rooms know neither", "amanat/agency/recording.py", "import fastapi"),
    ("Business rooms know neither", "amanat/consent/fold.py", "import aiokafka"),
    ("A repository is imported by its own service alone", "intake/api/cases.py", "import intake.repository.cases"),
    (
        "A repository is imported by its own service alone",
        "intake/break_glass/api/emergencies.py",
        "import intake.break_glass.repository.emergencies",
    ),
]


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """All packages, side by side, to be spoiled."""
    for name, source in SOURCES.items():
        shutil.copytree(ROOT / source / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_import_goes_the_way_the_house_allows(copy: Path) -> None:
    outcome = _lint(copy)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(("contract", "file", "line"), PLANTED, ids=[f"{file}: {line}" for _, file, line in PLANTED])
def test_a_planted_violation_is_found(copy: Path, contract: str, file: str, line: str) -> None:
    spoiled = copy / file
    spoiled.write_text(f"{spoiled.read_text()}\n{line}\n")
    outcome = _lint(copy)
    assert outcome.returncode == 1, outcome.stdout
    broken = [said for said in outcome.stdout.splitlines() if said.startswith(contract) and said.endswith("BROKEN")]
    assert broken, outcome.stdout
