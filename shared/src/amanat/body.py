"""Bodies are looked at before anything parses them: size, type, encoding, depth, and JSON that means one thing only.

A body too large is refused before it is read (Content-Length) or as soon as it has grown too large (streamed).
JSON is then held to RFC 8259 and RFC 7493 (I-JSON): UTF-8, no duplicate names, no lone surrogates, no NaN or
Infinity, at most 32 levels. Two parsers that read one text differently would let a client show one thing and
store another.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amanat import problems
from amanat.errors import MalformedBody, Refused, TooLarge, WrongContentType

MEBIBYTE = 1024 * 1024
MAX_DEPTH = 32
_OFF_LOOP_ABOVE = 256 * 1024  # bytes; a larger body is checked in a thread, so that others are answered meanwhile
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


@dataclass(frozen=True)
class BodyRule:
    """What bodies an address takes: at most `limit` bytes, of one of these media types."""

    limit: int = MEBIBYTE
    media_types: frozenset[str] = field(default=frozenset({"application/json"}))


FHIR = BodyRule(limit=16 * MEBIBYTE, media_types=frozenset({"application/fhir+json", "application/json"}))


class BodyGuard:
    """ASGI middleware. `rules` maps path prefixes to rules, of which the longest that fits wins; else `default`."""

    def __init__(self, app: ASGIApp, rules: Mapping[str, BodyRule], default: BodyRule) -> None:
        self._app = app
        self._rules = sorted(rules.items(), key=lambda item: -len(item[0]))
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            body = await self._read(scope, headers, receive)
        except Refused as refused:
            answer = problems.render(scope, refused)
            answer.headers["Connection"] = "close"  # what is left of the body is not read
            await answer(scope, receive, send)
            return
        if body is None:  # the client went away while sending
            return
        await self._app(scope, _replay(body, receive), send)

    def _rule(self, path: str) -> BodyRule:
        for prefix, rule in self._rules:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                return rule
        return self._default

    async def _read(self, scope: Scope, headers: Headers, receive: Receive) -> bytes | None:
        rule = self._rule(scope["path"])
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > rule.limit:
            raise TooLarge
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > rule.limit:
                raise TooLarge
            chunks.append(chunk)
            more = message.get("more_body", False)
        body = b"".join(chunks)
        if body:
            await _accept(body, headers, rule)
        return body


async def _accept(body: bytes, headers: Headers, rule: BodyRule) -> None:
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    media_type = media_type.strip().lower()
    if media_type not in rule.media_types or headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongContentType
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if charset and charset[1].lower().replace("-", "") != "utf8":
        raise WrongContentType
    if media_type.endswith("json"):
        if len(body) > _OFF_LOOP_ABOVE:
            await asyncio.to_thread(check_json, body)
        else:
            check_json(body)


def check_json(body: bytes) -> None:
    """Raises MalformedBody with a constant detail."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody("the body is not UTF-8") from None
    _check_depth(body)
    try:
        value = json.loads(text, object_pairs_hook=_one_of_each, parse_constant=_no_constant, parse_float=_finite)
    except MalformedBody:
        raise
    except (ValueError, RecursionError):
        raise MalformedBody("the body is not JSON") from None
    if _SURROGATE.search(body):
        _check_surrogates(value)


def _check_depth(body: bytes) -> None:
    depth = 0
    for token in _TOKENS.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedBody(f"the body is nested deeper than {MAX_DEPTH} levels")
        elif first in b"]}":
            depth -= 1


def _one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedBody("an object holds one name twice")
    return found


def _no_constant(_: str) -> float:
    raise MalformedBody("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedBody("a number is too large")
    return number


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedBody("a text holds half of a surrogate pair") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = True

    async def again() -> Message:
        nonlocal pending
        if pending:
            pending = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
