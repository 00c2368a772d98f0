"""A laboratory and its kits: received known or not, reported on, handed back."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from amanat import parked
from amanat.agency.testing import World
from amanat.categories import Agency, Category
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.forensics import KitReported
from amanat.tables import own_records
from forensics.models import parcels

KARACHI, LAHORE = "lab-karachi", "lab-lahore"
POLICE = {"agency": "police-link", "organisation": "station-saddar"}
ACCEPTED = {"counterpart": POLICE, "seal_intact": True, "accepted": True, "person_name": "Constable Imran"}
REJECTED = {"counterpart": POLICE, "seal_intact": False, "accepted": False, "rejection_reasons": ["seal broken"]}
REPORT = {"report_number": "FR-9", "conclusion": "profile obtained", "hiv_finding": "negative"}


async def announce(laboratory: World, barcode: str = "SAK-0007", organisation: str = KARACHI) -> str:
    code = laboratory.gate.code()
    request = ("examination", {"examination_request": "DNA"})
    await laboratory.tell(
        laboratory.gate.opened(code, organisation),
        laboratory.gate.disclosed(code, organisation, Category.EXAMINATION, request),
        laboratory.gate.kit(code, organisation, barcode),
    )
    return code


async def post(
    laboratory: World, act: str, body: dict[str, Any], *, barcode: str = "SAK-0007", key: str = "1", **token: str
) -> httpx.Response:
    async with laboratory.client(KARACHI, **token) as analyst:
        return await analyst.post(f"/v1/kits/{barcode}/{act}", json=body, headers={"Idempotency-Key": key})


async def read(laboratory: World, barcode: str = "SAK-0007", organisation: str = KARACHI) -> httpx.Response:
    async with laboratory.client(organisation) as analyst:
        return await analyst.get(f"/v1/kits/{barcode}")


async def test_a_kit_is_received_reported_on_and_handed_back(laboratory: World) -> None:
    code = await announce(laboratory)
    assert (await post(laboratory, "receipt", ACCEPTED)).status_code == 202
    reported = await post(laboratory, "report", REPORT, key="2")
    assert (reported.status_code, reported.json()["state"]) == (201, "reported")
    assert (await post(laboratory, "release", {"counterpart": POLICE}, key="3")).status_code == 201
    received, report, released = await laboratory.facts()
    assert isinstance(received, KitReceived)
    assert isinstance(report, KitReported)
    assert isinstance(released, KitReleased)
    assert (received.referral, received.half.accepted, received.half.seal_intact) == (code, True, True)
    assert (report.barcode, report.record.hiv_finding) == ("SAK-0007", "negative")
    shown = (await read(laboratory)).json()
    assert shown["parts"]["examination"][0]["fields"] == {"examination_request": "DNA"}
    assert [own["record"] for own in shown["own"]] == ["kit_received", "laboratory_report", "kit_released"]
    assert (shown["barcode"], shown["state"]) == ("SAK-0007", "reported")


async def test_a_rejection_has_reasons_and_its_kit_no_report(laboratory: World) -> None:
    await announce(laboratory)
    assert (await post(laboratory, "receipt", {**REJECTED, "rejection_reasons": []})).status_code == 422
    assert (await post(laboratory, "receipt", REJECTED)).status_code == 202
    answer = await post(laboratory, "report", REPORT, key="2")
    assert (answer.status_code, answer.json()["code"]) == (409, "kit-not-accepted")
    assert (await read(laboratory)).json()["state"] == "rejected"


async def test_a_kit_that_never_came_has_no_report(laboratory: World) -> None:
    await announce(laboratory)
    assert (await post(laboratory, "report", REPORT)).status_code == 409
    assert (await post(laboratory, "report", REPORT, barcode="SAK-9999")).status_code == 404


async def test_known_foreign_and_unknown_parcels_get_the_same_answer(laboratory: World) -> None:
    await announce(laboratory)
    await announce(laboratory, "SAK-0008", LAHORE)
    answers = [
        await post(laboratory, "receipt", ACCEPTED, barcode=barcode, key=barcode)
        for barcode in ("SAK-0007", "SAK-0008", "SAK-9999")
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({tuple(answer.json()) for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
    again = await post(laboratory, "receipt", ACCEPTED, barcode="SAK-9999", key="SAK-9999")
    assert again.json() == answers[2].json()
    assert len(await laboratory.facts()) == 1


async def test_an_unmatched_parcel_is_kept_sealed_with_an_alarm(
    laboratory: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await post(laboratory, "receipt", ACCEPTED)
    async with laboratory.desk.database.transaction((KARACHI,)) as session:
        [parcel] = (await session.execute(select(parcels))).all()
        kinds = (await session.execute(text("SELECT kind FROM ledger_entries"))).scalars().all()
    assert b"Imran" not in bytes(parcel.sealed)
    assert list(kinds) == ["unmatched_parcel"]
    logged = capsys.readouterr().out
    assert "unmatched_parcel" in logged
    assert "Imran" not in logged
    assert (await read(laboratory)).status_code == 404


async def test_a_parcel_that_waited_is_matched_when_its_kit_is_announced(laboratory: World) -> None:
    answer = await post(laboratory, "receipt", ACCEPTED)
    assert await laboratory.facts() == []
    code = await announce(laboratory)
    [fact] = await laboratory.facts()
    assert isinstance(fact, KitReceived)
    assert (fact.referral, fact.barcode, fact.half.person_name) == (code, "SAK-0007", "Constable Imran")
    assert fact.half.attestation is not None
    assert fact.half.attestation.sha256 == answer.json()["sha256"]
    async with laboratory.desk.database.transaction((KARACHI,)) as session:
        [kept] = (await session.execute(select(own_records))).all()
        [parcel] = (await session.execute(select(parcels))).all()
    assert str(kept.id) == answer.json()["attestation"]
    assert kept.recorded_at == parcel.recorded_at
    assert parcel.matched_at is not None
    assert (await post(laboratory, "receipt", ACCEPTED)).json() == answer.json()  # a replay, rebuilt from the record
    assert (await post(laboratory, "report", REPORT, key="2")).status_code == 201


async def test_an_announcement_does_not_match_another_laboratorys_parcel(laboratory: World) -> None:
    await post(laboratory, "receipt", ACCEPTED)
    await announce(laboratory, organisation=LAHORE)
    assert await laboratory.facts() == []


async def test_receipts_and_announcements_that_race_never_pass_each_other_unseen(laboratory: World) -> None:
    for number in range(20):
        barcode = f"RACE-{number}"
        await asyncio.gather(
            announce(laboratory, barcode), post(laboratory, "receipt", ACCEPTED, barcode=barcode, key=barcode)
        )
    facts = await laboratory.facts()
    assert sorted(fact.barcode for fact in facts if isinstance(fact, KitReceived)) == sorted(
        f"RACE-{number}" for number in range(20)
    )


async def test_a_kit_announced_before_its_referral_waits_for_it_with_its_parcel(laboratory: World) -> None:
    await post(laboratory, "receipt", ACCEPTED)
    code = laboratory.gate.code()
    await laboratory.tell(laboratory.gate.kit(code, KARACHI, "SAK-0007"))
    async with laboratory.worker.transaction(()) as session:
        [event] = await parked.list_parked(session)
    assert event.reason == "LookupError"
    assert await laboratory.facts() == []


async def test_two_kits_of_one_referral_show_their_own_halves(laboratory: World) -> None:
    code = await announce(laboratory)
    await laboratory.tell(laboratory.gate.kit(code, KARACHI, "SAK-0008"))
    await post(laboratory, "receipt", ACCEPTED)
    await post(laboratory, "receipt", REJECTED, barcode="SAK-0008", key="2")
    first, second = (await read(laboratory)).json(), (await read(laboratory, "SAK-0008")).json()
    assert first["kits"] == second["kits"] == ["SAK-0007", "SAK-0008"]
    assert [own["fields"]["accepted"] for own in first["own"]] == [True]
    assert [own["fields"]["accepted"] for own in second["own"]] == [False]


async def test_after_the_withdrawal_what_the_laboratory_recorded_stays(laboratory: World) -> None:
    code = await announce(laboratory)
    await post(laboratory, "receipt", ACCEPTED)
    await laboratory.tell(laboratory.gate.withdrawn(code, KARACHI, Category.EXAMINATION))
    shown = (await read(laboratory)).json()
    assert (shown["parts"], len(shown["own"])) == ({}, 1)
    assert (await read(laboratory, organisation=LAHORE)).status_code == 404


@pytest.mark.parametrize(
    ("role", "agency", "allowed"),
    [
        ("laboratory_analyst", Agency.FORENSICS, True),
        ("laboratory_system", Agency.FORENSICS, True),
        ("police_officer", Agency.FORENSICS, False),
        ("laboratory_analyst", Agency.POLICE_LINK, False),
    ],
)
async def test_who_may_read_and_act(laboratory: World, role: str, agency: str, allowed: bool) -> None:
    await announce(laboratory)
    async with laboratory.client(KARACHI, role=role, agency=agency) as client:
        assert (await client.get("/v1/kits/SAK-0007")).status_code == (200 if allowed else 403)
    for act, body in (("receipt", ACCEPTED), ("report", REPORT), ("release", {"counterpart": POLICE})):
        answer = await post(laboratory, act, body, key=act, role=role, agency=agency)
        assert (answer.status_code != 403) is allowed
