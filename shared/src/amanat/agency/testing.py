"""For tests of an agency's service: a gate in memory, tokens as plain words, and the service between them.

The service's own app, handlers, database roles and statements are real; the gate, the issuer and Kafka are not. What
holds across processes is tested on a running stack.
"""

from __future__ import annotations

import base64
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI

from amanat.agency.desk import Desk
from amanat.agency.handlers import NEVER_PARK, tenant_of
from amanat.agency.instruments import Instruments
from amanat.boottime import boottime
from amanat.categories import Agency, Category
from amanat.codes import PREFIX, new_code
from amanat.contracts.base import EVENTS, Event, Fact, SealedFact
from amanat.contracts.disclosures import (
    DISCLOSED_RECORDS,
    CategoryDisclosed,
    CategoryWithdrawn,
    DisclosedRecord,
    DisclosedRecords,
    KitAnnounced,
    ReferralOpened,
    TombstonesRequested,
)
from amanat.db import Database
from amanat.errors import Unauthenticated
from amanat.facts import FactOpener
from amanat.inbox import Handler, Inbox
from amanat.leases import LeaseClient
from amanat.principal import Claims
from amanat.received import Received, received
from amanat.sealing import DataKey, associated_data, mint, seal

Fields = Mapping[str, Any]


@dataclass
class Gate:
    """Discloses, withdraws and leases for one agency. `asked` is what leases were asked for."""

    agency: Agency
    purpose: str
    away: bool = False
    expires_in_s: float = 30.0
    asked: list[dict[str, str]] = field(default_factory=list)
    keys: dict[tuple[str, str], dict[UUID, tuple[Category, int, DataKey]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _seq: int = 0

    def code(self) -> str:
        """A fresh code of the agency."""
        return new_code(PREFIX[self.agency], os.urandom)

    def opened(self, referral: str, organisation: str, *, consent_version: int = 1) -> Received:
        return self._event(
            ReferralOpened(
                referral=referral,
                organisation=organisation,
                purpose=self.purpose,
                opened_at=datetime.now(UTC),
                consent_version=consent_version,
            )
        )

    def disclosed(
        self,
        referral: str,
        organisation: str,
        category: Category,
        *records: tuple[str, Fields],
        epoch: int = 1,
    ) -> Received:
        """A category's whole projection as (record name, fields), under a key of its own that is leased from now on."""
        key, event_id = mint(os.urandom), uuid4()
        self.keys[referral, organisation][key.key_id] = (category, epoch, key)
        now = datetime.now(UTC)
        content = DisclosedRecords(
            records=tuple(
                DisclosedRecord(record=name, record_id=uuid4(), recorded_at=now, fields=dict(fields))
                for name, fields in records
            )
        )
        aad = associated_data(
            referral=referral,
            category=category,
            event_id=event_id,
            contract=DISCLOSED_RECORDS,
            key_id=key.key_id,
            epoch=epoch,
        )
        event = CategoryDisclosed(
            referral=referral,
            organisation=organisation,
            category=category,
            epoch=epoch,
            key_id=key.key_id,
            seq=self._next(),
            sealed=seal(key, content.model_dump_json().encode(), aad, os.urandom),
        )
        return self._event(event, event_id)

    def withdrawn(
        self, referral: str, organisation: str, category: Category, *, epoch: int = 1, destroys: bool = True
    ) -> Received:
        """Ends a category up to an epoch; the keys are destroyed unless the test wants to see the tombstone alone."""
        held = self.keys[referral, organisation]
        if destroys:
            for key_id in [each for each, (of, at, _) in held.items() if of is category and at <= epoch]:
                del held[key_id]
        event = CategoryWithdrawn(
            referral=referral,
            organisation=organisation,
            category=category,
            epoch=epoch,
            consent_version=self._next(),
            withdrawn_at=datetime.now(UTC),
        )
        return self._event(event)

    def kit(self, referral: str, organisation: str, barcode: str) -> Received:
        return self._event(
            KitAnnounced(
                referral=referral, organisation=organisation, barcode=barcode, announced_at=datetime.now(UTC)
            )
        )

    def asks_for_tombstones(self) -> Received:
        return self._event(TombstonesRequested(request_id=uuid4(), requested_at=datetime.now(UTC)))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The listener of leases."""
        items = json.loads(request.content)["items"]
        self.asked.extend(items)
        if self.away:
            raise httpx.ConnectError("away")
        return httpx.Response(200, json={"leases": [self._lease(item) for item in items]})

    def client(self, clock: Callable[[], float] = boottime) -> LeaseClient:
        """The agency's side of it."""

        async def token() -> str:
            return "service"

        http = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return LeaseClient("http://gate.test", token, self.agency, http, clock)

    def _lease(self, item: Mapping[str, str]) -> dict[str, Any]:
        held = self.keys.get((item["referral"], item["organisation"]), {})
        keys = [
            {
                "category": category.value,
                "epoch": epoch,
                "key_id": str(key_id),
                "key": base64.b64encode(key.key).decode(),
            }
            for key_id, (category, epoch, key) in held.items()
        ]
        return {
            "referral": item["referral"],
            "consent_version": 1 if keys else 0,
            "expires_in_s": self.expires_in_s if keys else 0,
            "keys": keys,
        }

    def _event(self, event: Event, event_id: UUID | None = None) -> Received:
        headers = {
            "ce_id": str(event_id or uuid4()),
            "ce_type": event.type,
            "ce_source": "/intake",
            "ce_subject": event.referral,
            "ce_time": datetime.now(UTC).isoformat(),
            "ce_organisation": getattr(event, "organisation", ""),
        }
        return received(
            topic=f"disclosures.{self.agency}",
            partition=0,
            offset=self._next(),
            timestamp_ms=0,
            key=event.referral.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
            body=event.body(),
        )

    def _next(self) -> int:
        self._seq += 1
        return self._seq


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

    def facts(self, rows: Sequence[Any]) -> list[Fact]:
        """What the gate reads in outbox rows (with columns event_id, type, referral, headers, body)."""
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
