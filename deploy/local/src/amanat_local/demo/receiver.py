"""The reporting centre's webhook receiver: a plain HTTP server that verifies with the `standardwebhooks` library."""

from __future__ import annotations

import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver:
    """Listens on loopback until closed. `secret` is set once the subscription has told it."""

    def __init__(self) -> None:
        self.secret: str | None = None
        self.arrived: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._known = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/amanat"

    def knows(self, secret: str) -> None:
        """From here on signatures can be verified."""
        self.secret = secret
        self._known.set()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        # The handshake may come before the subscriber has stored its secret: it waits for it, within the 10 s allowed.
        self._known.wait(8)
        event = self._verified(body, dict(request.headers))
        if event is None:
            self.refused += 1
            request.send_response(400)
            request.end_headers()
            return
        answer = b"{}"
        if event["type"] == "endpoint.verification":
            answer = json.dumps({"challenge": event["data"]["challenge"]}).encode()
        else:
            self.arrived.put((time.monotonic(), event))
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _verified(self, body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
        if self.secret is None:
            return None
        try:
            event: dict[str, Any] = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            return None
        return event
