"""Three services' databases, a ledger in each, and a broker that is a list: everything else is as it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update

from amanat import ledger
from amanat.at_rest import AtRest
from amanat.db import Database
from amanat.ledger import alarms, checkpoints, tree
from amanat.ledger.checkpoints import Speaker
from amanat.ledger.known import Ledgers
from amanat.ledger.witness import Witness
from amanat.notes import Checkpoint, NoteSigner, NoteVerifier
from amanat.received import Received, received
from amanat.tables import ledger_entries, outbox
from amanat_local.postgres import Postgres

AT_REST = AtRest({0: bytes(32)})
SERVICES = ("police-link", "forensics", "legal-aid")
EVERY_S = 600.0
TENANT = "station-saddar"
START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Service:
    """One service's ledger and eyes, as its worker has them."""

    name: str
    postgres: Postgres
    database: Database
    speaker: Speaker
    witness: Witness

    @property
    def db(self) -> str:
        return self.name.replace("-", "_")

    def sql(self, *statements: str) -> str:
        """As superuser."""
        return self.postgres.sql(self.db, *statements)

    async def append(self, number: int) -> None:
        """So many entries, in transactions of up to a thousand."""
        for begin in range(0, number, 1000):
            statements = [
                ledger.Statement(TENANT, "state", f"S-{begin + each}", START, {"number": begin + each})
                for each in range(min(1000, number - begin))
            ]
            async with self.database.transaction([TENANT]) as session:
                await ledger.append(session, [ledger.entry(each, AT_REST, os.urandom) for each in statements])

    async def publish(self, at: datetime) -> Checkpoint | None:
        return await checkpoints.publish(self.database, self.speaker, at, EVERY_S)

    async def integrate(self) -> int:
        return await tree.integrate(self.database)

    async def alarms(self) -> list[tuple[str, str]]:
        """(kind, the origin's service) of what stands."""
        async with self.database.transaction(()) as session:
            return [(row.kind, row.origin.rsplit("/", 1)[-1]) for row in await alarms.standing(session)]

    async def acknowledge(self, service: str, reason: str = "a drill", through: int = 2**31) -> int:
        async with self.database.transaction(()) as session:
            return await alarms.acknowledge(session, origin_of(service), through, "operator", reason, START)

    async def sent(self) -> list[Any]:
        """What the relay would publish now; it is marked as published."""
        async with self.database.transaction(()) as session:
            waits = select(outbox).where(outbox.c.published_at.is_(None)).order_by(outbox.c.id)
            rows = list(await session.execute(waits))
            await session.execute(update(outbox).values(published_at=START))
        return rows

    async def hear(self, event: Received, now: datetime) -> None:
        async with self.database.transaction(()) as session:
            await self.witness.hear(session, event, now)

    async def watch(self, now: datetime) -> None:
        await self.witness.watch(self.database, START, now)

    async def entries(self) -> int:
        async with self.database.transaction(()) as session:
            return len(list(await session.scalars(select(ledger_entries.c.id))))


@dataclass
class World:
    """All services, and the clock of their timetable."""

    services: dict[str, Service]
    now: datetime = START
    offset: int = field(default=0)

    def __getitem__(self, name: str) -> Service:
        return self.services[name]

    async def tick(self, *publishing: str, deliver: bool = True) -> None:
        """Another full interval: these services (all, if none is named) publish; then all is delivered to all."""
        self.now += timedelta(seconds=EVERY_S)
        for name in publishing or self.services:
            await self.services[name].publish(self.now)
        if deliver:
            await self.deliver()

    async def deliver(self) -> None:
        """Until nobody has anything more to say. Nobody hears what it says itself."""
        while sent := [(name, row) for name, each in self.services.items() for row in await each.sent()]:
            for name, row in sent:
                await self.tell([other for other in self.services if other != name], row)

    async def tell(self, whom: Sequence[str], row: Any) -> None:
        """One outbox row, as it comes from Kafka."""
        for other in whom:
            await self.services[other].hear(self.event(row.topic, row.type, row.body), self.now)

    def event(self, topic: str, kind: str, body: bytes | dict[str, Any]) -> Received:
        self.offset += 1
        encoded = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        headers = {"ce_id": str(uuid4()), "ce_type": kind, "ce_subject": "*", "ce_time": self.now.isoformat()}
        return received(
            topic=topic,
            partition=0,
            offset=self.offset,
            timestamp_ms=0,
            key=b"*",
            headers=[(name, value.encode()) for name, value in headers.items()],
            body=encoded,
        )

    async def all_alarms(self) -> dict[str, list[tuple[str, str]]]:
        return {name: found for name, each in self.services.items() if (found := await each.alarms())}

    async def close(self) -> None:
        for each in self.services.values():
            await each.database.dispose()


def origin_of(service: str) -> str:
    return f"amanat.test/{service}"


def made(clusters: dict[str, Postgres]) -> World:
    """A world over these services' databases."""
    keys = {name: Ed25519PrivateKey.generate() for name in clusters}
    ledgers = Ledgers({name: [NoteVerifier(key.public_key(), origin_of(name))] for name, key in keys.items()})
    services = {}
    for name, postgres in clusters.items():
        db = name.replace("-", "_")
        speaker = Speaker(name, NoteSigner(keys[name], origin_of(name)), uuid4)
        database = Database(postgres.url(f"{db}_worker", db), application_name=f"test-{name}")
        services[name] = Service(name, postgres, database, speaker, Witness(speaker, ledgers, EVERY_S))
    return World(services)
