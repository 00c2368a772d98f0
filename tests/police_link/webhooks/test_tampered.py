"""Webhooks changed on their way, sent late, sent again, or signed by another: a receiver as ours in examples/ takes
each genuine one once and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from counting import Count
from standardwebhooks.webhooks import Webhook

from .conftest import CLIFTON, Station
from .receivers import OPENED, Request
from .test_example import load

pytestmark = pytest.mark.attack
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
LEAST = 60


def altered(request: Request, secret: str, others_secret: str) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """(what was done, headers, body) of a delivery after an attacker had it in hand."""
    headers, body = {name: request.headers[name] for name in SIGNED}, request.body
    for at in range(0, len(body), max(1, len(body) // 40)):
        yield f"byte {at}", headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    yield from (("cut", headers, body[:-1]), ("longer", headers, body + b" "), ("nothing", headers, b""))
    now = int(headers["webhook-timestamp"])
    for shift in (-1, 1, -86_400, 86_400, 10**9):
        yield f"time {shift}", headers | {"webhook-timestamp": str(now + shift)}, body
    for stamp in ("", "now", "-1", "1e9", str(2**70)):
        yield f"time {stamp}", headers | {"webhook-timestamp": stamp}, body
    for other in ("", "other", headers["webhook-id"].upper(), headers["webhook-id"] + "0"):
        yield f"id {other}", headers | {"webhook-id": other}, body
    version, _, signature = headers["webhook-signature"].partition(",")
    for forged in (
        "", signature, f"v2,{signature}", f"v1a,{signature}", f"{version},", f"{version},{signature[:-4]}",
        f"{version},{base64.b64encode(bytes(32)).decode()}", f"{version},{signature[::-1]}", f"{version};{signature}",
    ):  # fmt: skip
        yield f"signature {forged}", headers | {"webhook-signature": forged}, body
    for name in SIGNED:
        yield f"no {name}", {each: value for each, value in headers.items() if each != name}, body
    at = datetime.fromtimestamp(now, UTC)
    for what, key, moment in (
        ("another's secret", others_secret, at),
        ("no secret", "whsec_" + base64.b64encode(bytes(32)).decode(), at),
        ("yesterday", secret, at - timedelta(days=1)),
        ("tomorrow", secret, at + timedelta(days=1)),
    ):
        signed = Webhook(key).sign(headers["webhook-id"], moment, body.decode())
        stamp = str(int(moment.timestamp()))
        yield what, headers | {"webhook-timestamp": stamp, "webhook-signature": signed}, body


async def test_what_was_changed_sent_late_or_signed_by_another_is_refused_and_the_rest_taken_once(
    station: Station, count: Count, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await station.subscribed()
    others = await station.subscribed(CLIFTON, station.receiver.url("/clifton"))
    code = await station.referral()
    await station.send()
    [request] = [each for each in station.receiver.events(OPENED) if each.event["data"]["referral"] == code]
    receiver: Any = load("receiver")
    inbox, taken = receiver.Inbox(), []
    attacks = list(altered(request, made["secret"], others["secret"]))
    for what, headers, body in attacks:
        status, _ = receiver.answer(inbox, made["secret"], headers, body)
        if status != 401:
            taken.append((what, status))
    assert taken == []
    assert inbox.seen == set()
    for _ in range(5):
        assert receiver.answer(inbox, made["secret"], dict(request.headers), request.body)[0] == 200
    assert capsys.readouterr().out.count(code) == 1
    assert len(attacks) >= LEAST
    count("webhooks tampered with or sent again", len(attacks) + 4)
