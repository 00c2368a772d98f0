"""One signed POST of one delivery, and how its answer is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from police_link.webhooks import messages
from police_link.webhooks.connection import Reply, Unsent

AGENT = "amanat-webhooks/1"


class Calls(Protocol):
    """What an attempt needs of `connection.Caller`."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is `delivered`, or one of a few constants. `gone`: the endpoint said that it wants no more (410)."""

    delivered: bool
    reason: str
    status: int | None = None
    retry_after_s: float | None = None
    gone: bool = False


async def attempt(
    caller: Calls, *, url: str, secret: str, delivery: UUID, body: str, challenge: str | None, now: datetime
) -> Outcome:
    """Sends one event. Any 2xx accepts it, but a handshake's must echo `challenge`. No answer raises."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        **messages.signed_headers(secret, delivery, now, body),
    }
    try:
        reply = await caller.post(url, headers, body.encode())
    except Unsent as unsent:
        return Outcome(False, unsent.reason)
    if 300 <= reply.status < 400:
        return Outcome(False, "redirect", reply.status)
    if not 200 <= reply.status < 300:
        return Outcome(False, "status", reply.status, _seconds(reply.retry_after), gone=reply.status == 410)
    if challenge is not None and (reply.cut or not messages.echoes(reply.body, challenge)):
        return Outcome(False, "challenge", reply.status)
    return Outcome(True, "delivered", reply.status)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After as seconds; its other form, a date, is passed over: strangers' clocks differ."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit() or len(retry_after) > 9:
        return None
    return float(retry_after)
