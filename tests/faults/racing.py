"""Reads that race withdrawals at police-link, and what the database itself knows of which came first.

Why the judgement is sound. What an answer shows was fetched by one statement, which inserts the look too. For the time
of the race `looks` has two more columns, whose defaults PostgreSQL evaluates inside that statement: `snapshot`
(`pg_current_snapshot()`, the snapshot that the statement reads by) and `began` (`statement_timestamp()`, the arrival of
its Execute message). A tombstone's transaction is its row's `xmin`: the row is inserted once, as each category is
withdrawn once. A statement that began after that transaction committed reads by a snapshot in which it is visible; so
an answer with the category is wrong if `pg_visible_in_snapshot(xmin, snapshot)`. That is exact, where comparing clocks
would not be: `pg_xact_commit_timestamp` is taken shortly before a commit becomes visible.

For "no later than a second" clocks do: the commit's timestamp lies before it is visible and the client's receipt of
the first byte after it was sent, so the measured span is never shorter than the true one; what this process was kept
from looking at its sockets is taken off it (`Pulse`). All are one machine's clock.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from amanat_local import tokens
from amanat_local.stack import Stack

from .pulse import Pulse

SYSTEM, STATION = "station-saddar-system", "station-saddar"
CATEGORIES = ("identity", "contact", "incident", "examination", "digital", "imagery")
ADULT: Mapping[str, Any] = {
    "person": {"full_name": "Invented Person", "birth_date": "1990-01-01"},
    "contact": {"channel": "call", "number": "0300-0000000"},
    "incident": {"history": "invented"},
    "examination": {"opinion": "invented"},
    "digital": [{"description": "invented"}],
    "images": [{"description": "invented"}],
}
TOKEN_S = 200


@dataclass(frozen=True)
class Read:
    """One answer: by whose token, of which referral, when asked and when its first byte came (epoch seconds)."""

    token_id: str
    referral: str
    asked_at: float
    first_byte_at: float
    status: int
    categories: frozenset[str]
    retry_after: str | None = None
    delay_s: float = 0.0

    @property
    def came_at(self) -> float:
        """When the first byte came at the earliest: this process may have been too busy to see it at once."""
        return self.first_byte_at - self.delay_s


@dataclass(frozen=True)
class Fetch:
    """A look's statement: when it began, and which tombstones of its referral were visible to it."""

    token_id: str
    referral: str
    began: float
    sees: frozenset[str]


@dataclass(frozen=True)
class Shown:
    """A category in an answer, the fetch that it came from, and its tombstone's commit; all that is judged."""

    read: Read
    category: str
    fetch: Fetch
    committed_at: float

    @property
    def fetched_too_late(self) -> bool:
        return self.category in self.fetch.sees

    @property
    def after_commit_s(self) -> float:
        return self.read.came_at - self.committed_at


@dataclass(frozen=True)
class Station:
    """Where readers read, and how promptly they could."""

    http: httpx.AsyncClient
    pulse: Pulse


@dataclass
class Reader:
    """One reader with a token of its own, by which its looks are known; it reads one thing after another."""

    info: dict[str, Any]
    station: Station
    token: str = ""
    token_id: str = ""
    token_at: float = field(default=float("-inf"))
    reads: list[Read] = field(default_factory=list)

    async def read(self, referral: str) -> Read:
        """Reads once and notes it."""
        if time.monotonic() - self.token_at > TOKEN_S:
            self.token = await asyncio.to_thread(tokens.token, self.info, SYSTEM)
            self.token_id, self.token_at = claims_of(self.token)["jti"], time.monotonic()
        request = self.station.http.build_request(
            "GET", f"/v1/referrals/{referral}", headers={"Authorization": f"Bearer {self.token}"}
        )
        asked_at = time.time()
        answer = await self.station.http.send(request, stream=True)
        first_byte_at = time.time()
        body = json.loads(await answer.aread())
        read = Read(
            self.token_id,
            referral,
            asked_at,
            first_byte_at,
            answer.status_code,
            frozenset(body.get("parts", ())),
            answer.headers.get("retry-after"),
            self.station.pulse.delay_s,
        )
        self.reads.append(read)
        return read


