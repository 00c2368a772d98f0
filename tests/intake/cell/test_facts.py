"""What agencies report takes effect at the cell, and goes on only under others' grants, never back to its author."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from amanat import parked
from amanat.agency.testing import statements
from amanat.contracts.forensics import KitReported
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged
from amanat.contracts.records import RECORDS
from amanat.contracts.withdrawals import TombstoneConfirmed
from amanat.received import received

from .world import CANARY, CLIFTON, FORENSICS, LEGAL, POLICE, World, consent

FIR = RECORDS["fir"](fir_number="FIR 77/26", io_name=CANARY, io_belt_number="B-1")
REPORT = RECORDS["laboratory_report"](findings="a finding", hiv_finding="never leaves the cell")


async def test_a_fir_reaches_the_timeline_and_those_who_may_know_of_it(world: World) -> None:
    case, referrals = await world.open_case(
        consent(POLICE, "identity", "investigation"),
        consent(LEGAL, "investigation"),
        consent(FORENSICS, "investigation"),
    )
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    assert (await world.readable(LEGAL, referrals[LEGAL]))["investigation"][0]["fir_number"] == "FIR 77/26"
    assert (await world.readable(FORENSICS, referrals[FORENSICS]))["investigation"] == [
        {"kind": "fir", "fir_number": "FIR 77/26", "io_name": CANARY}
    ]
    assert "referral_fir_registered" in {entry["kind"] for entry in await world.timeline(case)}
    assert CANARY not in json.dumps(await world.timeline(case))
    shown = (await world.get(f"/v1/cases/{case}")).json()
    [fir] = [record for record in shown["records"] if record["kind"] == "fir"]
    assert (fir["author"], fir["content"]["io_name"]) == ("police-link/station-saddar", CANARY)
    clocks = {clock["kind"]: clock for clock in shown["clocks"]}
    assert clocks["fir"]["met_at"] is not None
    assert "interim_police_report" in clocks


async def test_a_fact_never_returns_to_its_author(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity", "investigation"))
    sent = len(await world.outbox(referrals[POLICE]))
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    assert len(await world.outbox(referrals[POLICE])) == sent


async def test_another_station_with_a_grant_sees_what_the_first_recorded(world: World) -> None:
    await world.open_case(consent(POLICE, "identity"), consent(POLICE, "investigation", organisation=CLIFTON))
    rows = await world.rows("SELECT code, organisation FROM referrals")
    codes = {row.organisation: row.code for row in rows}
    await world.fact(POLICE, FirRegistered(referral=codes["station-saddar"], record=FIR))
    given = await world.leased(POLICE, codes[CLIFTON], organisation=CLIFTON)
    assert [key["category"] for key in given["keys"]] == ["investigation"]


async def test_without_a_grant_of_the_category_nobody_hears_of_a_fact(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    sent = len(await world.outbox())
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    assert len(await world.outbox()) == sent


async def test_who_sees_nothing_of_a_fact_gets_no_message_of_it(world: World) -> None:
    """A laboratory's share of `investigation` is the FIR number and the IO; an acknowledgement is neither."""
    _, referrals = await world.open_case(consent(POLICE, "identity"), consent(FORENSICS, "investigation"))
    sent = len(await world.outbox(referrals[FORENSICS]))
    record = RECORDS["acknowledgement"](received_by=CANARY)
    await world.fact(POLICE, ReferralAcknowledged(referral=referrals[POLICE], at=datetime.now(UTC), record=record))
    assert len(await world.outbox(referrals[FORENSICS])) == sent


async def test_a_laboratorys_finding_of_care_stays_at_the_cell(world: World) -> None:
    case, referrals = await world.open_case(
        consent(FORENSICS, "incident"), consent(POLICE, "laboratory", "care"), consent(LEGAL, "laboratory", "care")
    )
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000011"})
    await world.fact(FORENSICS, KitReported(referral=referrals[FORENSICS], barcode="KIT-000011", record=REPORT))
    for agency in (POLICE, LEGAL):
        assert await world.readable(agency, referrals[agency]) == {
            "laboratory": [{"kind": "laboratory_report", "findings": "a finding"}]
        }


