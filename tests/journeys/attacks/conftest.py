"""What the attackers share: the case that they come for, and everybody's tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from amanat_local import tokens
from amanat_local.directory import template
from amanat_local.realm import Identity, realm_of
from amanat_local.stack import Stack

from .ground import Ground, prepare

Tokens = Callable[[Identity], str]


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
