"""The cell and its gate in one process: real PostgreSQL, real keys, both apps, facts as they come from Kafka."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import text

from amanat import sealing
from amanat.auth import Verifier
from amanat.categories import Agency
from amanat.consent import own
from amanat.contracts.base import Fact, SealedFact
from amanat.contracts.disclosures import CategoryDisclosed, DisclosedRecords
from amanat.db import Database
from amanat.facts import FactOpener, FactSealer
from amanat.inbox import Inbox
from amanat.kek import FileKekPrivate, FileKekPublic
from amanat.principal import Principal
from amanat.received import Received, received
from amanat_local.keys import Keys
from intake.handlers import NEVER_PARK, handlers, holding
from intake.service.gatekeeper import GateItself
from intake.service.instruments import Instruments
from intake.settings import GateSettings

ISSUER = "https://issuer.test/realms/amanat"
KARACHI, LAHORE = "arcc-karachi", "arcc-lahore"
SADDAR, CLIFTON = "station-saddar", "station-clifton"
LAB, PARTNER = "lab-karachi", "partner-hamdam"
POLICE, FORENSICS, LEGAL = Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID
PURPOSES = {POLICE: "investigation", FORENSICS: "forensic_analysis", LEGAL: "legal_representation"}
HOME = {POLICE: SADDAR, FORENSICS: LAB, LEGAL: PARTNER}
PEOPLE = {
    "mlo": ("cell_clinician", "medico-legal"),
    "records": ("cell_records", "records"),
    "superintendent": ("cell_supervisor", "superintendent-office"),
    "deputy": ("cell_supervisor", "superintendent-office"),
    "desk": ("cell_staff", "reception"),
}
"""At each cell: name → (role, unit)."""
CANARY = "Zara-Canary-8123"
HERSELF = [{"role": "survivor", "decision": "consent"}]
ADULT = {"full_name": CANARY, "cnic": "42101-1234567-1", "birth_date": "1999-02-03", "mlc_number": "MLC-77/26"}


class Issuer:
    """Signs tokens and serves its keys without a network."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "first", "use": "sig", "alg": "ES256"})

    def verifier(self, audience: str) -> Verifier:
        keys = {"keys": [self.key.as_dict(private=False)]}
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=keys))
        return Verifier(ISSUER, audience, f"{ISSUER}/certs", httpx.AsyncClient(transport=transport))

    def token(
        self,
        audience: str,
        client: str,
        agency: str,
        organisation: str,
        role: str,
        cells: Sequence[str],
        /,
        **more: Any,
    ) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": [audience], "exp": now + 300, "iat": now, "sub": client, "azp": client,
            "jti": str(uuid4()), "agency": agency, "organisation": organisation, "roles": [role], "cells": list(cells),
            **more,
        }  # fmt: skip
        return jwt.encode({"alg": "ES256", "kid": "first"}, claims, self.key, algorithms=["ES256"])


def consent(agency: Agency, *categories: str, organisation: str | None = None, **more: Any) -> dict[str, Any]:
    """An adult's own consent, as a client posts it."""
    return {
        "recipient": {"agency": agency, "organisation": organisation or HOME[agency]},
        "categories": list(categories),
        "basis": "consent",
        "deciders": HERSELF,
        **more,
    }


def principal(cell: str = KARACHI) -> Principal:
    """The cell's own system, for calling services directly."""
    return Principal(
        agency=Agency.INTAKE,
        organisation=cell,
        roles=frozenset({"hospital_system"}),
        cells=frozenset({cell}),
        subject=f"{cell}-system",
        client=f"{cell}-system",
        token_id="token-of-a-test",
    )


