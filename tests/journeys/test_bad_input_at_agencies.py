"""Bad JSON at the agencies, to every address that takes any: a clear problem without a word of what was sent, never a
fault, and no table changed. Each service is its own app on its own database, without a stack.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from amanat.agency.testing import World
from amanat.categories import Agency, Category
from amanat_local.postgres import Postgres

from .refusing import CANARY, NAME, OVERRIDES, assert_refused, contents, not_json

Serve = Callable[..., Awaitable[World]]
POLICE, FORENSICS, LEGAL = Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID
WHO = {
    POLICE: ("station-saddar", "reporting_centre_system"),
    FORENSICS: ("lab-karachi", "laboratory_system"),
    LEGAL: ("partner-hamdam", "legal_partner_system"),
}
TO_LABORATORY = {"counterpart": {"agency": "forensics", "organisation": "lab-karachi"}, "person_name": NAME}
TO_STATION = {"counterpart": {"agency": "police-link", "organisation": "station-saddar"}, "person_name": NAME}
RECEIPT = {**TO_STATION, "seal_intact": True, "accepted": True}
ABSURD = (
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2300-01-01T00:00:00Z",
    "2026-02-30T10:00:00Z", "2026-01-01T10:00:00", "2026-01-01", 10**18, f"2026-01-01T10:00:00Z {CANARY}",
)  # fmt: skip
NOBODY = ({"agency": "forensics", "organisation": CANARY}, {"agency": CANARY, "organisation": "lab-karachi"}, CANARY, 7)


@dataclass(frozen=True)
class Address:
    """Where an agency takes a body, a good one, and its fields: a text, a time, and others with what is wrong there."""

    agency: Agency
    path: str
    good: Mapping[str, Any]
    text: str = ""
    time: str = ""
    wrong: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    before: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """What is posted first: without it even a good body would be refused."""
    keyed: bool = True
    bodyless: bool = False
    """Whether no body at all is a good one."""

    def __str__(self) -> str:
        return f"{self.agency} {self.path}"


KIT, REFERRAL, CASE, HOOK = "/v1/kits/{barcode}", "/v1/referrals/{code}", "/v1/cases/{code}", "/v1/subscriptions"
COUNTERPART = {"counterpart": NOBODY}
ADDRESSES = (
    Address(POLICE, f"{REFERRAL}/acknowledgement", {"received_by": NAME}, "received_by", "at", bodyless=True),
    Address(POLICE, f"{REFERRAL}/fir", {"fir_number": NAME, "io_name": NAME}, "io_name", "registered_at",
            {"fir_number": ("", 7), "sections": (CANARY, [NAME] * 101)}),
    Address(POLICE, f"{REFERRAL}/refusal", {"reason_code": "other", "reason": NAME}, "reason",
            wrong={"reason_code": (CANARY, 7)}),
    Address(POLICE, f"{KIT}/release", TO_LABORATORY, "person_name", "at", COUNTERPART),
    Address(POLICE, f"{KIT}/receipt", TO_LABORATORY, "person_name", "at", COUNTERPART | {"seal_intact": (CANARY, 1)}),
    Address(POLICE, HOOK, {"url": f"https://{CANARY}.example/hook"}, "url",
            wrong={"url": (f"ftp://{CANARY}.example", f"https://127.0.0.1/{CANARY}", CANARY, 7)}),
    Address(POLICE, HOOK + "/{subscription}/replay", {}, time="since", keyed=False),
    Address(FORENSICS, f"{KIT}/receipt", RECEIPT, "person_name", "at",
            COUNTERPART | {"accepted": (False, CANARY, 1), "rejection_reasons": (CANARY, [NAME] * 51)}),
    Address(FORENSICS, f"{KIT}/release", TO_STATION, "person_name", "at", COUNTERPART | {"temperature_c": (CANARY,)}),
    Address(FORENSICS, f"{KIT}/report", {"conclusion": NAME}, "conclusion", "issued_at",
            {"dna_profile_obtained": (CANARY, 1)}, before=((f"{KIT}/receipt", RECEIPT),)),
    Address(LEGAL, f"{CASE}/assignment", {"counsel_name": NAME}, "counsel_name", "assigned_at",
            {"hearing_dates": (CANARY, ["9999-12-31T23:59:59-14:00"], [f"2026-01-01T10:00:00Z {CANARY}"])}),
    Address(LEGAL, f"{CASE}/decline", {"reason": NAME}, "reason", wrong={"reason": (7, NAME * 10_000)}),
)  # fmt: skip
each_address = pytest.mark.parametrize("address", ADDRESSES, ids=str)


@dataclass(frozen=True)
class Desk:
    """A client of one agency with a referral, a kit and, at the police, a subscription; and the agency's tables."""

    address: Address
    http: httpx.AsyncClient
    named: Mapping[str, str]
    postgres: Postgres

    async def post(self, body: Any, *, path: str = "", key: str | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or uuid4().hex}
        return await self.http.post((path or self.address.path).format(**self.named), content=content, headers=headers)

    @contextmanager
    def nothing_stored(self) -> Iterator[None]:
        database = self.address.agency.replace("-", "_")
        before = contents(self.postgres, database)
        yield
        after = contents(self.postgres, database)
        assert {table for table, held in before.items() if after[table] != held} == set()


