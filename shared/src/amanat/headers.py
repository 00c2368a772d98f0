"""Request headers that clients of `/v1` know, as parameter types of routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header

from amanat.errors import PreconditionRequired
from amanat.idempotency import check_key

KEY_PATTERN = "^[!-~]{1,255}$"
"""What `check_key` takes, as the OpenAPI document says it."""


async def _idempotency_key(
    value: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 255 visible ASCII characters, required, kept per client",
            json_schema_extra={"x-needed": KEY_PATTERN},
        ),
    ] = None,
) -> str:
    return check_key(value)


async def _if_match(
    value: Annotated[str | None, Header(alias="If-Match", json_schema_extra={"x-needed": ""})] = None,
) -> str:
    if not value:
        raise PreconditionRequired
    return value


IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
"""The Idempotency-Key of a creating POST: 400 when it is missing or not of its syntax."""
IfMatch = Annotated[str, Depends(_if_match)]
"""The If-Match of a change: 428 when it is missing. Compare with `matches`, and refuse with PreconditionFailed."""
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]


def matches(header: str | None, etag: str, *, weak: bool = False) -> bool:
    """Whether an If-Match (strong) or If-None-Match (`weak=True`) header names this ETag (RFC 9110, 8.8.3.2)."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    named = [tag.strip() for tag in header.split(",")]
    return etag in ([tag.removeprefix("W/") for tag in named] if weak else named)
