"""Who comes to a running stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amanat_local.stack import Stack

from .refusing import Stranger


@pytest.fixture
def hospital(stack: Stack) -> Iterator[Stranger]:
    """A hospital's system that sends the cell whatever it likes."""
    stranger = Stranger(stack, "intake", "arcc-karachi-system")
    yield stranger
    stranger.close()
