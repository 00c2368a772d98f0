"""`make demo ONCE=1` ends with 0 when the story went as told, with 1 when any of it did not, and always says why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amanat_local.demo import __main__ as demo
from amanat_local.demo.clients import NotAsTold
from amanat_local.demo.telling import Teller
from amanat_local.spawn import NotReady
from amanat_local.stack import Stack

LOG = "the broker ended: INFO [SocketServer listener=/127.0.0.1:7751] [/127.0.0.1:7751] [green] closed"
"""What a server's log ends with may look like a console's colours."""

Told = Callable[[Teller], None]
Play = Callable[[Told | Exception], int]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """`played(story)` is the demo's exit code where the stack's start, or the story, goes as given here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo", "--once"])
    stopped: list[bool] = []

    def play(told: Told | Exception) -> int:
        def start(*_: Any, **__: Any) -> Any:
            if isinstance(told, Exception):
                raise told
            return SimpleNamespace(info={}, restart=None, stop=lambda: stopped.append(True))

        class ThisStory:
            def __init__(self, teller: Teller, *_: Any) -> None:
                self.teller = teller

            def play(self) -> None:
                assert not isinstance(told, Exception)
                told(self.teller)

        monkeypatch.setattr(Stack, "start", start)
        monkeypatch.setattr(demo, "Story", ThisStory)
        code = demo.main()
        assert stopped == ([] if isinstance(told, Exception) else [True])
        return code

    return play


def test_a_story_that_went_as_told_ends_with_0(played: Play, capsys: pytest.CaptureFixture[str]) -> None:
    assert played(lambda teller: teller.claim(True, "it is so")) == 0
    assert "Everything went as told" in capsys.readouterr().out


def test_one_thing_that_is_not_so_ends_with_1(played: Play, capsys: pytest.CaptureFixture[str]) -> None:
    assert played(lambda teller: teller.claim(False, "it is [/] so [green]")) == 1
    assert "it is [/] so [green]" in capsys.readouterr().out


def test_a_story_that_cannot_go_on_ends_with_1_and_says_why(played: Play, capsys: pytest.CaptureFixture[str]) -> None:
    def breaks(_: Teller) -> None:
        raise NotAsTold(LOG)

    assert played(breaks) == 1
    assert LOG in capsys.readouterr().out


def test_a_stack_that_does_not_start_ends_with_1_and_shows_the_end_of_its_log(
    played: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    assert played(NotReady(LOG)) == 1
    assert LOG in capsys.readouterr().out
