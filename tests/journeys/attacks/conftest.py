"""What the attackers share: the case that they come for, everybody's tokens, and the count of what they tried."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from amanat_local import tokens
from amanat_local.directory import template
from amanat_local.realm import Identity, realm_of
from amanat_local.stack import Stack

from .ground import Ground, prepare

Count = Callable[[str, int], None]
Tokens = Callable[[Identity], str]


@pytest.fixture(scope="session")
def count() -> Iterator[Count]:
    """`count("forged tokens", 85)`: how many attacks of a kind were tried and held off. Written as JSON where
    AMANAT_TALLY says, which is how `make attacks` gets its table."""
    counted: Counter[str] = Counter()

    def add(kind: str, number: int) -> None:
        counted[kind] += number

    yield add
    if tally := os.environ.get("AMANAT_TALLY"):
        Path(tally).write_text(json.dumps(counted, indent=1) + "\n")


@pytest.fixture(scope="session")
def ground(stack: Stack) -> Ground:
    """One case, and everything that can hang on one."""
    return prepare(stack)


@pytest.fixture(scope="session")
def everybody() -> tuple[Identity, ...]:
    """Every client and every person of the realm."""
    return realm_of(template()).identities


@pytest.fixture(scope="module")
def token_of(stack: Stack) -> Tokens:
    """An identity's token, fetched once: a module takes less than a token lives."""
    known: dict[str, str] = {}

    def of(who: Identity) -> str:
        if who.name not in known:
            known[who.name] = tokens.token(stack.info, who.name)
        return known[who.name]

    return of


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """Connections, and no headers of its own."""
    with httpx.Client(timeout=60) as made:
        yield made
