"""An agency's service in this process, between its real database and a gate in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
from fastapi import FastAPI
from sqlalchemy import event as sa_event
from sqlalchemy import select

from amanat.agency.desk import Desk
from amanat.agency.handlers import NEVER_PARK, tenant_of
from amanat.agency.instruments import Instruments
from amanat.agency.testing.gate import Gate
from amanat.categories import Agency
from amanat.contracts.base import EVENTS, Fact, SealedFact
from amanat.db import Database
from amanat.errors import Unauthenticated
from amanat.facts import FactOpener
from amanat.inbox import Handler, Inbox
from amanat.principal import Claims
from amanat.received import Received
from amanat.tables import outbox


class PlainTokens:
    """A verifier whose tokens are `agency/organisation/role`."""

    async def verify(self, token: str) -> Claims:
        """Raises Unauthenticated for anything else."""
        parts = token.split("/")
        if len(parts) != 3:
            raise Unauthenticated(invalid_token=True)
        agency, organisation, role = parts
        return Claims(
            subject=f"{organisation}.{role}",
            client=f"{organisation}-system",
            token_id=f"token-{organisation}",
            agency=agency,
            organisation=organisation,
            roles=frozenset((role,)),
            cells=frozenset(),
            expires_at=float("inf"),
        )


@dataclass
class World:
    """A service with a gate in memory. `role` is what its clients' tokens say."""

    app: FastAPI
    gate: Gate
    inbox: Inbox
    worker: Database
    opener: FactOpener
    role: str

    @property
    def desk(self) -> Desk:
        found: Desk = self.app.state.desk
        return found

    @desk.setter
    def desk(self, desk: Desk) -> None:
        self.app.state.desk = desk

    async def tell(self, *events: Received) -> None:
        """The worker takes these events from the gate."""
        await self.inbox.process(events)

    def client(self, organisation: str, *, role: str | None = None, agency: str | None = None) -> httpx.AsyncClient:
        """An HTTP client with an organisation's token."""
        token = f"{agency or self.gate.agency}/{organisation}/{role or self.role}"
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport, base_url="http://agency.test", headers={"authorization": f"Bearer {token}"}
        )

    async def facts(self) -> list[Fact]:
        """What lies in the outbox, as the gate will read it, oldest first."""
        async with self.worker.transaction(()) as session:
            rows = (await session.execute(select(outbox).order_by(outbox.c.id))).all()
        return [self._fact(row) for row in rows]

    def _fact(self, row: Any) -> Fact:
        sealed = EVENTS[row.type].parse(row.body)
        if not isinstance(sealed, SealedFact):
            raise TypeError("an agency sends sealed facts only")
        return self.opener.open(
            self.gate.agency,
            sealed,
            event_id=row.event_id,
            type=row.type,
            referral=row.referral,
            time=datetime.fromisoformat(row.headers["ce_time"]),
        )


class KeyFiles(Protocol):
    """Where a stack's keys lie (`amanat_local.keys.Keys`)."""

    @property
    def directory_file(self) -> Path: ...
    def at_rest(self, service: str, /) -> Path: ...
    def index(self, service: str, /) -> Path: ...
    def client(self, name: str, /) -> Path: ...
    def signing(self, agency: str, /) -> Path: ...


def environment(agency: Agency, keys: KeyFiles, database_url: str) -> dict[str, Any]:
    """Settings of the agency's `main`, with an issuer and a gate that nothing ever asks."""
    return {
        "database_url": database_url,
        "issuer": "http://issuer.test/realms/amanat",
        "audience": f"amanat-{agency}",
        "directory_file": keys.directory_file,
        "at_rest_key_file": keys.at_rest(agency),
        "index_key_file": keys.index(agency),
        "gate_url": "http://gate.test",
        "client_id": f"{agency}-service",
        "client_key_file": keys.client(f"{agency}-service"),
        "signing_key_file": keys.signing(agency),
    }


@contextmanager
def statements(*databases: Database) -> Iterator[list[str]]:
    """The SQL that these databases' connections run meanwhile, in order, without parameters."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    for database in databases:
        sa_event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for database in databases:
            sa_event.remove(database.engine.sync_engine, "before_cursor_execute", note)


@asynccontextmanager
async def world(
    app: FastAPI,
    *,
    worker_url: str,
    opener: FactOpener,
    role: str,
    handlers: Callable[[Instruments, Callable[[], datetime]], Mapping[str, Handler]],
) -> AsyncIterator[World]:
    """The service of `app` with the worker's part beside it, in this process."""
    built: Desk = app.state.desk
    gate = Gate(built.instruments.agency, built.instruments.purpose)
    leases = gate.client()
    app.state.desk = replace(built, leases=leases)
    app.state.verifier = PlainTokens()
    worker = Database(worker_url, application_name="test worker")
    inbox = Inbox(
        worker,
        handlers(built.instruments, lambda: datetime.now(UTC)),
        never_park=NEVER_PARK,
        tenants_of=tenant_of,
    )
    try:
        yield World(app=app, gate=gate, inbox=inbox, worker=worker, opener=opener, role=role)
    finally:
        await leases.aclose()
        await worker.dispose()
        await built.database.dispose()
