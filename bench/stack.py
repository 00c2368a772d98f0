"""What every measurement needs of the real stack: tokens, addresses, what is still on its way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from amanat_local import tokens
from amanat_local.demo import payloads
from amanat_local.stack import Stack
from bench.load import Connection, Making, connected, posts, request

CASE: dict[str, Any] = {
    "person": {"full_name": "Invented Person", "birth_date": "1999-02-03"},
    "incident": {"history": "invented", "acts": ["rape"]},
}
"""A case without consents; nothing in it is anyone's."""
STATION, PARTNER = ("police-link", "station-saddar"), ("legal-aid", "partner-hamdam")
WAIT_S = 120.0


def case(*recipients: tuple[str, str]) -> bytes:
    """A case that shares the incident with these."""
    shared = ["identity", "incident"]
    consents = [
        payloads.consent(agency, organisation, shared, payloads.SURVIVOR) for agency, organisation in recipients
    ]
    return json.dumps(CASE | {"consents": consents}).encode()


def intake_posts(stack: Stack, body: bytes, path: str = "/v1/cases", content_type: str = "application/json") -> Making:
    """POSTs of the hospital's system, with a token that is new now."""
    return posts(path, tokens.token(stack.info, "arcc-karachi-system"), body, content_type)


def gets(stack: Stack, client: str, paths: Callable[[], str]) -> Making:
    """GETs of one client, each of the path that `paths` names."""
    headers = {"Authorization": f"Bearer {tokens.token(stack.info, client)}"}
    return lambda: request("GET", paths(), headers)


@asynccontextmanager
async def asking(base: str) -> AsyncIterator[Connection]:
    """One connection."""
    async with connected(base) as [connection]:
        yield connection


@asynccontextmanager
async def administrator(stack: Stack, db: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection that sees every row: it reads what is on its way, and changes nothing."""
    connection = await asyncpg.connect(stack.info["databases"][db]["admin"])
    try:
        yield connection
    finally:
        await connection.close()


async def drained(stack: Stack, *dbs: str) -> None:
    """Returns when no event waits in the outboxes of these databases. Raises TimeoutError."""
    for db in dbs:
        async with administrator(stack, db) as database:
            await until_zero(
                database, "SELECT count(*) FROM outbox WHERE published_at IS NULL AND cancelled_at IS NULL"
            )


async def until_zero(database: asyncpg.Connection[Any], counting: str) -> None:
    """Returns when this count is 0. Raises TimeoutError."""
    began = time.monotonic()
    while await database.fetchval(counting):
        if time.monotonic() - began > WAIT_S:
            raise TimeoutError(counting)
        await asyncio.sleep(0.05)


async def vacuumed(stack: Stack, db: str) -> None:
    """So that a round does not pay for the rows of those before."""
    async with administrator(stack, db) as database:
        await database.execute("VACUUM ANALYZE")


def program(stack: Stack, name: str) -> Path:
    """One of PostgreSQL's own programs, of the version that runs."""
    assert stack.postgres is not None
    return stack.postgres.account.own_binaries / name
