"""Bundles to post, of our own writing and, where they are at hand, of Synthea's."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from amanat.directory import Directory
from intake.fhir import FhirRefused, MappedBundle, parse, to_new_case

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
Bundle = dict[str, Any]


@pytest.fixture(scope="session")
def directory() -> Directory:
    return Directory.load(ROOT / "deploy/local/src/amanat_local/directory.json")


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def example() -> Callable[[str], Bundle]:
    """A fresh copy of one of `examples/bundles`."""
    known = {path.stem: json.loads(path.read_bytes()) for path in (ROOT / "examples/bundles").glob("*.json")}
    return lambda name: copy.deepcopy(known[name])


@pytest.fixture
def arrival(example: Callable[[str], Bundle]) -> Bundle:
    """An adult who consents for herself."""
    return example("arrival")


@pytest.fixture(scope="session")
def mapped(directory: Directory) -> Callable[..., MappedBundle]:
    """`mapped(bundle)`: what becomes of it at the cell of Karachi."""

    def take(bundle: Bundle, now: datetime = NOW, cell: str = "arcc-karachi") -> MappedBundle:
        return to_new_case(parse(json.dumps(bundle).encode()), directory, cell, now)

    return take


@pytest.fixture(scope="session")
def refusal(mapped: Callable[..., MappedBundle]) -> Callable[[Bundle], FhirRefused]:
    """`refusal(bundle)`: how it is refused."""

    def refuse(bundle: Bundle) -> FhirRefused:
        with pytest.raises(FhirRefused) as caught:
            mapped(bundle)
        return caught.value

    return refuse


@pytest.fixture(scope="session")
def of_type() -> Callable[[Bundle, str], list[dict[str, Any]]]:
    """The resources of one type, to be changed in place."""

    def find(bundle: Bundle, kind: str) -> list[dict[str, Any]]:
        return [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == kind]

    return find
