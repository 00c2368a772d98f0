"""A package declares what it imports: what comes along with another package today may not come tomorrow."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [
    "shared",
    "deploy/local",
    *sorted(f"services/{path.parent.name}" for path in ROOT.glob("services/*/*.toml")),
]


def canonical(name: str) -> str:
    """A distribution's name as all its spellings have it in common."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project(package: str) -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"])


def declared(package: str, *, extras: bool = True) -> set[str]:
    """What a package asks for."""
    asked = project(package)
    wanted: list[str] = [*asked.get("dependencies", ())]
    if extras:
        wanted += [each for extra in asked.get("optional-dependencies", {}).values() for each in extra]
    return {canonical(re.split(r"[\s\[<>=!~;]", each, maxsplit=1)[0]) for each in wanted}


def imported(source: str) -> Iterator[str]:
    """Modules that a source imports, wherever it does; of `from a import b` both `a.b` and `a` may be one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield from (f"{node.module}.{each.name}" for each in node.names)


@cache
def ours() -> dict[str, str]:
    """The name of each package of this house, by its module."""
    return {path.name: project(package)["name"] for package in PACKAGES for path in (ROOT / package / "src").iterdir()}


@cache
def by_module() -> dict[str, set[str]]:
    return {module: set(names) for module, names in packages_distributions().items()}


@cache
def files_of(name: str) -> set[str]:
    return {str(path) for path in distribution(name).files or ()}


def distribution_of(module: str) -> str | None:
    """The distribution that a module comes from; None for Python's own. Several may share one namespace."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return None
    if top in ours():
        return canonical(ours()[top])
    names = by_module().get(top, {top})
    if len(names) == 1:
        return canonical(next(iter(names)))
    path = module
    while path:
        place = path.replace(".", "/")
        for name in sorted(names):
            if {f"{place}.py", f"{place}/__init__.py"} & files_of(name):
                return canonical(name)
        path = path.rpartition(".")[0]
    return canonical(top)


def undeclared(source: str, known: set[str]) -> set[str]:
    """Distributions that a source imports and its package does not declare."""
    return {name for module in imported(source) if (name := distribution_of(module)) is not None} - known


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports(package: str) -> None:
    known = declared(package) | {canonical(project(package)["name"])}
    found = {
        str(path.relative_to(ROOT)): undeclared(path.read_text(), known)
        for path in (ROOT / package / "src").rglob("*.py")
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(("pins", "extras"), [("runtime", False), ("dev", True)])
@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_declares_is_pinned(package: str, pins: str, *, extras: bool) -> None:
    text = (ROOT / "requirements" / f"{pins}.txt").read_text()
    pinned = {canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    assert declared(package, extras=extras) - pinned - {canonical(name) for name in ours().values()} == set()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import httpcore", "httpcore"),
        ("def f():\n    from standardwebhooks.webhooks import Webhook", "standardwebhooks"),
        ("import yaml", "pyyaml"),
        ("from amanat.codes import new_code", "amanat"),
        ("from opentelemetry import trace", "opentelemetry-api"),
        ("from opentelemetry.sdk.trace import TracerProvider", "opentelemetry-sdk"),
        ("import a_module_that_nobody_has", "a-module-that-nobody-has"),
    ],
)
def test_an_import_that_is_not_declared_is_found(line: str, name: str) -> None:
    assert undeclared(line, set()) == {name}
    assert undeclared(line, {name}) == set()
    assert undeclared("import json\nfrom . import near\nfrom collections.abc import Mapping", set()) == set()
