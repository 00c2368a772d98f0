"""Every service has the same rooms, none has grown too large, and nobody commits but the platform."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists())
ROOMS = ("main", "api", "handlers", "service", "repository", "models", "schemas", "errors", "settings", "migrations")
LONGEST_ROOM = 300
ALONE = {"shared/src/amanat/verify.py": 1300}
"""What a court carries as one file, and reads through before it trusts it: one room by design."""


def rooms_lacking(package: Path, name: str) -> list[str]:
    """What a service still lacks to look like the others."""
    wanted = (*ROOMS, "gate" if name == "intake" else "worker")
    return [room for room in wanted if not (package / f"{room}.py").exists() and not (package / room).is_dir()]


def commits_in(source: str) -> list[int]:
    """Lines on which `.commit()` or `.rollback()` is called."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "rollback"}
        and not node.args
    ]


def unexplained(source: str) -> list[int]:
    """Lines that silence a check without saying why."""
    return [
        number
        for number, line in enumerate(source.splitlines(), 1)
        if re.search(r"#\s*(noqa|type: ignore)", line)
        and not re.search(r"#\s*(noqa: [A-Z0-9, ]+ - \S|type: ignore\[[a-z, -]+\]  # \S)", line)
    ]


def product() -> Iterator[Path]:
    for folder in ("shared/src", "services", "deploy/local/src"):
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if "versions" not in path.parts)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_the_same_rooms(name: str) -> None:
    package = ROOT / "services" / name / "src" / name.replace("-", "_")
    assert rooms_lacking(package, name) == []
    assert (ROOT / "services" / name / "README.md").exists()


def test_a_service_that_lacks_a_room_is_told_which(tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    assert rooms_lacking(tmp_path, "counselling") == [*ROOMS[1:], "worker"]


def test_no_room_has_grown_too_large() -> None:
    large = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in product()}
    assert {path: lines for path, lines in large.items() if lines > ALONE.get(path, LONGEST_ROOM)} == {}


def test_only_the_platforms_transactions_commit() -> None:
    found = {str(path.relative_to(ROOT)): commits_in(path.read_text()) for path in product()}
    # Kafka's offsets are committed by the consumer; that is no database transaction.
    assert {path for path, lines in found.items() if lines} == set()


def test_a_planted_commit_is_found() -> None:
    assert commits_in("async def f(session):\n    await session.commit()\n") == [2]


def test_every_silenced_check_says_why() -> None:
    found = {str(path.relative_to(ROOT)): unexplained(path.read_text()) for path in product()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_silenced_check_without_a_reason_is_found() -> None:
    assert unexplained("import os  # noqa\nx: int = ''  # type: ignore\n") == [1, 2]
