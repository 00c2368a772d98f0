"""An answer "come again" is forgiven once and counted: neither a service that stays away nor one that sends everybody
away at first passes for a clean one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from . import fuzz_hooks
from .fuzzing import Report
from .test_services import assert_clean


def case(name: str, second: int) -> Any:
    return SimpleNamespace(id=name, call=lambda: SimpleNamespace(status_code=second))


def answer(status: int, *waits: str) -> Any:
    return SimpleNamespace(status_code=status, headers={"retry-after": list(waits)} if waits else {})


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the hook counts; it waits no time."""
    monkeypatch.setenv("FUZZ_FORGIVEN", str(tmp_path / "forgiven"))
    monkeypatch.setattr(fuzz_hooks.time, "sleep", lambda _: None)
    (tmp_path / "forgiven").touch()
    return tmp_path / "forgiven"


def test_what_is_answered_at_the_second_call_is_no_failure_and_counted(counted: Path) -> None:
    assert not fuzz_hooks.filter_failure(None, None, case("a", 200), answer(503, "1"))
    assert not fuzz_hooks.filter_failure(None, None, case("b", 422), answer(503, "1"))
    assert counted.read_text().split() == ["a", "b"]


def test_whatever_fails_twice_or_in_another_way_stays_a_failure(counted: Path) -> None:
    assert fuzz_hooks.filter_failure(None, None, case("a", 503), answer(503, "1"))
    assert fuzz_hooks.filter_failure(None, None, case("a", 500), answer(503, "1"))
    assert fuzz_hooks.filter_failure(None, None, case("a", 200), answer(503))
    assert fuzz_hooks.filter_failure(None, None, case("a", 200), answer(500, "1"))
    assert counted.read_text() == ""


@pytest.mark.parametrize(("cases", "forgiven", "clean"), [(2000, 20, True), (2000, 21, False), (60, 1, True)])
def test_more_than_one_in_a_hundred_is_a_fault(cases: int, forgiven: int, clean: bool) -> None:
    report = Report("", cases, (), (), (), forgiven)
    if clean:
        assert_clean(report, at_least=60)
    else:
        with pytest.raises(AssertionError, match=f"{forgiven} of {cases} came again"):
            assert_clean(report, at_least=60)
    assert f"{forgiven} answered at the second call" in str(report)