@asynccontextmanager
async def desk_of(serve: Serve, postgres: Postgres, address: Address) -> AsyncIterator[Desk]:
    organisation, role = WHO[address.agency]
    world = await serve(address.agency, role=role, rate_per_minute=1_000_000)
    code, gate = world.gate.code(), world.gate
    await world.tell(
        gate.opened(code, organisation),
        gate.disclosed(code, organisation, Category.INCIDENT, ("incident", {"history": "told once"})),
        gate.kit(code, organisation, "SAK-0007"),
    )
    async with world.client(organisation) as http:
        named = {"code": code, "barcode": "SAK-0007", "subscription": ""}
        desk = Desk(address, http, named, postgres)
        for path, body in address.before:
            assert (await desk.post(body, path=path)).is_success
        if "{subscription}" in address.path:
            made = await desk.post({"url": "https://hook.example/amanat"}, path=HOOK)
            named["subscription"] = made.json()["subscription"]
            postgres.sql("police_link", "UPDATE webhook_subscriptions SET state = 'active'")
        yield desk


@pytest.mark.parametrize("agency", WHO)
async def test_every_address_of_an_agency_that_takes_a_body_is_tried(serve: Serve, agency: Agency) -> None:
    world = await serve(agency, role=WHO[agency][1])
    taking = {
        path for path, each in world.app.openapi()["paths"].items() if "requestBody" in each.get("post", {})
    }  # fmt: skip
    assert taking == {address.path for address in ADDRESSES if address.agency is agency}


@each_address
async def test_a_body_that_does_not_fit_its_contract_is_refused_whole(
    serve: Serve, postgres: Postgres, address: Address
) -> None:
    wrong: list[dict[str, Any]] = [{CANARY: 1}, {"tenant": CANARY}]
    wrong += [{name: value} for name, values in address.wrong.items() for value in values]
    wrong += [{address.time: value} for value in ABSURD if address.time]
    if address.text:
        wrong += [{address.text: f"{CANARY}{chr(point)}{CANARY}"} for point in OVERRIDES]
        wrong += [{address.text: each} for each in (f"{NAME}\x00", [NAME], {CANARY: NAME}, NAME * 3_000)]
    async with desk_of(serve, postgres, address) as desk:
        with desk.nothing_stored():
            for each in wrong:
                assert_refused(await desk.post({**address.good, **each}), 422)


@each_address
async def test_a_body_that_is_no_acceptable_json_is_refused(serve: Serve, postgres: Postgres, address: Address) -> None:
    async with desk_of(serve, postgres, address) as desk:
        with desk.nothing_stored():
            for body, status in not_json({**address.good, CANARY: NAME}).values():
                if body or not address.bodyless:
                    assert_refused(await desk.post(body), status)


@pytest.mark.parametrize("address", [address for address in ADDRESSES if address.keyed], ids=str)
async def test_a_key_that_came_before_with_another_body_is_refused(
    serve: Serve, postgres: Postgres, address: Address
) -> None:
    key = f"{CANARY}-{uuid4()}"
    other = {**address.good, address.text: "https://another.example/hook" if address.path == HOOK else "another"}
    async with desk_of(serve, postgres, address) as desk:
        first = await desk.post(address.good, key=key)
        assert first.is_success, first.text
        with desk.nothing_stored():
            assert_refused(await desk.post(other, key=key), 422)
            again = await desk.post(address.good, key=key)
        assert (again.status_code, again.headers.get("location")) == (first.status_code, first.headers.get("location"))


@pytest.mark.parametrize("address", [address for address in ADDRESSES if address.keyed], ids=str)
async def test_a_good_body_is_taken_whenever_it_says_it_was(serve: Serve, postgres: Postgres, address: Address) -> None:
    """What is refused above is refused for its fault alone; and a doubtful time holds nobody up."""
    doubtful = {address.time: "2150-01-01T00:00:00Z"} if address.time else {}
    async with desk_of(serve, postgres, address) as desk:
        taken = await desk.post({**address.good, **doubtful})
        assert taken.is_success, taken.text
