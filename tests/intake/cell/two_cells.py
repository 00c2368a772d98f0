"""Two cells in one session to which row-level security is open: only a statement's own joins stand in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat_local.postgres import Postgres

from .court import KIT, ORDER, story
from .looking import IDENTITY, look, tell
from .world import LAHORE, POLICE, World


@dataclass(frozen=True)
class Two:
    """A case of Karachi's with all that a court's file holds, one of Lahore's with a kit of the same serial, and a
    session to which row-level security is open."""

    session: AsyncSession
    access: Access
    world: World
    case: str
    other: str
    referral: str
    bundle: UUID
    sql: Callable[..., str]

    def plant(self, table: str, where: str, **changed: str) -> None:
        """A copy of a row, with these columns (SQL) instead of its own, as nobody but a superuser could write it."""
        columns = self.sql(
            "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped"
            f" AND attidentity = '' AND attrelid = '{table}'::regclass"
            f" AND attname <> ALL (string_to_array('{' '.join(changed)}', ' '))"
        ).strip()
        into, values = ",".join((columns, *changed)), ",".join((columns, *changed.values()))
        self.against_the_keys(f"INSERT INTO {table} ({into}) SELECT {values} FROM {table} WHERE {where} LIMIT 1")

    def against_the_keys(self, *statements: str) -> None:
        """Statements that no foreign key holds up."""
        self.sql("; ".join(("BEGIN", "SET LOCAL session_replication_role = replica", *statements, "COMMIT")))

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the session itself sees, with what it has changed."""
        return [tuple(row) for row in await self.session.execute(text(statement))]


@asynccontextmanager
async def two_cells(world: World, postgres: Postgres) -> AsyncIterator[Two]:
    """See `Two`: the session is the gate's, whose policy shows it every cell."""
    ready = await story(world, postgres)
    made, _ = await ready.made(ORDER)
    opened = await world.post("/v1/cases", {"person": {"full_name": "Invented"}}, cell=LAHORE)
    other = opened.json()["case"]
    assert (await world.post(f"/v1/cases/{other}/kits", {"barcode": KIT}, cell=LAHORE)).status_code == 201
    await tell(world, ready.referrals[POLICE], look(datetime.now(UTC), IDENTITY))
    await world.get(f"/v1/cases/{ready.case}")
    async with world.gate.transaction(()) as session:
        yield Two(
            session, world.gate_access, world, ready.case, other, ready.referrals[POLICE], UUID(made["bundle"]),
            lambda *statements: postgres.sql("intake", *statements),
        )  # fmt: skip
