"""A gate that leases, the agency's client of it, and the clock that both go by."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from amanat.leases import LeaseClient

from .gates import Clock, Gate


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(clock)


@pytest.fixture
async def client(gate: Gate) -> AsyncIterator[LeaseClient]:
    made = gate.client()
    yield made
    await made.aclose()
