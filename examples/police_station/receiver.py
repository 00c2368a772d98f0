"""A reporting centre's webhook receiver: verify, answer at once, do the work elsewhere.

    python receiver.py --port 9000

It needs the subscription's secret in WEBHOOK_SECRET, or in the file named by --secret-file, which `client.py subscribe`
writes. The handshake may come before that: it waits for the file, within the 10 s that an answer may take. In
production a web server with TLS stands in front of it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MOST = 16 * 1024
WAIT_S = 8


class Inbox:
    """What a station keeps of webhooks: their ids. A delivery may come more than once; its id tells."""

    def __init__(self) -> None:
        self.seen: set[str] = set()  # a real station keeps them in its database, with the referral

    def take(self, webhook_id: str, event: dict[str, Any]) -> None:
        if webhook_id in self.seen:
            return
        self.seen.add(webhook_id)
        if event["type"] == "referral.opened":
            # Code and link only. Whoever works on it pulls it: python client.py read CODE
            print("a referral arrived:", event["data"]["referral"], flush=True)


def answer(inbox: Inbox, secret: str | None, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
    """Status and JSON body for one request."""
    if secret is None:
        return 503, {"error": "no secret yet"}
    try:
        event = Webhook(secret).verify(body, headers)
    except (WebhookVerificationError, ValueError):
        return 401, {"error": "not signed with our secret, or too old"}
    if event["type"] == "endpoint.verification":
        return 200, {"challenge": event["data"]["challenge"]}
    inbox.take(headers["webhook-id"], event)
    return 200, {}


def serve(port: int, secret_file: Path | None) -> ThreadingHTTPServer:
    """A server on loopback; the caller runs and closes it."""
    inbox = Inbox()

    def secret() -> str | None:
        given = os.environ.get("WEBHOOK_SECRET")
        until = time.monotonic() + WAIT_S
        while not given and secret_file is not None and time.monotonic() < until:
            given = secret_file.read_text().strip() if secret_file.exists() else None
            time.sleep(0 if given else 0.05)
        return given or None

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("content-length") or 0), MOST))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said = answer(inbox, secret(), headers, body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing: paths and addresses need no log here."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--secret-file", type=Path, default=Path("webhook-secret"))
    given = parser.parse_args()
    with serve(given.port, given.secret_file) as server:
        print(f"listening on http://127.0.0.1:{given.port}/", flush=True)
        server.serve_forever()