class Cell:
    """The hospital's system: opens cases for an adult, and withdraws."""

    def __init__(self, info: dict[str, Any], http: httpx.AsyncClient) -> None:
        self._info, self._http = info, http
        self._token, self._token_at = "", float("-inf")

    async def open_case(self, categories: Sequence[str] = CATEGORIES) -> tuple[str, str, str]:
        """(case, referral, consent), all of these categories for the reporting centre."""
        consent = {
            "recipient": {"agency": "police-link", "organisation": STATION},
            "categories": list(categories),
            "basis": "consent",
            "deciders": [{"role": "survivor", "decision": "consent"}],
            "age_basis": "document",
        }
        opened = await self.post("/v1/cases", {**ADULT, "consents": [consent]})
        case = opened["case"]
        consents = await self._send("GET", f"/v1/cases/{case}/consents", None)
        return case, opened["referrals"][0]["referral"], consents["consents"][0]["consent"]

    async def withdraw(self, case: str, consent: str, *categories: str) -> None:
        """Takes these categories back."""
        await self.post(f"/v1/cases/{case}/consents/{consent}/withdrawal", {"categories": categories})

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        """POST that must be accepted."""
        return await self._send("POST", path, body)

    async def _send(self, method: str, path: str, body: Any) -> dict[str, Any]:
        if time.monotonic() - self._token_at > TOKEN_S:
            self._token = await asyncio.to_thread(tokens.token, self._info, "arcc-karachi-system")
            self._token_at = time.monotonic()
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid4())}
        answer = await self._http.request(method, path, json=body, headers=headers)
        assert answer.status_code in {200, 201}, f"{method} {path}: {answer.status_code}"
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def clients(info: dict[str, Any]) -> AsyncIterator[tuple[Cell, Station]]:
    """The cell, and police-link for readers."""
    async with (
        httpx.AsyncClient(base_url=info["services"]["intake"], timeout=60) as intake,
        httpx.AsyncClient(base_url=info["services"]["police-link"], timeout=60) as police,
    ):
        pulse = Pulse()
        beating = asyncio.create_task(pulse.beat())
        try:
            yield Cell(info, intake), Station(police, pulse)
        finally:
            beating.cancel()


async def until_all_there(reader: Reader, referral: str, categories: Sequence[str] = CATEGORIES) -> None:
    """Reads until every category has come."""
    deadline = time.monotonic() + 60
    while (await reader.read(referral)).categories != set(categories):
        assert time.monotonic() < deadline, "the disclosures did not come"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def noted_by_the_database(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """While open, each look keeps its statement's beginning and snapshot. A superuser's connection to police-link."""
    connection = await asyncpg.connect(stack.info["databases"]["police_link"]["admin"])
    try:
        assert await connection.fetchval("SHOW track_commit_timestamp") == "on"
        await connection.execute(
            "ALTER TABLE looks ADD COLUMN snapshot pg_snapshot, ADD COLUMN began timestamptz;"
            "ALTER TABLE looks ALTER snapshot SET DEFAULT pg_current_snapshot(),"
            " ALTER began SET DEFAULT statement_timestamp()"
        )
        yield connection
    finally:
        await connection.execute("ALTER TABLE looks DROP COLUMN IF EXISTS snapshot, DROP COLUMN IF EXISTS began")
        await connection.close()


_FETCHES = """
    SELECT l.token_id, l.referral, l.began,
           coalesce(array_agg(t.category) FILTER (WHERE pg_visible_in_snapshot(t.xmin::text::xid8, l.snapshot)), '{}')
    FROM looks l LEFT JOIN tombstones t ON t.tenant = l.tenant AND t.referral = l.referral
    WHERE l.began IS NOT NULL AND l.referral = ANY($1)
    GROUP BY l.tenant, l.id
"""
_COMMITS = """
    SELECT referral, category, pg_xact_commit_timestamp(xmin) FROM tombstones WHERE referral = ANY($1)
"""


async def fetches(connection: asyncpg.Connection, referrals: Sequence[str]) -> list[Fetch]:
    """The looks at these referrals, oldest first. Transaction ids are those of a cluster in its first epoch."""
    assert await connection.fetchval("SELECT pg_current_xact_id()::text::bigint < 2::bigint ^ 32")
    rows = await connection.fetch(_FETCHES, referrals)
    found = [Fetch(token, referral, began.timestamp(), frozenset(sees)) for token, referral, began, sees in rows]
    return sorted(found, key=lambda fetch: fetch.began)


async def commits(connection: asyncpg.Connection, referrals: Sequence[str]) -> dict[tuple[str, str], float]:
    """(referral, category) → when its tombstone's transaction committed, in epoch seconds."""
    rows = await connection.fetch(_COMMITS, referrals)
    return {(referral, category): _epoch(at) for referral, category, at in rows}


def shown(reads: Sequence[Read], looks: Sequence[Fetch], committed: Mapping[tuple[str, str], float]) -> list[Shown]:
    """Every withdrawn category in every answer, with the fetch behind it: the last look of that reader at that referral
    between question and answer, for a look started again in between gave no answer. Raises LookupError without one.
    """
    by_reader: dict[tuple[str, str], list[Fetch]] = {}
    for fetch in looks:
        by_reader.setdefault((fetch.token_id, fetch.referral), []).append(fetch)
    found: list[Shown] = []
    for read in reads:
        if not read.categories:
            continue
        mine = by_reader.get((read.token_id, read.referral), ())
        meanwhile = [fetch for fetch in mine if read.asked_at <= fetch.began <= read.first_byte_at]
        if not meanwhile:
            raise LookupError("an answer without a look on record")
        found += [
            Shown(read, category, meanwhile[-1], committed[read.referral, category])
            for category in read.categories
            if (read.referral, category) in committed
        ]
    return found


def pause() -> float:
    """Somewhere within a read's duration, so that withdrawals meet reads at every stage."""
    return secrets.randbelow(40) / 1000


def claims_of(token: str) -> dict[str, Any]:
    """What a token says; its signature is not looked at."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def _epoch(at: datetime) -> float:
    return at.timestamp()
