"""A coroutine that is interrupted where it waits: cancelled, or abandoned as a killed process abandons it.

`sweep` counts an operation's suspension points as it goes: it interrupts the first, then the second, and so on, until
the operation ends before it could be interrupted. What an interrupted one left, and what its repetition then makes of
it, is the caller's to judge.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import event

from amanat.db import Database

MOST = 400
"""Points of one operation: beyond it something waits in a circle."""
_abandoned: list[object] = []
"""Kept, for a coroutine that is collected would run its last wishes, which a killed one does not."""


class How(StrEnum):
    """How an operation is interrupted."""

    CANCELLED = "cancelled"
    KILLED = "killed"


class Killed(BaseException):
    """Past every `except Exception`; raised outside the operation, which goes no further."""


@dataclass
class Process:
    """What a process that may be killed holds: the databases whose connections end with it."""

    databases: tuple[Database, ...]
    _connections: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begin()  # with no connection of before, which would outlive it unseen

    def die(self) -> None:
        """Every connection is cut, and nobody says goodbye; a new process has new ones."""
        for connection in self._connections:
            connection.driver_connection.terminate()
        self._connections.clear()
        self._begin()

    def _begin(self) -> None:
        for database in self.databases:
            again = Database(database.url, application_name=database.application_name)
            _abandoned.append(database.engine)
            database.engine, database._sessions = again.engine, again._sessions
            database._notifying = None
            event.listen(
                database.engine.sync_engine.pool, "connect", lambda connection, _: self._connections.append(connection)
            )


class _Interrupted:
    """Awaits a coroutine; at its nth suspension, and once only, does `strike`."""

    def __init__(self, operation: Coroutine[Any, Any, Any], at: int, strike: Callable[[], None]) -> None:
        self._operation, self._at, self._strike = operation, at, strike
        self.struck = False

    def __await__(self) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        number = 0
        while True:
            try:
                waits_for = self._operation.throw(thrown) if thrown else self._operation.send(None)
            except StopIteration as over:
                return over.value
            thrown, number = None, number + 1
            if number == self._at:
                self.struck = True
                self._strike()
            try:
                yield waits_for
            except BaseException as raised:
                thrown = raised


async def interrupted(operation: Coroutine[Any, Any, Any], at: int, how: How, process: Process) -> bool:
    """Runs an operation up to its nth suspension. False if it ended before."""

    def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    def kill() -> None:
        process.die()
        _abandoned.append(operation)
        raise Killed

    stepped = _Interrupted(operation, at, cancel if how is How.CANCELLED else kill)

    async def run() -> None:
        with contextlib.suppress(Killed):
            await stepped

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if not stepped.struck:
        task.result()
    elif not task.cancelled():
        task.exception()  # whatever it made of it is its own affair: what counts is what is there afterwards
    return stepped.struck


async def sweep(
    make: Callable[[int], Coroutine[Any, Any, Any]],
    judge: Callable[[int], Awaitable[None]],
    how: How,
    process: Process,
    *,
    prepare: Callable[[int], Awaitable[None]] | None = None,
) -> int:
    """Interrupts `make(1)` at its first suspension, `make(2)` at its second, …, each prepared without interruption
    before and judged after; how many suspensions there were."""
    for number in range(1, MOST):
        if prepare is not None:
            await prepare(number)
        if not await interrupted(make(number), number, how, process):
            return number - 1
        await judge(number)
    raise AssertionError(f"more than {MOST} suspensions")