async def test_a_report_on_another_cases_kit_is_parked(world: World) -> None:
    other, _ = await world.open_case()
    await world.post(f"/v1/cases/{other}/kits", {"barcode": "KIT-000012"})
    case, referrals = await world.open_case(consent(FORENSICS, "incident"))
    await world.fact(FORENSICS, KitReported(referral=referrals[FORENSICS], barcode="KIT-000012", record=REPORT))
    assert await world.parked() == ["NeverOpened"]
    shown = (await world.get(f"/v1/cases/{case}")).json()
    assert "laboratory_report" not in {record["kind"] for record in shown["records"]}


async def test_a_fact_that_another_agency_signed_is_parked(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    event = world.sealed(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    forged = json.loads(event.body)
    forged["sealed"] = forged["sealed"][:-8] + "AAAAAAA="
    spoilt = world.sealed(
        POLICE, FirRegistered(referral=referrals[POLICE], record=FIR), body=json.dumps(forged).encode()
    )
    await world.inbox.process([spoilt])
    assert await world.parked() == ["BadFact"]
    assert not [row for row in await world.rows("SELECT kind FROM records") if row.kind == "fir"]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "yesterday"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", None])
async def test_garbage_under_a_type_that_never_waits_keeps_the_gate_busy_once(
    world: World, at: str, body: bytes | None
) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    fact = TombstoneConfirmed(referral=referrals[POLICE], category="identity", epoch=1, confirmed_at=world.now)
    event = world.sealed(POLICE, fact, body=body)
    headers = [(name, (at if name == "ce_time" else value).encode()) for name, value in event.headers.items()]
    garbage = received(
        topic=event.topic,
        partition=0,
        offset=event.offset,
        timestamp_ms=0,
        key=None,
        headers=headers,
        body=body if body is not None else event.body,
    )
    await world.inbox.process([garbage])
    assert await world.parked() == ["BadFact"]
    with statements(world.gate) as run:
        await parked.attend(world.gate, world.inbox)
    assert not [each for each in run if "INSERT INTO inbox" in each]


async def test_a_fact_on_a_referral_that_was_never_opened_is_parked(world: World) -> None:
    case, referrals = await world.open_case(referrals=[{"agency": POLICE, "organisation": "station-saddar"}])
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    await world.fact(POLICE, FirRegistered(referral="P-0000-0000-0", record=FIR))
    assert await world.parked() == ["NeverOpened", "NeverOpened"]
    assert "fir" not in {r["kind"] for r in (await world.get(f"/v1/cases/{case}")).json()["records"]}


async def test_one_agency_cannot_report_on_anothers_referral(world: World) -> None:
    case, referrals = await world.open_case(consent(LEGAL, "identity"), consent(POLICE, "identity"))
    await world.fact(POLICE, FirRegistered(referral=referrals[LEGAL], record=FIR))
    assert await world.parked() == ["NeverOpened"]
    assert "fir" not in {r["kind"] for r in (await world.get(f"/v1/cases/{case}")).json()["records"]}


async def test_after_closure_a_fact_takes_effect_and_goes_on_under_others_grants(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "investigation"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    assert await world.parked() == []
    shown = (await world.get(f"/v1/cases/{case}")).json()
    assert "fir" in {record["kind"] for record in shown["records"]}
    assert {r["agency"]: (r["state"], r["progress"]) for r in shown["referrals"]}["police-link"] == (
        "closed", "fir_registered",
    )  # fmt: skip
    assert (await world.readable(LEGAL, referrals[LEGAL]))["investigation"][0]["fir_number"] == "FIR 77/26"


async def test_a_fact_that_comes_twice_takes_effect_once(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "investigation"))
    event = await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    await world.inbox.process([event, event])
    shown = (await world.get(f"/v1/cases/{case}")).json()
    assert [record["kind"] for record in shown["records"]].count("fir") == 1
    assert len(await world.disclosed(referrals[LEGAL])) == 1


async def test_a_parked_referral_holds_back_no_other(world: World) -> None:
    _, first = await world.open_case(consent(POLICE, "identity"))
    case, second = await world.open_case(consent(POLICE, "identity"))
    bad = world.sealed(POLICE, FirRegistered(referral=first[POLICE], record=FIR), body=b"{}")
    behind = world.sealed(POLICE, FirRegistered(referral=first[POLICE], record=FIR))
    other = world.sealed(POLICE, FirRegistered(referral=second[POLICE], record=FIR))
    await world.inbox.process([bad, behind, other])
    assert await world.parked() == ["BadFact", "ReferralParked"]
    assert "fir" in {r["kind"] for r in (await world.get(f"/v1/cases/{case}")).json()["records"]}
