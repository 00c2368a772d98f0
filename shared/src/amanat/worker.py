"""Runs what a Kafka process consists of, side by side, until it is told to stop or one of them dies.

await run_worker(
    tasks=[relay, consumer, Every("parked", 2.0, lambda: parked.attend(database, inbox))],
    port=settings.port,
)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

import structlog
import uvicorn
from prometheus_client import Counter, generate_latest

from amanat.db import is_transient
from amanat.waiting import ended, waited

_FAILED = Counter("amanat_background_failed_total", "Runs of a periodic task that failed", ["task", "error"])
_log = structlog.get_logger(__name__)

DRAIN_S = 20.0


class Task(Protocol):
    """A part of a worker. `run` returns only after `stop` is set; whatever it raises ends the process."""

    @property
    def name(self) -> str: ...

    async def run(self, stop: asyncio.Event, /) -> None: ...


@runtime_checkable
class Readiness(Protocol):
    """A task that knows whether it can do its work just now."""

    @property
    def ready(self) -> bool: ...


class Every:
    """A task that calls `function` again and again, `seconds` after the last call ended.

    A call that fails is logged by its error's class and tried again; `fails_for` times in a row end the process, where
    a database or peer that is away does not count.
    """

    def __init__(
        self, name: str, seconds: float, function: Callable[[], Awaitable[object]], *, fails_for: int = 20
    ) -> None:
        self.name = name
        self._seconds = seconds
        self._function = function
        self._fails_for = fails_for

    async def run(self, stop: asyncio.Event) -> None:
        """Raises the last error after too many in a row."""
        failed = 0
        while not stop.is_set():
            try:
                await self._function()
                failed = 0
            except Exception as error:
                failed += not is_transient(error)
                _FAILED.labels(self.name, type(error).__name__).inc()
                _log.warning("background_failed", task=self.name, error=type(error).__name__)
                if failed >= self._fails_for:
                    raise
            await waited(stop, self._seconds)


class Timetable:
    """A task that calls `function` at every full `seconds` of the wall clock, with that time, whatever happened.

    A call that fails because a database or peer is away is tried again each second until the next is due, and then that
    one; what else it raises ends the process. `clock` gives seconds since 1970 and may be set back: no time is told
    before it has come. `wait` is as `waited`.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        function: Callable[[datetime], Awaitable[object]],
        *,
        clock: Callable[[], float] = time.time,
        wait: Callable[[asyncio.Event, float], Awaitable[bool]] = waited,
    ) -> None:
        self.name = name
        self._seconds = seconds
        self._function = function
        self._clock = clock
        self._wait = wait

    async def run(self, stop: asyncio.Event) -> None:
        """Raises what `function` raises, unless it is transient."""
        due = self._full() + self._seconds
        while not stop.is_set():
            while (early := due - self._clock()) > 0 and early <= self._seconds:
                if await self._wait(stop, early):
                    return
            while due <= self._clock() < due + self._seconds:
                try:
                    await self._function(datetime.fromtimestamp(due, UTC))
                    break
                except Exception as error:
                    if not is_transient(error):
                        raise
                    _log.warning("background_failed", task=self.name, error=type(error).__name__)
                if await self._wait(stop, 1.0):
                    return
            # What became due while a database was away is told now: waiting for the next would double the gap.
            due = full if (full := self._full()) > due else full + self._seconds

    def _full(self) -> float:
        """The full interval that has begun."""
        return self._clock() // self._seconds * self._seconds


class Listener:
    """A task that serves an ASGI application; `port` 0 takes a free one, told by `bound_port` once it listens."""

    def __init__(self, app: Any, *, host: str = "127.0.0.1", port: int, name: str = "listener") -> None:
        self.name = name
        self._host, self._port = host, port
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(DRAIN_S / 2),
            )
        )

    @property
    def ready(self) -> bool:
        return bool(self._server.started)

    @property
    def bound_port(self) -> int | None:
        """The port it listens on, or None before it does."""
        if not self._server.started:
            return None
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def run(self, stop: asyncio.Event) -> None:
        """Raises OSError when the port is taken."""
        # Bound here: a server that fails to bind would end the process on the spot, and nothing would be drained.
        bound = socket.create_server(
            (self._host, self._port), family=socket.AF_INET6 if ":" in self._host else socket.AF_INET
        )
        serving = asyncio.create_task(self._server.serve([bound]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._server.should_exit = True
            await serving
        finally:
            stopping.cancel()
            if not serving.done():
                serving.cancel()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The worker listens to signals for all its tasks; a server that took them would leave the others running.
        yield


async def run_worker(
    *,
    tasks: Sequence[Task],
    port: int | None,
    alarms: Callable[[], Sequence[str]] = tuple,
    host: str = "127.0.0.1",
    drain_seconds: float = DRAIN_S,
    stop: asyncio.Event | None = None,
) -> None:
    """Runs `tasks` until SIGTERM or SIGINT (or `stop`), then lets them finish what they have in hand.

    `/livez`, `/readyz` and `/metrics` are served on `port`; None where a task serves them itself (the gate). What
    `alarms` tells stands in `/readyz` for people to see; it makes no process unready, for care does not wait. A task
    that dies, or returns without being told to, stops the others and ends the process: raises SystemExit(1).
    """
    stopping = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):  # in a thread other than the main one
            loop.add_signal_handler(number, stopping.set)
    parts = list(tasks)
    if port is not None:
        parts.append(Listener(probes(parts, alarms), host=host, port=port, name="probes"))
    running = {asyncio.create_task(part.run(stopping), name=part.name): part for part in parts}
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait({told, *running}, return_when=asyncio.FIRST_COMPLETED)
    died = not stopping.is_set()
    stopping.set()
    told.cancel()
    _log.info("worker_stops", because="a task ended" if died else "told")
    _, late = await asyncio.wait(running, timeout=drain_seconds)
    for task in late:
        _log.warning("task_cancelled", task=task.get_name())
    await ended(late)
    for task, outcome in zip(running, await asyncio.gather(*running, return_exceptions=True), strict=True):
        if isinstance(outcome, Exception):
            died = True
            _log.error("task_died", task=task.get_name(), error=type(outcome).__name__)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):
            loop.remove_signal_handler(number)
    if died:
        raise SystemExit(1)


def probes(tasks: Sequence[Task], alarms: Callable[[], Sequence[str]] = tuple) -> Callable[..., Awaitable[None]]:
    """An ASGI application of three paths: `/livez`, `/readyz` (503 names what is not ready), `/metrics`."""

    async def answer(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
        if scope["type"] != "http":
            return
        status, kind, body = _answer(str(scope["path"]), tasks, alarms())
        headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def _answer(path: str, tasks: Sequence[Task], alarms: Sequence[str]) -> tuple[int, bytes, bytes]:
    if path == "/livez":
        return 200, b"application/json", b'{"status":"alive"}'
    if path == "/readyz":
        waiting = sorted(task.name for task in tasks if isinstance(task, Readiness) and not task.ready)
        found: dict[str, object] = {"status": "not ready" if waiting else "ready", "waiting_for": waiting}
        if alarms:
            found["alarms"] = list(alarms)
        return (503 if waiting else 200), b"application/json", json.dumps(found).encode()
    if path == "/metrics":
        return 200, b"text/plain; version=0.0.4; charset=utf-8", generate_latest()
    return 404, b"application/json", b'{"status":"not found"}'
