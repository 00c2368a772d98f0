"""What a webhook says, and its signature by Standard Webhooks 1.0. Thin: a code and a link (law 9)."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from standardwebhooks.webhooks import Webhook

from amanat.at_rest import Macs

HANDSHAKE = "endpoint.verification"
OPENED = "referral.opened"
SECRET_BYTES = 32


def new_secret(randomness: Callable[[int], bytes]) -> str:
    """`whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(randomness(SECRET_BYTES)).decode()


def challenge(macs: Macs, delivery: UUID) -> str:
    """64 hexadecimal digits that only we can tell of this delivery: the same at each attempt, and stored nowhere."""
    return macs.mac("webhook-challenge", delivery.bytes).hex()


def handshake_body(challenge: str, created_at: datetime) -> str:
    """The event that an endpoint answers with 2xx and `{"challenge": …}`."""
    return _body(HANDSHAKE, created_at, {"challenge": challenge})


def opened_body(referral: str, public_url: str, created_at: datetime) -> str:
    """The event that a referral arrived. The link needs a token like any other request."""
    url = f"{public_url.rstrip('/')}/v1/referrals/{referral}"
    return _body(OPENED, created_at, {"referral": referral, "url": url})


def _body(kind: str, at: datetime, data: dict[str, str]) -> str:
    timestamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, separators=(",", ":"))


def signed_headers(secret: str, delivery: UUID, now: datetime, body: str) -> dict[str, str]:
    """`webhook-id` is the delivery's, `webhook-timestamp` the attempt's."""
    at = now.astimezone(UTC)  # the library takes any time for UTC
    return {
        "webhook-id": str(delivery),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(delivery), at, body),
    }


def echoes(body: bytes, challenge: str) -> bool:
    """Whether an answer's body is a JSON object whose `challenge` is the one that was sent."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    echoed = answer.get("challenge") if isinstance(answer, dict) else None
    return isinstance(echoed, str) and hmac.compare_digest(echoed.encode("utf-8", "replace"), challenge.encode())
