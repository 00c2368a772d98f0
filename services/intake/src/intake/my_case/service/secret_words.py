"""PINs and code words: an HMAC under a pepper that is not in the database, then Argon2id; few at once.

Each hash is bound to the claim's code and to the case whose page it opens: who can write to the database cannot put a
hash of their own PIN in the place of hers, nor a claim of their own before her case. Argon2 needs memory and time, so
that only a few run at once, a few more wait, and the rest is told to come again, whatever was asked.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from amanat.at_rest import Macs
from amanat.errors import Unavailable

Kind = Literal["pin", "duress", "code word"]
SALT_BYTES = 16
AT_ONCE, WAITING = 2, 20


def bound_to(digest: bytes, tenant: str, case: str) -> bytes:
    """What a claim's words, and the visits that it opens, belong to: its code's digest (32 bytes), cell and case."""
    return digest + b"\0".join((tenant.encode(), case.encode()))


class Turns:
    """Lets `at_once` in; up to `waiting` more wait. Raises Unavailable for those beyond, before anything is done."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._room, self._waiting = waiting, 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self._free.locked() and self._waiting >= self._room:
            raise Unavailable(retry_after=3)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


class SecretWords:
    """Hashes and compares. `pepper` keys the HMACs; `passes`, `memory_kib`, `lanes` are Argon2id's."""

    def __init__(
        self, pepper: Macs, *, passes: int, memory_kib: int, lanes: int, randomness: Callable[[int], bytes]
    ) -> None:
        self._pepper = pepper
        self._randomness = randomness
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self.nobodys = self.hash("pin", b"", randomness(SALT_BYTES).hex())
        """A hash that nothing matches, of the same parameters: an unknown code costs what a known one does."""

    def __repr__(self) -> str:
        return "SecretWords()"

    def hash(self, kind: Kind, of: bytes, word: str) -> str:
        """A PHC string. Takes as long as Argon2 does: call it in a thread."""
        return self._argon2.hash(self._peppered(kind, of, word), salt=self._randomness(SALT_BYTES))

    def matches(self, kind: Kind, of: bytes, word: str, hashed: str) -> bool:
        """Whether `hashed` is of this word. Takes as long as Argon2 does, whether or not."""
        try:
            return self._argon2.verify(hashed, self._peppered(kind, of, word))
        except (VerificationError, InvalidHashError):
            return False

    def none(self, kind: Kind, of: bytes) -> str:
        """A hash that nothing matches, kept where she chose no word: the table does not tell who chose one."""
        return self.hash(kind, of, self._randomness(32).hex())

    def _peppered(self, kind: Kind, of: bytes, word: str) -> bytes:
        return self._pepper.mac(kind, of + b"\0" + word.encode("utf-8", "surrogatepass"))
