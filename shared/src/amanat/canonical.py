"""Canonical JSON (RFC 8785): the one spelling of a value that is hashed, signed or bound to a place."""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Any

import rfc8785

_EXACT = 2**53 - 1
"""The largest integer that RFC 8785 can spell."""


class _NotPlain(Exception):
    """Something that only the library is trusted to spell, or to refuse."""


def dumps(value: Any) -> bytes:
    """What `rfc8785.dumps` gives, and what it raises.

    Most of what is hashed here are texts under ASCII names: Python's own encoder writes such a text as the RFC wants
    it, and of these the same bytes are made in a third of the time.
    """
    try:
        return _plain(value).encode()
    except (_NotPlain, UnicodeEncodeError):  # half a character cannot be encoded
        return rfc8785.dumps(value)


def _plain(value: Any) -> str:
    """Raises _NotPlain."""
    if isinstance(value, str):  # names of tables and of categories are texts of a kind of their own
        return encode_basestring(value)
    kind = type(value)
    if kind is dict:
        # Code points sort ASCII names as UTF-16, which the standard asks for, does; others they may not.
        if not all(type(name) is str and name.isascii() for name in value):
            raise _NotPlain
        return f"{{{','.join([f'{encode_basestring(name)}:{_plain(value[name])}' for name in sorted(value)])}}}"
    if kind is list or kind is tuple:
        return f"[{','.join(map(_plain, value))}]"
    if kind is int and -_EXACT <= value <= _EXACT:
        return str(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    raise _NotPlain
