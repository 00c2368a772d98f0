"""Who may import whom: each contract holds, and finds every violation that can be planted. What could be violated is
read off the tree, not off the contracts: a room that one of them forgets is a violation that nobody finds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, permutations
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
SERVICES = sorted(set(SOURCES) - {"amanat", "amanat_local"})
RANKS = (
    {"main", "worker", "gate", "commands", "court_command"},
    {"api", "handlers"},
    {"delivery"},
    {"service"},
    {"repository"},
    {"models", "schemas", "errors", "changes", "texts"},
    {"settings"},
)
"""Rooms from the outermost to the innermost: each may import those after it. A feature within a service has them too,
its `worker` beside its `api`."""
FRAMEWORKS = ("fastapi", "starlette", "aiokafka")
WITHOUT_FRAMEWORKS = {"service", "repository", "models", "changes", "fhir"}
LIBRARY = {
    *("contracts", "consent", "custody", "looks", "ledger"),
    *(f"agency.{room}" for room in ("repository", "arriving", "recording", "reading", "telling")),
}
"""What of the platform library is business: it knows no framework either."""
AGENCYS_SERVICE = {"arriving", "custody", "feed", "reading", "recording", "telling"}
"""The library's rooms that are the agencies' service, and may ask their repository."""
MAY_ASK = {"service", "repository", *RANKS[5], *RANKS[6]}
"""Who needs no contract to keep off the repository: who may import it, and who must not import anything above."""


@dataclass(frozen=True)
class Violation:
    """`importer` (a room) imports `imported`: the contract that begins so names both."""

    contract: str
    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"

    def planted_in(self, folder: Path) -> Path:
        """A file of the room: the room itself, or the first file of its folder."""
        path = folder.joinpath(*self.importer.split("."))
        if not path.is_dir():
            return path.with_suffix(".py")
        return next(file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py")


def containers() -> Iterator[tuple[str, frozenset[str]]]:
    """(package, its rooms): every service, and every feature of one that has a repository of its own."""
    for name in SERVICES:
        root = ROOT / SOURCES[name] / name
        for found in (root, *(each for each in sorted(root.iterdir()) if (each / "repository").is_dir())):
            package = ".".join(found.relative_to(root.parent).parts)
            yield package, frozenset(_rooms(found))


def _rooms(folder: Path) -> Iterator[str]:
    for each in folder.iterdir():
        if each.name in {"__init__.py", "migrations"}:
            continue
        if each.suffix == ".py" or ((each / "__init__.py").exists() and not (each / "repository").is_dir()):
            yield each.stem


LAYERS = {
    "intake": "Rooms of intake",
    "intake.break_glass": "Rooms of breaking the glass",
    "intake.my_case": "Rooms of the survivor's page",
    "police_link.webhooks": "Rooms of webhooks",
}


@cache
def violations() -> tuple[Violation, ...]:
    """Everything that no room may do."""
    return tuple(sorted({*_across(), *_upwards(), *_frameworks(), *_past_the_service()}, key=str))


def _across() -> Iterator[Violation]:
    for importer, imported in permutations(SERVICES, 2):
        yield Violation("Services never import each other", importer, imported)
    for imported in (*SERVICES, "amanat_local"):
        yield Violation("The platform library imports no service and no stack", "amanat", imported)


def _upwards() -> Iterator[Violation]:
    for package, rooms in containers():
        contract = LAYERS.get(package, "Rooms of an agency")
        present = [sorted(rank & rooms) for rank in _ranks(package) if rank & rooms]
        for above, below in pairwise(present):
            for upper, lower in {*((each, below[0]) for each in above), *((above[0], each) for each in below)}:
                yield Violation(contract, f"{package}.{lower}", f"{package}.{upper}")


def _ranks(package: str) -> tuple[set[str], ...]:
    return RANKS if package in SERVICES else ({*RANKS[1], "worker"}, *RANKS[2:])


def _frameworks() -> Iterator[Violation]:
    named = [f"{package}.{room}" for package, rooms in containers() for room in sorted(rooms & WITHOUT_FRAMEWORKS)]
    for importer in (*named, *(f"amanat.{room}" for room in sorted(LIBRARY))):
        for imported in FRAMEWORKS:
            yield Violation("Business rooms know neither", importer, imported)


def _past_the_service() -> Iterator[Violation]:
    contract = "A repository is imported by its own service alone"
    for package, rooms in containers():
        service = package.partition(".")[0]
        theirs = {f"{package}.repository", f"{service}.repository"}
        if service != "intake":
            theirs.add("amanat.agency.repository")
        for room in sorted(rooms - MAY_ASK):
            yield from (Violation(contract, f"{package}.{room}", each) for each in sorted(theirs))
    agency = ROOT / SOURCES["amanat"] / "amanat/agency"
    for file in sorted(agency.glob("*.py")):
        if file.stem not in {"__init__", *AGENCYS_SERVICE, *MAY_ASK, "instruments"}:
            yield Violation(contract, f"amanat.agency.{file.stem}", "amanat.agency.repository")


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
    return _copied(tmp_path)


def _copied(folder: Path) -> Path:
    for name, source in SOURCES.items():
        shutil.copytree(ROOT / source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a tree with every violation in it."""
    folder = _copied(Path(tmp_path_factory.mktemp("planted")))
    for each in violations():
        spoiled = each.planted_in(folder)
        spoiled.write_text(f"{spoiled.read_text()}\nimport {each.imported}\n")
    outcome = _lint(folder)
    assert outcome.returncode == 1, outcome.stdout
    return outcome.stdout


def test_every_import_goes_the_way_the_house_allows(copy: Path) -> None:
    outcome = _lint(copy)
    assert outcome.returncode == 0, outcome.stdout


def test_every_service_and_every_feature_of_one_is_among_what_is_planted() -> None:
    packages = {package for package, _ in containers()}
    assert packages >= {*SERVICES, *LAYERS}
    for contract in ("Rooms", "Business rooms", "A repository"):
        planted = {each.importer.rpartition(".")[0] for each in violations() if each.contract.startswith(contract)}
        assert planted >= packages, contract


@pytest.mark.parametrize("violation", violations(), ids=str)
def test_a_planted_violation_is_found(said: str, violation: Violation) -> None:
    told = re.search(rf"^{re.escape(violation.contract)}.* BROKEN$", said, re.MULTILINE)
    assert told, said[:3000]
    of_both = rf"^{re.escape(violation.importer)} is not allowed to import {re.escape(violation.imported)}:$"
    assert re.search(of_both, said, re.MULTILINE), "nobody found it"
