"""Clients as serious ones are: each act has one Idempotency-Key, and is sent again until somebody answers it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from amanat_local import tokens

PATIENCE_S = 150.0
"""How long one act is sent again: longer than the slowest server takes to come back on a busy machine."""
TOKEN_S = 240.0


class GaveUp(AssertionError):
    """The story cannot go on; the text names the step and the last status."""


class Patient:
    """One organisation's system. `seen` counts the answers that showed it something, by what was read.

    A token is kept for its life: that the issuer is away ends no story. `run` makes the keys this telling's own;
    `step` is called before each thing it does.
    """

    def __init__(self, info: Mapping[str, Any], name: str, base: str, run: str, step: Callable[[], None]) -> None:
        self.name = name
        self.seen: Counter[str] = Counter()
        self.again = 0
        self._info = info
        self._run = run
        self._step = step
        self._http = httpx.Client(base_url=base, timeout=20)
        self._token, self._token_at = "", float("-inf")
        self._bearer()

    def close(self) -> None:
        self._http.close()

    def forget_token(self) -> None:
        """The next request needs the issuer."""
        self._token_at = float("-inf")

    def post(self, act: str, path: str, body: Any, expect: int, *, media_type: str = "application/json") -> Any:
        """Posts until answered; the act's name is its key. FHIR clients send none. Raises GaveUp."""
        self._step()
        headers = {"Content-Type": media_type}
        if media_type == "application/json":
            headers["Idempotency-Key"] = f"{self._run}/{act}".replace(" ", "-")
        answer = self._until_answered("POST", path, act, headers=headers, **_content(body))
        if answer.status_code != expect:
            raise GaveUp(f"{act}: {answer.status_code} instead of {expect}: {answer.text[:200]}")
        return answer.json()

    def get(self, path: str, of: str, **headers: str) -> httpx.Response:
        """Reads until answered; `of` is what a look at it is on record of."""
        answer = self._until_answered("GET", path, path, headers=headers)
        if answer.status_code == 200:
            self.seen[of] += 1
        return answer

    def delete(self, path: str) -> None:
        """Removes; that it is gone already is as good. Raises GaveUp."""
        answer = self._until_answered("DELETE", path, path)
        if answer.status_code not in {204, 404}:
            raise GaveUp(f"{path}: {answer.status_code}")

    def until(self, path: str, of: str, good: Callable[[Any], bool], what: str) -> Any:
        """Reads again, ever more slowly, until what is shown is good. Raises GaveUp."""
        self._step()
        deadline, pause = time.monotonic() + PATIENCE_S, 0.02
        while True:
            answer = self.get(path, of)
            if answer.status_code == 200 and good(shown := answer.json()):
                return shown
            if time.monotonic() > deadline:
                raise GaveUp(f"{what}: not within {PATIENCE_S:.0f} s (last status {answer.status_code})")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def _until_answered(
        self, method: str, path: str, act: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> httpx.Response:
        deadline, pause, last = time.monotonic() + PATIENCE_S, 0.05, "nothing"
        while time.monotonic() < deadline:
            try:
                bearer = {"Authorization": f"Bearer {self._bearer()}"}
                answer = self._http.request(method, path, headers={**(headers or {}), **bearer}, **content)
            except (httpx.TransportError, tokens.NoToken) as error:
                last = type(error).__name__
            else:
                if not _to_be_sent_again(answer):
                    return answer
                last = str(answer.status_code)
            self.again += 1
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
        raise GaveUp(f"{act}: no answer within {PATIENCE_S:.0f} s (last: {last})")

    def _bearer(self) -> str:
        if time.monotonic() - self._token_at > TOKEN_S:
            self._token = tokens.token(self._info, self.name)
            self._token_at = time.monotonic()
        return self._token


def _to_be_sent_again(answer: httpx.Response) -> bool:
    if answer.status_code >= 500 or answer.status_code == 429:
        return True
    # A first sending whose answer was lost may still be under way.
    return answer.status_code == 409 and answer.json().get("code") == "busy"


def _content(body: Any) -> dict[str, Any]:
    return {"content": body} if isinstance(body, bytes) else {"json": body}
