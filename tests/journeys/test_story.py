"""The story that `make demo` tells goes as told, on whichever stack this run has."""

from typing import Any

import pytest

from amanat_local.demo.story import Story
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack

pytestmark = pytest.mark.stack


def test_two_stories_go_as_told(stack: Stack, monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    monkeypatch.chdir(request.config.rootpath)
    teller = Teller()
    Story(teller, stack.info, stack.restart).play()
    assert teller.failed == []
