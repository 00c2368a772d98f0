"""A gate, an issuer and a boot clock for tests: in memory, answering what the test says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx

from amanat.leases import LeaseClient

REFERRAL, STATION, PURPOSE = "P-7KQ2-M4XD-3", "station-saddar", "investigation"
KEY_ID = UUID(int=1)
LATER_KEY_ID = UUID(int=2)


def wire_key(key_id: UUID = KEY_ID, *, category: str = "incident", epoch: int = 1, fill: int = 7) -> dict[str, Any]:
    key = base64.b64encode(bytes([fill]) * 32).decode()
    return {"category": category, "epoch": epoch, "key_id": str(key_id), "key": key}


class Clock:
    """Seconds since boot, moved by the test."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Gate:
    """Answers each item with `keys`; keeps what it was asked."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[list[dict[str, str]]] = []
        self.headers: list[httpx.Headers] = []
        self.urls: list[str] = []
        self.keys: list[dict[str, Any]] = [wire_key()]
        self.expires_in_s = 30.0
        self.takes_s = 0.0
        self.refusals: list[int | Exception] = []
        self.body: bytes | None = None
        self.unopened: set[str] = set()
        self.opened = asyncio.Event()
        self.opened.set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["items"]
        self.asked.append(items)
        self.headers.append(request.headers)
        self.urls.append(str(request.url))
        keys = list(self.keys)
        await self.opened.wait()
        self.clock.now += self.takes_s
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return httpx.Response(refusal)
        if self.body is not None:
            return httpx.Response(200, content=self.body)
        empty = {"consent_version": 0, "expires_in_s": 0}
        full = {"consent_version": 4, "expires_in_s": self.expires_in_s}
        leases = [{"referral": item["referral"], **(full if keys else empty), "keys": keys} for item in items]
        leases = [
            {**empty, "referral": each["referral"], "keys": [], "unopened": True}
            if each["referral"] in self.unopened
            else each
            for each in leases
        ]
        return httpx.Response(200, json={"leases": leases})

    def client(self, token_source: Callable[[], Awaitable[str]] | None = None) -> LeaseClient:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return LeaseClient("http://gate.test/", token_source or Tokens(), "police-link", http, self.clock)


class Tokens:
    """Gives `token-1`, `token-2`, … a new one each time the last was forgotten."""

    def __init__(self) -> None:
        self.count = 1
        self.forgotten: list[str] = []

    async def __call__(self) -> str:
        return f"token-{self.count}"

    def forget(self, token: str) -> None:
        self.forgotten.append(token)
        self.count += 1