@dataclass
class World:
    """What a test has in hand. Everything is real but Kafka and the network."""

    settings: GateSettings
    keys: Keys
    instruments: Instruments
    kek: FileKekPrivate
    public: FileKekPublic
    issuer: Issuer
    main: Database
    """As `intake_api`."""
    gate: Database
    """As `intake_gate`."""
    main_app: FastAPI
    gate_app: FastAPI

    def __post_init__(self) -> None:
        self.now = datetime.now(UTC)
        self.gate_access = own(GateItself())
        opener = FactOpener.from_dir(self.keys.facts_dir, self.instruments.directory)
        self.inbox = Inbox(
            self.gate,
            handlers(
                opener,
                self.gate_access,
                self.instruments,
                lambda: datetime.now(UTC),
                remembers=timedelta(days=self.settings.inbox_retention_days),
            ),
            never_park=NEVER_PARK,
            tenants_of=lambda _: None,
            hold=holding(opener),
        )
        self.offset = 0

    def cell(self, name: str = KARACHI, cells: Sequence[str] = ()) -> httpx.AsyncClient:
        """The HTTP client of a cell's system."""
        token = self.issuer.token("amanat-intake", f"{name}-system", "intake", name, "hospital_system", cells or [name])
        return self._client(self.main_app, token)

    def person(self, who: str, cell: str = KARACHI, **claims: Any) -> httpx.AsyncClient:
        """The HTTP client of one of PEOPLE at a cell; `claims` change what the token says."""
        role, unit = PEOPLE[who]
        told = {"sub": f"{cell}.{who}", "roles": [role], **({"unit": unit} if unit else {}), **claims}
        told = {name: value for name, value in told.items() if value is not None}
        token = self.issuer.token("amanat-intake", "amanat-desk", "intake", cell, role, [cell], **told)
        return self._client(self.main_app, token)

    async def as_person(
        self, who: str, method: str, path: str, body: Any = None, *, key: str | None = None, **token: Any
    ) -> httpx.Response:
        """One request of a person's, with an idempotency key of its own."""
        async with self.person(who, **token) as client:
            headers = {"Idempotency-Key": key or str(uuid4())}
            return await client.request(method, path, json=body, headers=headers)

    async def ask(
        self, case: str, agency: Agency, *categories: str, cell: str = KARACHI, **more: Any
    ) -> httpx.Response:
        """Asks for a disclosure on a court's order, for thirty days unless `more` says otherwise."""
        body = {
            "recipient": {"agency": agency, "organisation": HOME[agency]},
            "categories": list(categories),
            "basis": "court_order",
            "reference": "Order 7 of 2026",
            "expires_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
            **more,
        }
        return await self.as_person("records", "POST", f"/v1/cases/{case}/disclosures", body, cell=cell)

    async def approve(self, case: str, disclosure: str, *, who: str = "superintendent", **token: Any) -> httpx.Response:
        path = f"/v1/cases/{case}/disclosures/{disclosure}/approval"
        return await self.as_person(who, "POST", path, **token)

    async def order(self, case: str, agency: Agency, *categories: str, **more: Any) -> str:
        """A court's order, asked for and approved by the two people whom it takes; the id of its consent."""
        asked = await self.ask(case, agency, *categories, **more)
        assert asked.status_code == 201, asked.text
        approved = await self.approve(case, asked.json()["disclosure"])
        assert approved.status_code == 200, approved.text
        return str(approved.json()["consent"])

    async def end_order(self, case: str, consent: str, **token: Any) -> httpx.Response:
        """A supervisor ends an order, named by its consent, before its time."""
        [row] = await self.rows("SELECT disclosure FROM outside_decisions WHERE consent = :c", c=consent)
        path, body = f"/v1/cases/{case}/disclosures/{row.disclosure}/ending", {"reason": f"{CANARY}: it was lifted"}
        return await self.as_person("superintendent", "POST", path, body, **token)

    def keeper(self, name: str = KARACHI, role: str = "cell_records") -> httpx.AsyncClient:
        """The HTTP client of a person of the cell in this role."""
        token = self.issuer.token("amanat-intake", f"{name}-{role}", "intake", name, role, [name])
        return self._client(self.main_app, token)

    def service(self, agency: Agency) -> httpx.AsyncClient:
        """The HTTP client of an agency's service, at the gate."""
        token = self.issuer.token("amanat-gate", f"{agency}-service", agency, agency, "service", [])
        return self._client(self.gate_app, token)

    def _client(self, app: FastAPI, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://service.test",
            headers={"Authorization": f"Bearer {token}"},
        )

    async def post(
        self, path: str, body: Mapping[str, Any], *, cell: str = KARACHI, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """A creating POST with a key of its own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.cell(cell) as client:
            return await client.post(path, json=body, headers={"Idempotency-Key": key or str(uuid4()), **named})

    async def get(self, path: str, *, cell: str = KARACHI, **headers: str) -> httpx.Response:
        async with self.cell(cell) as client:
            return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def open_case(self, *consents: Mapping[str, Any], **parts: Any) -> tuple[str, dict[str, str]]:
        """A case of an adult; its code, and {agency: referral code}."""
        body = {"person": ADULT, "incident": {"history": "She told of a street", "acts": ["rape"]}, **parts}
        answer = await self.post("/v1/cases", {**body, "consents": list(consents)})
        assert answer.status_code == 201, answer.text
        opened = answer.json()
        return opened["case"], {referral["agency"]: referral["referral"] for referral in opened["referrals"]}

    async def consent_of(self, case: str, agency: Agency) -> str:
        """The id of the case's newest consent to an agency."""
        shown = (await self.get(f"/v1/cases/{case}/consents")).json()
        return [each["consent"] for each in shown["consents"] if each["agency"] == agency][-1]

    async def withdraw(self, case: str, consent_id: str, *categories: str, cell: str = KARACHI) -> httpx.Response:
        async with self.cell(cell) as client:
            return await client.post(
                f"/v1/cases/{case}/consents/{consent_id}/withdrawal",
                json={"categories": list(categories)} if categories else {},
            )

    async def lease(self, agency: Agency, *referrals: str, organisation: str = "", purpose: str = "") -> httpx.Response:
        items = [
            {
                "referral": referral,
                "organisation": organisation or HOME[agency],
                "purpose": purpose or PURPOSES[agency],
            }
            for referral in referrals
        ]
        async with self.service(agency) as client:
            return await client.post("/internal/v1/leases", json={"items": items})

    async def leased(self, agency: Agency, referral: str, **asked: str) -> dict[str, Any]:
        """The one lease that the gate gives for this referral."""
        answer = await self.lease(agency, referral, **asked)
        assert answer.status_code == 200, answer.text
        [given] = answer.json()["leases"]
        return dict(given)

    async def readable(self, agency: Agency, referral: str) -> dict[str, list[dict[str, Any]]]:
        """What the agency can read now: {category: [record's fields with its kind]}, the newest of each category."""
        given = await self.leased(agency, referral)
        keys = {UUID(each["key_id"]): base64.b64decode(each["key"]) for each in given["keys"]}
        return open_with(keys, await self.disclosed(referral))

    async def disclosed(self, referral: str) -> list[Any]:
        """Outbox rows of disclosures to one referral that were not cancelled."""
        rows = await self.outbox(referral)
        return [row for row in rows if row.type == CategoryDisclosed.type and row.cancelled_at is None]

    async def outbox(self, referral: str | None = None) -> list[Any]:
        """Outbox rows in their order."""
        rows = await self.rows("SELECT * FROM outbox ORDER BY id")
        return [row for row in rows if referral in (None, row.referral)]

    async def rows(self, statement: str, **parameters: Any) -> list[Any]:
        """Rows as the gate sees them, across cells."""
        async with self.gate.transaction(()) as session:
            return list(await session.execute(text(statement), parameters))

    async def fact(self, agency: Agency, fact: Fact, **changes: Any) -> Received:
        """Reports a fact as this agency's service does, and lets the gate take it."""
        event = self.sealed(agency, fact, **changes)
        await self.inbox.process([event])
        return event

    def sealed(
        self, agency: Agency, fact: Fact, *, body: bytes | None = None, age: timedelta = timedelta(0)
    ) -> Received:
        """The fact as it comes from Kafka, signed so long ago."""
        sealer = FactSealer.from_files(agency, self.keys.signing(agency), self.instruments.directory)
        event_id, at = uuid4(), datetime.now(UTC) - age
        sealed: SealedFact = sealer.seal(fact, event_id=event_id, type=fact.type, referral=fact.referral, time=at)
        self.offset += 1
        headers = {"ce_id": str(event_id), "ce_type": fact.type, "ce_source": f"/{agency}", "ce_time": at.isoformat(),
                   "ce_subject": fact.referral}  # fmt: skip
        return received(
            topic=f"facts.{agency}",
            partition=0,
            offset=self.offset,
            timestamp_ms=0,
            key=fact.referral.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
            body=body or sealed.body(),
        )

    async def parked(self) -> list[str]:
        """Why events are parked, oldest first."""
        return [
            row.reason for row in await self.rows("SELECT reason FROM parked WHERE released_at IS NULL ORDER BY id")
        ]

    async def timeline(self, case: str) -> list[dict[str, Any]]:
        return list((await self.get(f"/v1/cases/{case}")).json()["timeline"])


def open_with(keys: Mapping[UUID, bytes], rows: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    """What these keys open of these outbox rows: {category: [fields]}; of each category the highest `seq`."""
    found: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    for row in rows:
        event = CategoryDisclosed.parse(row.body)
        key = keys.get(event.key_id)
        if key is None or event.seq < found.get(event.category, (0, []))[0]:
            continue
        aad = sealing.associated_data(
            referral=event.referral, category=event.category, event_id=row.event_id, contract=event.contract,
            key_id=event.key_id, epoch=event.epoch,
        )  # fmt: skip
        content = DisclosedRecords.parse(sealing.open_sealed(key, event.sealed, aad))
        records = [{"kind": record.record, **record.fields} for record in content.records]
        found[event.category] = (event.seq, records)
    return {category: records for category, (_, records) in found.items()}


def body_of(row: Any) -> dict[str, Any]:
    """An outbox row's event."""
    return dict(json.loads(row.body))
