"""Pages of a list: an opaque cursor, a Link header to the next, 1 to 200 items.

A cursor is AES-SIV (RFC 5297) over the position, with the list it belongs to as associated data: it authenticates, as
an HMAC would, and besides hides the position, which counts other organisations' arrivals too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from pydantic import Field

from amanat.errors import BadCursor

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
"""The `limit` parameter of a list: `limit: Annotated[Limit, Query()] = DEFAULT_LIMIT`."""

Position = tuple[str | int, ...]


class _Macs(Protocol):
    def mac(self, label: str, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next` is the cursor of the page after this one; None at the end."""

    items: Sequence[T]
    next: str | None


class Cursors:
    """Makes and reads cursors under a key derived from the service's `amanat.at_rest.Macs`."""

    def __init__(self, macs: _Macs) -> None:
        self._cipher = AESSIV(macs.mac("cursor", b"key, encryption half") + macs.mac("cursor", b"key, SIV half"))

    def encode(self, position: Position, *, scope: str) -> str:
        """`scope` names the list: the route, its filters and the asking tenant. A cursor is good there alone."""
        plain = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._cipher.encrypt(plain, [scope.encode()])).rstrip(b"=").decode()

    def decode(self, cursor: str, *, scope: str) -> Position:
        """Raises BadCursor (422) for anything that `encode` did not give out for this scope."""
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            if not cursor or len(cursor) > 1000:
                raise BadCursor
            plain = self._cipher.decrypt(sealed, [scope.encode()])
        except (InvalidTag, binascii.Error, ValueError):
            raise BadCursor from None
        return tuple(json.loads(plain))


def link_header(path: str, *, cursor: str | None, limit: int, **filters: str) -> dict[str, str]:
    """`Link: <path?cursor=…>; rel="next"` (RFC 8288), or nothing at the end of the list.

    `filters` are repeated in the link; they must not be personal, for a URL must not be (law 9).
    """
    if cursor is None:
        return {}
    return {"Link": f'<{path}?{urlencode({**filters, "cursor": cursor, "limit": limit})}>; rel="next"'}


def page(rows: Sequence[T], *, limit: int, position: Sequence[Position], cursors: Cursors, scope: str) -> Page[T]:
    """Of `limit + 1` rows asked for, the first `limit`, and a cursor if there was one more.

    `position` holds each row's place in the list's order.
    """
    if len(rows) <= limit:
        return Page(items=rows, next=None)
    return Page(items=rows[:limit], next=cursors.encode(position[limit - 1], scope=scope))
