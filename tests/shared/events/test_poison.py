"""What is parked and what is only a passing trouble; and that no content of it is told."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from asyncpg import DeadlockDetectedError
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from amanat.db import Database
from amanat.inbox import Inbox, TryAgain, UnknownType
from amanat.received import Received
from amanat.tables import parked as parked_rows

from .effects import Effects, inbox_of, numbered, parked_of
from .making import KIT, P1, came

SECRET = "Fatima Bibi, 42101-1234567-1"


async def test_a_type_that_nobody_handles_is_parked(worker: Database, inbox: Inbox) -> None:
    await inbox.process([came(P1, "pk.amanat.something-newer.v1")])
    assert await parked_of(worker) == [("pk.amanat.something-newer.v1", UnknownType.__name__)]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("INSERT", {}, DeadlockDetectedError("deadlock detected")),
        ConnectionResetError(),
        TimeoutError(),
        TryAgain(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_passing_trouble_is_raised_and_parks_nothing(worker: Database, error: Exception) -> None:
    async def troubled(session: AsyncSession, events: Sequence[Received]) -> None:
        raise error

    with pytest.raises(type(error)):
        await inbox_of(worker, troubled).process(numbered(P1, "1"))
    assert await parked_of(worker) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$",
        "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$",
        "DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$",
    ],
    ids=["connection lost", "serialization", "deadlock", "shutdown"],
)
async def test_the_databases_own_passing_troubles_park_nothing(
    worker: Database, effects: Effects, statement: str
) -> None:
    troubles = [statement]

    async def troubled(session: AsyncSession, events: Sequence[Received]) -> None:
        if troubles:
            await session.execute(text(troubles.pop()))
        await effects.handle(session, events)

    batch = numbered(P1, "1", "2")
    inbox = inbox_of(worker, troubled)
    with pytest.raises(Exception):  # noqa: B017, PT011 - of several classes, and it is not parked that matters
        await inbox.process(batch)
    assert await parked_of(worker) == []
    await inbox.process(batch)
    assert effects.of(P1) == ["1", "2"]


@pytest.mark.parametrize("value", ["a\x00b", 2**70], ids=["NUL", "a number too large"])
async def test_a_value_that_the_database_refuses_is_parked(worker: Database, value: object) -> None:
    async def writes(session: AsyncSession, events: Sequence[Received]) -> None:
        await session.execute(
            text("SELECT CAST(:text AS text), CAST(:number AS bigint)"),
            {
                "text": value if isinstance(value, str) else "",
                "number": value if isinstance(value, int) else 1,
            },
        )

    await inbox_of(worker, writes).process(numbered(P1, "1"))
    assert len(await parked_of(worker)) == 1


async def test_a_poison_body_is_parked_with_the_errors_class_alone_and_no_content_in_logs(
    worker: Database, inbox: Inbox, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    body = f"poison\x00 {SECRET}".encode()
    with capture_logs() as logs:
        await inbox.process([came(P1, body=body, headers=[("comment", SECRET.encode())])])
    assert await parked_of(worker) == [(KIT, "Poison")]
    out = capfd.readouterr()
    for sink in (repr(logs), caplog.text, out.out, out.err):
        assert SECRET not in sink
    assert logs[0]["reason"] == "Poison"
    async with worker.transaction(()) as session:
        row = (await session.execute(select(parked_rows))).one()
    assert row.body == body, "kept whole for the retry"
    assert SECRET not in repr(row.headers)
    assert SECRET not in repr(came(P1, body=body))


async def test_garbled_headers_are_parked_like_any_other_poison(worker: Database, inbox: Inbox) -> None:
    garbled = came(
        "P\x00" + random.Random(7).randbytes(5000).hex(),
        "type\x00\ud83d".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
        headers=[("ce_id", b"\xff\xfe"), ("ce_seq", b"9" * 50), ("ce_time", b"yesterday"), ("traceparent", b"\x00")],
    )
    with capture_logs() as logs:
        await inbox.process([garbled])
    assert len(await parked_of(worker)) == 1
    assert {entry["type"] for entry in logs} == {"unknown"}
