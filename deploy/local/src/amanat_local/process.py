"""One supervised process of a stack: started, waited for, killed, started again on the same address."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from amanat_local.spawn import dying_with_us, end, spawn, wait_until

STOP_SECONDS = 15.0
"""How long a process may drain after SIGTERM before it is killed."""

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "JAVA_HOME", "SSL_CERT_FILE", "PYTHONPATH")


class Part(Protocol):
    """What a stack is made of: a server or a service process."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def log(self) -> Path: ...
    def start(self) -> None: ...
    def wait(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Process:
    """A command with its environment and its log. `start` returns at once, `wait` once `ready()` holds."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    ready: Callable[[], bool]
    within_s: float = 60
    stop_within_s: float = STOP_SECONDS
    cwd: Path | None = None
    running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return self.running.pid if self.running is not None and self.running.poll() is None else None

    def start(self) -> None:
        if self.pid is not None:
            raise RuntimeError(f"{self.name} already runs")
        self.running = spawn([*dying_with_us(), *self.argv], log=self.log, env=self.env, cwd=self.cwd)

    def wait(self) -> None:
        """Raises NotReady with the end of the log."""
        if self.running is None:
            raise RuntimeError(f"{self.name} was not started")
        wait_until(self.ready, self.running, name=self.name, log=self.log, within_s=self.within_s)

    def kill(self) -> None:
        """SIGKILL; returns when it and all it started are gone."""
        self._end(signal.SIGKILL, within_s=5)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after the time to drain."""
        self._end(signal.SIGTERM, within_s=self.stop_within_s)

    def _end(self, how: signal.Signals, *, within_s: float) -> None:
        if self.running is not None:
            end(self.running, how, within_s=within_s)
            self.running = None


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """A process's whole environment: its settings, and of ours only what names paths, language and telemetry."""
    passed = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("OTEL_")}
    # Law 9: no frame locals and no warnings' source lines on stderr, and output that a kill does not swallow.
    return passed | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""} | dict(settings)


def python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", module, *words]


def answers(port: int, path: str = "/readyz") -> Callable[[], bool]:
    """Whether `GET path` on that port of 127.0.0.1 answers 200."""

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask
