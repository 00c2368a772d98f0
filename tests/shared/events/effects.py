"""Handlers whose effect is a row that a test can read, and the inbox that calls them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import parked
from amanat.db import Database
from amanat.inbox import Handler, Inbox
from amanat.received import Received
from amanat_local.postgres import Postgres

from .making import DISCLOSED, KIT, WITHDRAWN, came

EFFECT = text("INSERT INTO effects (tenant, referral, what) VALUES (:tenant, :referral, :what)")


class Poison(Exception):
    """Its text, like a database's, quotes what it failed on."""


class Effects:
    """Handlers that write their event's body as their effect; a body that starts with `poison` fails."""

    def __init__(self, cluster: Postgres) -> None:
        self._cluster = cluster
        self.healed = False
        self.calls: list[list[str | None]] = []

    async def handle(self, session: AsyncSession, events: Sequence[Received]) -> None:
        self.calls.append([event.referral for event in events])
        for event in events:
            if event.body.startswith(b"poison") and not self.healed:
                raise Poison(event.body)
            what = event.body.decode()
            await session.execute(EFFECT, {"tenant": event.organisation, "referral": event.referral, "what": what})

    def of(self, referral: str) -> list[str]:
        found = self._cluster.sql("police_link", f"SELECT what FROM effects WHERE referral = '{referral}' ORDER BY id")
        return found.split()


def inbox_of(worker: Database, handler: Handler) -> Inbox:
    return Inbox(
        worker,
        {KIT: handler, DISCLOSED: handler, WITHDRAWN: handler},
        frozenset({WITHDRAWN}),
        lambda event: event.organisation,
    )


async def parked_of(worker: Database, referral: str | None = None) -> list[tuple[str, str]]:
    async with worker.transaction(()) as session:
        return [(event.type, event.reason) for event in await parked.list_parked(session, referral)]


def numbered(referral: str, *bodies: str, type: str = KIT) -> list[Received]:
    return [came(referral, type, body.encode(), offset=offset) for offset, body in enumerate(bodies)]
