"""A gate in memory: it discloses, withdraws and leases as the test says."""

from __future__ import annotations

import base64
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from amanat.boottime import boottime
from amanat.categories import Agency, Category
from amanat.codes import PREFIX, new_code
from amanat.contracts.base import Event
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
from amanat.leases import LeaseClient
from amanat.received import Received, received
from amanat.sealing import DataKey, associated_data, mint, seal

Fields = Mapping[str, Any]


OPENED_AT_VERSION = 1
"""The consent version of a first opening; withdrawals raise it."""


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

    def opened(self, referral: str, organisation: str, *, consent_version: int = OPENED_AT_VERSION) -> Received:
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
            consent_version=OPENED_AT_VERSION + self._next(),
            withdrawn_at=datetime.now(UTC),
        )
        return self._event(event)

    def kit(self, referral: str, organisation: str, barcode: str) -> Received:
        return self._event(
            KitAnnounced(referral=referral, organisation=organisation, barcode=barcode, announced_at=datetime.now(UTC))
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
