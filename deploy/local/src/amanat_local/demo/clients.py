"""The clients of the story: each knows its base URL and its own token, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx

from amanat_local import tokens
from amanat_local.demo.telling import Teller

WAIT_S = 20.0


class NotAsTold(AssertionError):
    """The story cannot go on."""


class Client:
    """One organisation's system, or one person there."""

    def __init__(self, teller: Teller, name: str, base: str, info: dict[str, Any]) -> None:
        self.name = name
        self.base = base
        self._teller = teller
        self._info = info
        self._http = httpx.Client(base_url=base, timeout=20)
        self._token = ""
        self._token_at = 0.0

    def get(self, path: str, *, quiet: bool = False, **headers: str) -> httpx.Response:
        """GET with this client's token."""
        return self._send("GET", path, None, headers, quiet)

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        quiet: bool = False,
        keyed: bool = True,
        **headers: str,
    ) -> httpx.Response:
        """POST with this client's token and, unless told otherwise, an idempotency key of its own."""
        headers = {"Content-Type": content_type, **headers}
        if keyed:
            headers.setdefault("Idempotency-Key", str(uuid4()))
        return self._send("POST", path, body, headers, quiet)

    def delete(self, path: str) -> httpx.Response:
        """DELETE with this client's token."""
        return self._send("DELETE", path, None, {}, False)

    def until(
        self, path: str, good: Callable[[httpx.Response], bool], what: str, within_s: float = WAIT_S
    ) -> httpx.Response:
        """Asks again, ever more slowly, until the answer is good. Raises NotAsTold after a while."""
        deadline, pause = time.monotonic() + within_s, 0.02
        while True:
            answer = self.get(path, quiet=True)
            if good(answer):
                return answer
            if time.monotonic() > deadline:
                raise NotAsTold(f"{what}: not within {within_s:.0f} s (last status {answer.status_code})")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str], quiet: bool) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._bearer()}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        began = time.perf_counter()
        if isinstance(body, bytes):
            answer = self._http.request(method, path, content=body, headers=headers)
        elif body is None:
            headers.pop("Content-Type", None)
            answer = self._http.request(method, path, headers=headers)
        else:
            answer = self._http.request(method, path, json=body, headers=headers)
        if not quiet:
            took = (time.perf_counter() - began) * 1000
            self._teller.call(self.name, method, path.split("?", maxsplit=1)[0], answer.status_code, took)
        return answer

    def _bearer(self) -> str:
        # A token lives five minutes; a long look around must not end with 401.
        if time.monotonic() - self._token_at > 200:
            self._token = tokens.token(self._info, self.name)
            self._token_at = time.monotonic()
        return self._token


def whole(summary: httpx.Response) -> bool:
    """Whether the partner's summary holds all that is on its way to it: each piece replaces the one before."""
    parts = summary.json().get("parts", {})
    kinds = {name: [record["record"] for record in records] for name, records in parts.items()}
    laboratory = kinds.get("laboratory", [])
    return (
        {"identity", "incident"} <= parts.keys()
        and "fir" in kinds.get("investigation", [])
        and laboratory.count("custody_half") == 4
        and "laboratory_report" in laboratory
    )
