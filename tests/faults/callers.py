"""Clients that remember what must hold no canary: every answer's headers, and the bodies of refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx

from amanat_local import tokens

WAIT_S = 30.0


class Heard:
    """What came back over HTTP, whoever asked."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, bytes]] = []
        self.statuses: list[int] = []

    def note(self, answer: httpx.Response) -> None:
        """Keeps an answer's headers and, of a refusal, its body."""
        answer.read()
        route = f"{answer.request.method} {answer.status_code}"
        self.statuses.append(answer.status_code)
        self.pieces.append((f"headers {route}", b"\n".join(name + b": " + value for name, value in answer.headers.raw)))
        if answer.status_code >= 400:
            self.pieces.append((f"errors {route}", answer.content))

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self.pieces)


class Caller:
    """One organisation's system, or one person there, with a token; without a name she herself, who has none."""

    def __init__(self, info: dict[str, Any], name: str | None, heard: Heard) -> None:
        known = info["clients"] | info["users"]
        base = info["services"][known[name]["agency"] if name else "intake"]
        self.http = httpx.Client(base_url=base, timeout=30, event_hooks={"response": [heard.note]})
        if name:
            self.http.headers["Authorization"] = f"Bearer {tokens.token(info, name)}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        """GET."""
        return self.http.get(path, headers=headers)

    def post(self, path: str, body: Any, *, expect: int | None = None, **headers: str) -> httpx.Response:
        """POST of JSON, or of bytes as they are, under an idempotency key of its own unless one is given."""
        sent = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = self.http.post(path, headers=sent, **content)
        if expect is not None:
            assert answer.status_code == expect, f"POST {path}: {answer.status_code} {answer.text}"
        return answer

    def until(self, path: str, good: Callable[[httpx.Response], bool]) -> httpx.Response:
        """Asks until the answer is good. Raises AssertionError after a while."""
        deadline = time.monotonic() + WAIT_S
        while not good(answer := self.get(path)):
            assert time.monotonic() < deadline, f"GET {path}: still {answer.status_code} {answer.text[:500]}"
            time.sleep(0.05)
        return answer

    def close(self) -> None:
        """Closes its connections."""
        self.http.close()
