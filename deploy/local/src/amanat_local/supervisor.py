"""A stack from the command line: `up` stays until it is told to stop; `down`, `status` and `restart` speak to it.

They meet in the stack's folder: `stack.json` names the supervisor, a file in `requests/` asks it to restart a process.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from amanat_local.kept import private_folder
from amanat_local.spawn import NotReady, born
from amanat_local.stack import Stack

POLL_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
REQUEST_SECONDS = 120


class NotRunning(Exception):
    """No stack runs in this folder."""


class _Told(BaseException):
    """SIGTERM or SIGINT arrived."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Leaves the block quietly at the first SIGTERM or SIGINT; what comes later cannot disturb the stopping."""

    def told(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise _Told

    before = {each: signal.signal(each, told) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except _Told:
        pass
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def watch(stack: Stack, say: Callable[[str], None]) -> None:
    """Starts again what ended by itself, ever more slowly, and does what is asked; for ever."""
    requests = private_folder(requests_of(stack.folder))
    for stale in requests.iterdir():
        stale.unlink()
    pauses: dict[str, float] = {}
    due: dict[str, float] = {}
    while True:
        for request in requests.glob("*.ask"):
            _answer(stack, request, say)
        now = time.monotonic()
        for name in stack.ended():
            if name not in due:
                pauses[name] = min(pauses.get(name, 0.25) * 2, LONGEST_PAUSE_SECONDS)
                due[name] = now + pauses[name]
                say(f"{name} ended; starting it again in {pauses[name]:.1f} s (log: {stack.part(name).log})")
            elif now >= due[name]:
                del due[name]
                try:
                    stack.start_process(name)
                    say(f"{name} is ready again")
                except NotReady as error:
                    say(str(error))
        time.sleep(POLL_SECONDS)


def _answer(stack: Stack, request: Path, say: Callable[[str], None]) -> None:
    name = request.read_text()
    try:
        stack.restart(name)
        answer = ""
        say(f"{name} was restarted")
    except KeyError:
        answer = f"there is no process {name}"
    except NotReady as error:
        answer = str(error)
    request.with_suffix(".pending").write_text(answer)
    request.with_suffix(".pending").rename(request.with_suffix(".answer"))
    request.unlink()


def requests_of(folder: Path) -> Path:
    return folder / "requests"


def described(folder: Path) -> dict[str, Any]:
    """The running stack's `stack.json`. Raises NotRunning, also when its supervisor has died and left the file."""
    try:
        info: dict[str, Any] = json.loads((folder / "stack.json").read_text())
    except FileNotFoundError:
        raise NotRunning(f"no stack runs in {folder}; start one with `amanat stack up`") from None
    if born(info["pid"]) != info["born"]:
        raise NotRunning(f"the stack of {folder} is gone; start one with `amanat stack up`")
    return info


def down(folder: Path, within_s: float = 90) -> None:
    """Ends the supervisor and waits until it has stopped everything. Raises NotRunning, NotReady if it does not."""
    info = described(folder)
    os.kill(info["pid"], signal.SIGTERM)
    deadline = time.monotonic() + within_s
    while born(info["pid"]) == info["born"]:
        if time.monotonic() > deadline:
            raise NotReady(f"the stack did not stop within {within_s:.0f} s; its process is {info['pid']}")
        time.sleep(0.05)


def restart(folder: Path, name: str) -> None:
    """Asks the supervisor to restart a process. Raises NotRunning, NotReady with the reason."""
    info = described(folder)
    request = requests_of(folder) / f"{uuid.uuid4()}.pending"
    request.write_text(name)
    request = request.rename(request.with_suffix(".ask"))
    answer = request.with_suffix(".answer")
    deadline = time.monotonic() + REQUEST_SECONDS
    while not answer.exists():
        if born(info["pid"]) != info["born"] or time.monotonic() > deadline:
            raise NotReady(f"the stack did not restart {name}")
        time.sleep(0.05)
    text = answer.read_text()
    answer.unlink()
    if text:
        raise NotReady(text)
