"""Clients that cost the machine little: prepared requests over kept connections, one at a time on each."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from bench.figures import quantile

Making = Callable[[], bytes]
"""Makes the next request, whole as it goes over the wire."""


class Refused(AssertionError):
    """An answer that a measurement cannot count."""


@dataclass(frozen=True)
class Answer:
    """Status and body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Connection(asyncio.Protocol):
    """One kept HTTP/1.1 connection: a request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._answered: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by name

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("closed before the answer"))

    def on_body(self, data: bytes) -> None:
        """As httptools calls it."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """As httptools calls it."""
        answer, self._body = Answer(self._parser.get_status_code(), b"".join(self._body)), []
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(answer)

    async def ask(self, request: bytes) -> Answer:
        """Sends and waits. Raises ConnectionResetError."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    @property
    def closed(self) -> bool:
        """Whether the server has closed it, or we."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Closes it."""
        if self._transport is not None:
            self._transport.close()


class Pool:
    """As many connections as are needed at once; a server closes those that were idle for long."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._free: list[Connection] = []

    async def ask(self, request: bytes) -> Answer:
        """Sends over a connection that nobody uses, and waits."""
        connection = self._free.pop() if self._free else None
        while connection is not None and connection.closed:
            connection = self._free.pop() if self._free else None
        if connection is None:
            connection = await _connection(self._base)
        answer = await connection.ask(request)
        self._free.append(connection)
        return answer

    def close(self) -> None:
        """Closes all."""
        for connection in self._free:
            connection.close()


async def _connection(base: str) -> Connection:
    at = urlsplit(base)
    assert at.hostname
    assert at.port
    return (await asyncio.get_running_loop().create_connection(Connection, at.hostname, at.port))[1]


@asynccontextmanager
async def connected(base: str, count: int = 1) -> AsyncIterator[list[Connection]]:
    """So many open connections to the server at `base`."""
    made = [await _connection(base) for _ in range(count)]
    try:
        yield made
    finally:
        for connection in made:
            connection.close()


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def posts(path: str, bearer: str, body: bytes, content_type: str = "application/json") -> Making:
    """Makes POSTs, each with an idempotency key of its own; `{run}` in the body stands for a number of its own, too."""
    started = time.time_ns()
    numbers: Iterator[int] = itertools.count()
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": content_type}

    def make() -> bytes:
        number = next(numbers)
        key = {"Idempotency-Key": f"bench-{started}-{number}"}
        return request("POST", path, headers | key, body.replace(b"{run}", b"%07d" % (number % 10**7)))

    return make


@dataclass(frozen=True)
class Load:
    """What a closed loop saw: answers a second, and how long each took, in milliseconds."""

    rate: float
    times: list[float]

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return quantile(self.times, 50)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return quantile(self.times, 99)


async def closed_loop(
    base: str,
    making: Making,
    connections: int,
    seconds: float,
    *,
    status: int,
    answers: list[Answer] | None = None,
    at_most: int | None = None,
) -> Load:
    """Each connection asks again as soon as it is answered, for so long or until `at_most` were asked.

    Raises Refused for another status than `status`: a refusal is no throughput.
    """
    times: list[float] = []
    left = itertools.count(1)
    async with connected(base, connections) as open_ones:
        began = time.perf_counter()

        async def client(connection: Connection) -> None:
            while (now := time.perf_counter()) - began < seconds:
                if at_most is not None and next(left) > at_most:
                    return
                answer = await connection.ask(making())
                if answer.status != status:
                    raise Refused(f"{answer.status}: {answer.body[:300]!r}")
                times.append((time.perf_counter() - now) * 1000)
                if answers is not None:
                    answers.append(answer)

        async with asyncio.TaskGroup() as clients:
            for connection in open_ones:
                clients.create_task(client(connection))
        took = time.perf_counter() - began
    return Load(len(times) / took, times)


async def open_loop(rate: float, count: int, act: Callable[[int], Awaitable[None]]) -> None:
    """Begins `act(number)` `count` times, `rate` a second, whether those before have ended or not; waits for all."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as acting:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            acting.create_task(_awaited(act(number)))


async def _awaited(acting: Awaitable[None]) -> None:
    await acting
