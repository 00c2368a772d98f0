"""What a refusal must be, whatever was sent: clear, of its kind, without a word of the input, and without a trace."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from amanat_local import tokens
from amanat_local.postgres import Postgres
from amanat_local.stack import Stack

CANARY = "kanarienvogel"
"""A word that no answer of the platform holds by itself."""
NAME = f"{CANARY} نمونہ"
OVERRIDES = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""The characters that turn the direction of text around unseen: refused wherever they stand."""
FHIR = "application/fhir+json"
PROBLEM = "application/problem+json"
SETTLING_S = 20.0


class Stranger:
    """Sends what it is given to one service, with the token it is given; nothing is added but an idempotency key."""

    def __init__(self, stack: Stack, service: str, client: str) -> None:
        self._stack = stack
        self._client = client
        self._http = httpx.Client(base_url=stack.info["services"][service], timeout=60)

    def post(self, path: str, body: bytes | dict[str, Any], **headers: str) -> httpx.Response:
        """POST as JSON unless `content_type` says otherwise; `idempotency_key=""` sends none."""
        sent = {
            "Authorization": f"Bearer {tokens.token(self._stack.info, self._client)}",
            "Content-Type": "application/json",
            "Idempotency-Key": uuid4().hex,
        } | {name.replace("_", "-").title(): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._http.post(path, content=content, headers={name: value for name, value in sent.items() if value})

    def get(self, path: str, token: str) -> httpx.Response:
        """GET with another token than its own."""
        return self._http.get(path, headers={"Authorization": f"Bearer {token}"})

    def close(self) -> None:
        self._http.close()


def assert_refused(answer: httpx.Response, *statuses: int) -> None:
    """A problem, or below /fhir an OperationOutcome, of one of these statuses, that does not hold the canary."""
    assert answer.status_code in statuses, answer.text
    assert CANARY not in answer.text.lower()
    assert CANARY not in str(answer.headers).lower()
    body = answer.json()
    if answer.request.url.path.startswith("/fhir"):
        assert answer.headers["content-type"].startswith(FHIR)
        assert body["resourceType"] == "OperationOutcome"
        assert all(issue["severity"] in {"fatal", "error"} for issue in body["issue"])
        assert body["issue"]
    else:
        assert answer.headers["content-type"] == PROBLEM
        assert body["status"] == answer.status_code
        assert body["type"] == f"https://amanat.pk/problems/{body['code']}"
        assert body["title"]
        assert body["trace_id"]


def not_json(good: Mapping[str, Any]) -> dict[str, tuple[bytes, int]]:
    """Bodies that no parser should take for one of these, which holds the canary; and the status of each."""
    written = json.dumps(good)

    def nested(levels: int) -> bytes:
        return f'{{"{CANARY}":{"[" * levels}"{CANARY}"{"]" * levels}}}'.encode()

    return {
        "nothing": (b"", 422),
        "a truncated body": (written.encode()[:-30], 400),
        "invalid UTF-8": (written.encode().replace(CANARY.encode(), CANARY.encode() + b"\xff\xfe"), 400),
        "UTF-16": (written.encode("utf-16"), 400),
        "half of a surrogate pair": (written.replace(CANARY, CANARY + r"\ud800").encode(), 400),
        "one name twice": (f'{{"{CANARY}": null, "{CANARY}": 1}}'.encode(), 400),
        "NaN": (f'{{"{CANARY}": NaN}}'.encode(), 400),
        "deep nesting": (nested(60), 400),
        "deeper nesting": (nested(100_000), 400),
        "a list": (f'["{CANARY}"]'.encode(), 422),
        "a text": (f'"{CANARY}"'.encode(), 422),
        "20 MB": (json.dumps({CANARY: CANARY * 1_600_000}).encode(), 413),
    }


def contents(postgres: Postgres, database: str) -> dict[str, str]:
    """What every table holds, of all tenants, as one hash of each: as superuser, whom no policy holds."""
    tables = postgres.sql(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split()
    asked = " UNION ALL ".join(
        f"SELECT '{each}', coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), 'empty') FROM {each} AS t"
        for each in tables
    )
    return dict(line.split("|") for line in postgres.sql(database, asked).split())


OF_REQUESTS = {
    # That a clock ran over or a half stayed alone is noted at any moment: time's doing, not a request's.
    "timeline": "kind NOT IN ('clock_overdue', 'custody_gap', 'referral_unacknowledged', 'opened_not_accounted_for',"
    " 'accounted_for_late')",
    "outbox": "topic NOT LIKE 'checkpoints.%'",
    "inbox": "type NOT LIKE 'pk.amanat.checkpoint-%' AND type NOT LIKE 'pk.amanat.consistency-%'"
    " AND type <> 'pk.amanat.looks-reported.v1'",
    # Agencies tell of earlier tests' looks when they are due.
    "agency_looks": "false",
    "ledger_entries": "kind <> 'look_told'",
}
LEDGERS = {
    "ledger_leaves", "ledger_nodes", "ledger_checkpoints", "ledger_alarms", "witnessed", "witness_states",
    "proof_parts", "cosignatures",
}  # fmt: skip
"""What the ledgers' timetable fills, whatever anybody asks."""


def counted(stack: Stack, database: str = "intake") -> dict[str, int]:
    """The rows of every table of a service's database, of all tenants: as superuser, whom no policy holds."""
    assert stack.postgres is not None
    tables = stack.postgres.sql(
        database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    ).split()
    asked = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM {table} WHERE {OF_REQUESTS.get(table, 'true')}"
        for table in tables
        if table not in LEDGERS
    )
    lines = stack.postgres.sql(database, asked).split()
    return {table: int(count) for table, _, count in (line.partition("|") for line in lines)}


@contextmanager
def nothing_stored(stack: Stack, *databases: str) -> Iterator[None]:
    """No table of the cell, or of the databases named, gains or loses a row. What earlier tests still have under way is
    let come to rest first."""
    asked = databases or ("intake",)
    before = _at_rest(stack, asked)
    yield
    after = _counted_all(stack, asked)
    changed = {table: (count, after[table]) for table, count in before.items() if count != after[table]}
    assert changed == {}, changed


def _counted_all(stack: Stack, databases: Sequence[str]) -> dict[str, int]:
    return {f"{each}.{table}": rows for each in databases for table, rows in counted(stack, each).items()}


def _at_rest(stack: Stack, databases: Sequence[str]) -> dict[str, int]:
    deadline = time.monotonic() + SETTLING_S
    last = _counted_all(stack, databases)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = _counted_all(stack, databases)
        if now == last:
            return now
        last = now
    raise AssertionError("the tables do not come to rest")
