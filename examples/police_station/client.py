"""A reporting centre's client: subscribe, read the feed, pull a referral, acknowledge it.

    export AMANAT_TOKEN=$(../../.venv/bin/amanat token station-saddar-system --folder ../../.amanat)
    python client.py subscribe http://127.0.0.1:9000/
    python client.py feed
    python client.py read P-XXXX-XXXX-X
    python client.py acknowledge P-XXXX-XXXX-X

AMANAT_POLICE_LINK is the service's address. A real station gets its tokens itself, by client credentials with
`private_key_jwt`, and a new one before the old one ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

SECRET_FILE = Path("webhook-secret")
WAITS_S = (0.5, 1, 2, 5)


class Station:
    """One reporting centre's connection to police-link."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def subscribe(self, url: str) -> dict[str, Any]:
        """A new subscription, pending until its endpoint echoed the challenge. `secret` verifies its webhooks."""
        return self._create("/v1/subscriptions", {"url": url})

    def subscription(self, subscription: str) -> dict[str, Any]:
        """How the endpoint fares."""
        return self._get(f"/v1/subscriptions/{subscription}")

    def replay(self, subscription: str, since: str | None = None) -> dict[str, Any]:
        """Resumes a paused subscription; has what came since then sent again. May be repeated as it is."""
        path = f"/v1/subscriptions/{subscription}/replay"
        return _body(self._patiently(lambda: self.http.post(path, json={"since": since})))

    def feed(self, cursor: str | None = None) -> Iterator[dict[str, Any]]:
        """The referrals after the cursor, oldest first: for who cannot receive, and for what a receiver missed."""
        while True:
            page = self._get("/v1/referrals", **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def read(self, code: str) -> dict[str, Any]:
        """What she shares with this station just now. 404 when that is nothing: also when it no longer is."""
        return self._get(f"/v1/referrals/{code}")

    def acknowledge(self, code: str, record: dict[str, Any] | None = None) -> dict[str, Any]:
        """Takes a referral up."""
        return self._create(f"/v1/referrals/{code}/acknowledgement", record or {})

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return _body(self._patiently(lambda: self.http.get(path, params=query)))

    def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        # One key for all attempts: whatever is lost on the way, it takes effect once.
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return _body(self._patiently(lambda: self.http.post(path, json=body, headers=key)))

    @staticmethod
    def _patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Again after a while when the connection broke, or the answer is 429 or 503."""
        for wait in WAITS_S:
            try:
                answer = ask()
            except httpx.TransportError:
                time.sleep(wait)
                continue
            if answer.status_code not in {429, 503}:
                return answer
            time.sleep(float(answer.headers.get("retry-after", wait)))
        return ask()


def _body(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        problem = answer.json()
        raise SystemExit(f"{answer.status_code} {problem['code']}: {problem['title']} (trace {problem['trace_id']})")
    found: dict[str, Any] = answer.json()
    return found


def main(arguments: list[str]) -> None:
    """Exit status 1, with the problem's title, when it was refused."""
    if len(arguments) < 1:
        raise SystemExit(__doc__)
    token = os.environ.get("AMANAT_TOKEN")
    if not token:
        raise SystemExit("AMANAT_TOKEN is not set")
    station = Station(os.environ.get("AMANAT_POLICE_LINK", "http://127.0.0.1:7703"), token)
    command, *rest = arguments
    if command == "subscribe":
        made = station.subscribe(*rest)
        SECRET_FILE.touch(mode=0o600)
        SECRET_FILE.write_text(made.pop("secret"))
        print(json.dumps(made, indent=2))
    elif command == "feed":
        for each in station.feed(*rest):
            print(json.dumps(each))
    elif command in {"subscription", "replay", "read", "acknowledge"}:
        print(json.dumps(getattr(station, command)(*rest), indent=2, ensure_ascii=False))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
