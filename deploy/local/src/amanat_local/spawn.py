"""Starting a child that dies with us, and waiting until all of it is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own; all use of it is in this file

_CHILD = Path(__file__).with_name("child.py")

# Linux sends the parent-death signal when the *thread* that started the child ends: so one thread as old as we are.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def dying_with_us(death_signal: signal.Signals = signal.SIGTERM) -> list[str]:
    """The words to put before a command so that it gets `death_signal` when this process dies."""
    return [sys.executable, "-I", "-S", str(_CHILD), str(int(death_signal))]


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts `argv` in a session of its own, its output appended to `log` (0600)."""

    def start() -> subprocess.Popen[bytes]:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    return _spawner.submit(start).result()


def family(pid: int) -> list[psutil.Process]:
    """The process and all it started, the eldest first; empty when it is gone."""
    try:
        eldest = psutil.Process(pid)
        return [eldest, *eldest.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def born(pid: int) -> float | None:
    """When the process began, in epoch seconds; none when it is gone. Number and birth together name one process."""
    try:
        member = psutil.Process(pid)
        return float(member.create_time()) if runs(member) else None
    except psutil.NoSuchProcess:
        return None


def end(process: subprocess.Popen[bytes], how: signal.Signals, *, within_s: float) -> None:
    """Sends `how` to the eldest, waits for the whole family, and kills what is left after `within_s` seconds."""
    members = family(process.pid)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(how)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    left = _left_of(members, within_s if process.returncode is not None else 0)
    for member in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    _left_of(left, 5)


def _left_of(members: Sequence[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Who still runs after at most `within_s` seconds. A zombie has gone: it waits only for init to notice."""
    deadline = time.monotonic() + within_s
    while left := [member for member in members if runs(member)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.01)
    return left


def runs(member: psutil.Process) -> bool:
    try:
        return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, for a message about a server that did not come up."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


class NotReady(Exception):
    """A server ended or did not answer in time; the message names it and its log file."""


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], *, name: str, log: Path, within_s: float
) -> None:
    """Polls `ready()` until it is true. Raises NotReady when the process ends first, or after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not ready():
        if process.poll() is not None:
            raise NotReady(f"{name} ended with {process.returncode}; its log {log} ends with:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise NotReady(f"{name} was not ready within {within_s:.0f} s; its log {log} ends with:\n{tail(log)}")
        time.sleep(0.02)
