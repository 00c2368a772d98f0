"""A TCP proxy that loses, delays, resets and truncates; each as often as chance says, while its `mood` is not calm."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""PostgreSQL's answer to COMMIT (protocol 3.0, CommandComplete)."""
CHUNK = 1 << 16


class Mood(StrEnum):
    """What happens to what passes."""

    CALM = "passes"
    SLOW = "is delayed"
    RESET = "is reset"
    CUT_SHORT = "is cut short"
    COMMIT_LOST = "loses the answer to its COMMIT"
    CLOSED = "finds nobody"


OFTEN = {Mood.SLOW: 0.5, Mood.RESET: 0.01, Mood.CUT_SHORT: 0.01, Mood.COMMIT_LOST: 0.05}
"""Of the chunks that pass, or of the commits."""
LONGEST_DELAY_S = 0.05


class Proxy:
    """Between clients and 127.0.0.1:`to`, on a port of its own and in a thread of its own."""

    def __init__(self, to: int, chance: random.Random) -> None:
        self.mood = Mood.CALM
        self.happened: Counter[Mood] = Counter()
        self._to, self._chance = to, chance
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cuts every connection and ends."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Cuts every connection that is open now."""
        self._loop.call_soon_threadsafe(self._cut)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._between, sock=self._listening))
        self._loop.run_forever()
        self._cut()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mood is Mood.CLOSED:
            self.happened[Mood.CLOSED] += 1
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass(reader, back, self._ask), self._pass(there, writer, self._answer))
        except OSError:
            pass
        finally:
            for each in (writer, back):
                _reset(each)
                self._writers.discard(each)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, strikes: Callable[[bytes], Mood | None]
    ) -> None:
        while chunk := await reader.read(CHUNK):
            struck = strikes(chunk)
            if struck is not None:
                self.happened[struck] += 1
            if struck is Mood.SLOW:
                await asyncio.sleep(self._chance.uniform(0, LONGEST_DELAY_S))
            elif struck is Mood.CUT_SHORT:
                writer.write(chunk[: len(chunk) // 2])
                await writer.drain()
                raise ConnectionResetError
            elif struck is not None:
                raise ConnectionResetError
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError  # one side has ended, and so does the other

    def _ask(self, chunk: bytes) -> Mood | None:
        return None if self.mood is Mood.COMMIT_LOST else self._by_chance()

    def _answer(self, chunk: bytes) -> Mood | None:
        if self.mood is Mood.COMMIT_LOST and COMMITTED not in chunk:
            return None
        return self._by_chance()

    def _by_chance(self) -> Mood | None:
        return self.mood if self._chance.random() < OFTEN.get(self.mood, 0) else None


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: what is under way is lost."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
