"""A visit to the page after a sign-in: a sealed text that the page sends back in the body of each request.

Nothing of it is kept, in no cookie, URL or storage. It is of one size whatever it opens; the harmless page has one too.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amanat.at_rest import Macs

IDLE = timedelta(minutes=10)
LONGEST = timedelta(hours=1)
FORM_LASTS = timedelta(hours=12)
"""A page with a form may lie open that long. Each form signs in once: a browser's "send again" opens nothing."""
NOTHING = bytes(32)
_NONCE, _DIGEST, _OF, _TIME = 12, 32, 32, 8


@dataclass(frozen=True)
class Visit:
    """What a visit opens: a claim, by its digest, or the harmless page; and what that claim was of (SHA-256)."""

    digest: bytes
    of: bytes
    since: datetime

    @property
    def harmless(self) -> bool:
        """Whether it opens nothing of anybody."""
        return self.digest == NOTHING

    def is_of(self, of: bytes) -> bool:
        """Whether the claim that it opened was of this: it follows no claim to another case."""
        return hashlib.sha256(of).digest() == self.of


class Visits:
    """Seals visits and forms under a key derived from the service's `Macs`."""

    def __init__(self, macs: Macs, randomness: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(macs.mac("my case", b"key of visits"))
        self._randomness = randomness

    def begin(self, digest: bytes | None, now: datetime, of: bytes = b"") -> str:
        """The visit after a sign-in, bound to what the claim is `of`; without a digest the harmless one, of the same
        size."""
        return self.go_on(Visit(digest or NOTHING, hashlib.sha256(of).digest(), now), now)

    def go_on(self, visit: Visit, now: datetime) -> str:
        """The same visit, idle from now."""
        return self._seal(b"visit", visit.digest + visit.of + _packed(visit.since) + _packed(now))

    def read(self, text: str, now: datetime) -> Visit | None:
        """The visit, unless it is none, too old, or was idle for too long."""
        plain = self._open(b"visit", text, _DIGEST + _OF + 2 * _TIME)
        if plain is None:
            return None
        since, last = _unpacked(plain[-2 * _TIME : -_TIME]), _unpacked(plain[-_TIME:])
        if now - last > IDLE or now - since > LONGEST:
            return None
        return Visit(plain[:_DIGEST], plain[_DIGEST : _DIGEST + _OF], since)

    def new_form(self, now: datetime) -> str:
        """What a page's form for signing in carries."""
        return self._seal(b"form", self._randomness(16) + _packed(now))

    def read_form(self, text: str, now: datetime) -> bytes | None:
        """16 bytes that name the form, unless it is none or too old."""
        plain = self._open(b"form", text, 16 + _TIME)
        if plain is None or now - _unpacked(plain[16:]) > FORM_LASTS:
            return None
        return plain[:16]

    def _seal(self, label: bytes, plain: bytes) -> str:
        nonce = self._randomness(_NONCE)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, label)).rstrip(b"=").decode()

    def _open(self, label: bytes, text: str, size: int) -> bytes | None:
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], label)
        except (binascii.Error, InvalidTag, ValueError):
            return None
        return plain if len(plain) == size else None


def _packed(at: datetime) -> bytes:
    return int(at.timestamp() * 1000).to_bytes(_TIME, "big")


def _unpacked(plain: bytes) -> datetime:
    return datetime.fromtimestamp(int.from_bytes(plain, "big") / 1000, UTC)
