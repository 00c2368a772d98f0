"""What a reporting centre reports: once, sealed, as its own, to nobody else's referral."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from amanat.agency.testing import World
from amanat.categories import Agency, Category
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged, ReferralRefused
from amanat.tables import ledger_entries, looks, own_records

SADDAR, CLIFTON = "station-saddar", "station-clifton"
STORY = ("incident", {"history": "told once"})
FIR = {"fir_number": "112/2026", "io_name": "Inspector Nadia", "sections": ["376"]}
HALF = {"counterpart": {"agency": "forensics", "organisation": "lab-karachi"}, "seal_number": "S-1"}


async def open_case(police: World, organisation: str = SADDAR) -> str:
    code = police.gate.code()
    await police.tell(
        police.gate.opened(code, organisation),
        police.gate.disclosed(code, organisation, Category.INCIDENT, STORY),
        police.gate.kit(code, organisation, "SAK-0007"),
    )
    return code


async def post(
    police: World, path: str, body: dict[str, Any], *, key: str = "1", organisation: str = SADDAR, **token: str
) -> httpx.Response:
    async with police.client(organisation, **token) as officer:
        return await officer.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": key})


async def read(police: World, code: str) -> httpx.Response:
    async with police.client(SADDAR) as officer:
        return await officer.get(f"/v1/referrals/{code}")


async def test_an_acknowledgement_is_kept_sent_and_shown(police: World) -> None:
    code = await open_case(police)
    answer = await post(police, f"referrals/{code}/acknowledgement", {"received_by": "SI Bilal"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["referral"], made["state"]) == (code, "acknowledged")
    assert answer.headers["location"] == f"/v1/referrals/{code}#{made['record']}"
    [fact] = await police.facts()
    assert isinstance(fact, ReferralAcknowledged)
    assert fact.record.received_by == "SI Bilal"
    shown = (await read(police, code)).json()
    assert shown["state"] == "acknowledged"
    [own] = shown["own"]
    assert (own["record"], own["record_id"]) == ("acknowledgement", made["record"])
    assert own["fields"]["received_by"] == "SI Bilal"


async def test_what_was_recorded_lies_sealed_and_in_the_ledger(police: World) -> None:
    code = await open_case(police)
    await post(police, f"referrals/{code}/fir", FIR)
    async with police.desk.database.transaction((SADDAR,)) as session:
        [kept] = (await session.execute(select(own_records))).all()
        [entry] = (await session.execute(select(ledger_entries))).all()
        outgoing = (await session.execute(text("SELECT headers::text, body FROM outbox"))).all()
    assert b"Nadia" not in bytes(kept.sealed)
    assert (entry.kind, entry.subject) == ("fir", code)
    assert all("Nadia" not in row.headers and b"Nadia" not in bytes(row.body) for row in outgoing)


async def test_the_fir_reaches_the_gate_as_it_was_reported(police: World) -> None:
    code = await open_case(police)
    await post(police, f"referrals/{code}/fir", FIR)
    [fact] = await police.facts()
    assert isinstance(fact, FirRegistered)
    assert fact.record.model_dump(mode="json", exclude_none=True) == FIR


@pytest.mark.parametrize(
    ("first", "then", "status", "code"),
    [
        ("acknowledgement", "acknowledgement", 409, "already-acknowledged"),
        ("fir", "acknowledgement", 409, "already-acknowledged"),
        ("fir", "fir", 409, "fir-already-registered"),
        ("fir", "refusal", 409, "fir-already-registered"),
        ("refusal", "refusal", 409, "already-refused"),
        ("refusal", "fir", 201, None),
        ("acknowledgement", "refusal", 201, None),
    ],
)
async def test_what_may_follow_what(police: World, first: str, then: str, status: int, code: str | None) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "acknowledgement": {},
        "fir": FIR,
        "refusal": {"reason_code": "other_jurisdiction"},
    }
    referral = await open_case(police)
    assert (await post(police, f"referrals/{referral}/{first}", bodies[first])).status_code == 201
    answer = await post(police, f"referrals/{referral}/{then}", bodies[then], key="2")
    assert answer.status_code == status
    assert answer.json().get("code") == code
    assert len(await police.facts()) == (1 if code else 2)


async def test_a_refusal_says_why(police: World) -> None:
    code = await open_case(police)
    await post(police, f"referrals/{code}/refusal", {"reason_code": "duplicate", "reason": "see 97/2026"})
    [fact] = await police.facts()
    assert isinstance(fact, ReferralRefused)
    assert (fact.record.reason_code, fact.record.reason) == ("duplicate", "see 97/2026")


async def test_a_request_sent_twice_takes_effect_once_and_is_answered_as_things_stand(police: World) -> None:
    code = await open_case(police)
    first = await post(police, f"referrals/{code}/acknowledgement", {})
    await post(police, f"referrals/{code}/fir", FIR, key="2")
    again = await post(police, f"referrals/{code}/acknowledgement", {})
    assert again.status_code == 201
    assert again.json() == {**first.json(), "state": "fir_registered"}
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await police.facts()) == 2


async def test_of_ten_at_once_one_takes_effect(police: World) -> None:
    code = await open_case(police)
    answers = await asyncio.gather(*(post(police, f"referrals/{code}/fir", FIR) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["record"] for answer in answers if answer.status_code == 201}) == 1
    assert len(await police.facts()) == 1


async def test_nobody_acts_on_anothers_or_an_unknown_referral_and_both_look_alike(police: World) -> None:
    foreign, unknown = await open_case(police, CLIFTON), police.gate.code()
    found = []
    for code in (foreign, unknown):
        answer = await post(police, f"referrals/{code}/fir", FIR)
        body = {name: value for name, value in answer.json().items() if name != "trace_id"}
        found.append((answer.status_code, body))
    assert found[0] == found[1]
    assert found[0][0] == 404
    assert await police.facts() == []


async def test_after_everything_was_withdrawn_a_fir_is_still_taken_and_stays_readable(police: World) -> None:
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    assert (await read(police, code)).status_code == 404
    assert (await post(police, f"referrals/{code}/fir", FIR)).status_code == 201
    answer = await read(police, code)
    assert answer.status_code == 200
    assert answer.json()["parts"] == {}
    assert answer.json()["own"][0]["fields"] == FIR
    assert "told once" not in answer.text


async def test_a_fir_without_its_number_and_a_field_nobody_knows_are_refused_without_echo(police: World) -> None:
    code = await open_case(police)
    for body in ({"io_name": "Nadia"}, {**FIR, "cnic": "4210112345671"}, {"fir_number": "a\u202eb"}):
        answer = await post(police, f"referrals/{code}/fir", body)
        assert answer.status_code == 422
        assert "Nadia" not in answer.text
        assert "4210112345671" not in answer.text
    assert await police.facts() == []


async def test_both_halves_of_a_kit_are_attested_and_sent(police: World) -> None:
    code = await open_case(police)
    came = {"counterpart": {"agency": "intake", "organisation": "arcc-karachi"}, "seal_intact": True}
    receipt = await post(police, "kits/SAK-0007/receipt", came)
    release = await post(police, "kits/SAK-0007/release", HALF, key="2")
    assert (receipt.status_code, release.status_code) == (201, 201)
    received, released = await police.facts()
    assert isinstance(received, KitReceived)
    assert isinstance(released, KitReleased)
    assert (released.referral, released.barcode) == (code, "SAK-0007")
    attestation = released.half.attestation
    assert attestation is not None
    assert (attestation.subject, attestation.sha256) == ("station-saddar.police_officer", release.json()["sha256"])
    async with police.client(SADDAR) as officer:
        shown = (await officer.get("/v1/kits/SAK-0007")).json()
    assert [own["record"] for own in shown["own"]] == ["kit_received", "kit_released"]
    assert set(shown["parts"]) == {"incident"}
    again = await post(police, "kits/SAK-0007/release", HALF, key="2")
    assert again.json() == release.json()


async def test_a_kit_of_another_centre_is_404_and_a_counterpart_nobody_knows_422(police: World) -> None:
    await open_case(police, CLIFTON)
    assert (await post(police, "kits/SAK-0007/release", HALF)).status_code == 404
    body = {"counterpart": {"agency": "forensics", "organisation": "lab-nowhere"}}
    answer = await post(police, "kits/SAK-0007/release", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-counterpart")


async def test_a_foreign_kit_and_one_that_never_was_cannot_be_told_apart(police: World) -> None:
    await open_case(police, CLIFTON)
    found = []
    for barcode in ("SAK-0007", "SAK-9999"):
        police.gate.asked.clear()
        async with police.client(SADDAR) as officer:
            answer = await officer.get(f"/v1/kits/{barcode}")
        body = {name: value for name, value in answer.json().items() if name != "trace_id"}
        found.append((answer.status_code, body, len(police.gate.asked)))
    assert found[0] == found[1] == (404, found[0][1], 1)
    async with police.desk.database.transaction((SADDAR,)) as session:
        refused = list((await session.scalars(select(looks.c.refused).order_by(looks.c.arrival))).all())
    assert refused == [police.desk.instruments.macs.refusal(each) for each in ("SAK-0007", "SAK-9999")]


@pytest.mark.parametrize(
    ("organisation", "role", "agency", "status"),
    [
        (SADDAR, "police_officer", Agency.POLICE_LINK, 200),
        (SADDAR, "reporting_centre_system", Agency.POLICE_LINK, 200),
        (SADDAR, "laboratory_analyst", Agency.POLICE_LINK, 403),
        ("lab-karachi", "police_officer", Agency.FORENSICS, 403),
        (SADDAR, "service", Agency.POLICE_LINK, 403),
    ],
)
async def test_who_may_read_and_act(police: World, organisation: str, role: str, agency: str, status: int) -> None:
    code = await open_case(police)
    async with police.client(organisation, role=role, agency=agency) as client:
        for path in ("referrals", f"referrals/{code}", "kits/SAK-0007"):
            assert (await client.get(f"/v1/{path}")).status_code == status
    paths = [f"referrals/{code}/{act}" for act in ("acknowledgement", "fir", "refusal")]
    for path in (*paths, "kits/SAK-0007/release", "kits/SAK-0007/receipt"):
        answer = await post(police, path, {}, organisation=organisation, role=role, agency=agency)
        assert (answer.status_code == 403) == (status == 403)


async def test_without_a_key_or_a_token_nothing_is_recorded(police: World) -> None:
    code = await open_case(police)
    async with police.client(SADDAR) as officer:
        assert (await officer.post(f"/v1/referrals/{code}/fir", json=FIR)).status_code == 400
        del officer.headers["authorization"]
        assert (await officer.get(f"/v1/referrals/{code}")).status_code == 401
    assert await police.facts() == []
