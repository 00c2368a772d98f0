"""Records are appended and corrected, never changed; who shares them gets the newest whole."""

from __future__ import annotations

import asyncio

import pytest

from .world import ADULT, CANARY, KARACHI, LAHORE, LEGAL, POLICE, World, consent

INCIDENT = {"kind": "incident", "record": {"history": "corrected", "place": "a market"}, "reason": "misheard"}


async def _incident(world: World, case: str) -> tuple[str, str]:
    """The current incident's id, and the case's ETag."""
    shown = await world.get(f"/v1/cases/{case}")
    current = [r["record"] for r in shown.json()["records"] if r["kind"] == "incident" and not r["corrected_by"]]
    return current[-1], shown.headers["etag"]


async def test_a_correction_replaces_and_keeps_what_it_corrects(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    old, etag = await _incident(world, case)
    answer = await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old}, If_Match=etag)
    assert answer.status_code == 201
    records = {r["record"]: r for r in (await world.get(f"/v1/cases/{case}")).json()["records"]}
    new = answer.json()["record"]
    assert (records[old]["corrected_by"], records[new]["corrects"], records[new]["reason"]) == (new, old, "misheard")
    assert records[old]["content"]["history"] == "She told of a street"
    assert (await world.readable(POLICE, referrals[POLICE]))["incident"] == [
        {"kind": "incident", "history": "corrected", "place": "a market"}
    ]


async def test_an_amendment_is_disclosed_whole_with_a_higher_seq_in_the_same_epoch(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"), consent(LEGAL, "identity"))
    await world.post(f"/v1/cases/{case}/records", INCIDENT)
    first, second = await world.disclosed(referrals[POLICE])
    assert (first.epoch, second.epoch) == (1, 1)
    assert second.seq > first.seq
    assert len((await world.readable(POLICE, referrals[POLICE]))["incident"]) == 2
    assert len(await world.disclosed(referrals[LEGAL])) == 1


async def test_a_correction_to_nothing_takes_it_from_the_reader_too(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    old, etag = await _incident(world, case)
    emptied = {"kind": "incident", "record": {}, "corrects": old}
    assert (await world.post(f"/v1/cases/{case}/records", emptied, If_Match=etag)).status_code == 201
    assert (await world.readable(POLICE, referrals[POLICE])) == {"incident": []}


async def test_a_correction_needs_the_etag_of_the_case_as_it_stands(world: World) -> None:
    case, _ = await world.open_case()
    old, etag = await _incident(world, case)
    without = await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old})
    stale = await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old}, If_Match='"stale"')
    assert (without.status_code, stale.status_code) == (428, 412)
    assert (
        await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old}, If_Match=etag)
    ).status_code == 201
    again = await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old}, If_Match=etag)
    assert again.status_code == 412


async def test_of_two_corrections_made_from_one_reading_the_second_is_refused(world: World) -> None:
    case, _ = await world.open_case(person=ADULT)
    shown = await world.get(f"/v1/cases/{case}")
    ids = {record["kind"]: record["record"] for record in shown.json()["records"]}
    etag = shown.headers["etag"]
    answers = await asyncio.gather(
        world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": ids["incident"]}, If_Match=etag),
        world.post(
            f"/v1/cases/{case}/records",
            {"kind": "person", "record": {**ADULT, "address": "moved"}, "corrects": ids["person"]},
            If_Match=etag,
        ),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 412]


async def test_what_was_corrected_already_and_what_an_agency_wrote_is_not_corrected(world: World) -> None:
    case, _ = await world.open_case()
    old, etag = await _incident(world, case)
    await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old}, If_Match=etag)
    _, etag = await _incident(world, case)
    answer = await world.post(f"/v1/cases/{case}/records", {**INCIDENT, "corrects": old}, If_Match=etag)
    assert (answer.status_code, answer.json()["code"]) == (409, "already-corrected")


@pytest.mark.parametrize("kind", ["fir", "laboratory_report", "custody_half", "nothing"])
async def test_the_cell_writes_no_other_agencys_records(world: World, kind: str) -> None:
    case, _ = await world.open_case()
    assert (await world.post(f"/v1/cases/{case}/records", {"kind": kind, "record": {}})).status_code == 422


async def test_a_refused_record_points_at_its_fault_and_echoes_nothing(world: World) -> None:
    case, _ = await world.open_case()
    body = {"kind": "person", "record": {"cnic": CANARY, CANARY: 1}}
    answer = await world.post(f"/v1/cases/{case}/records", body)
    assert answer.status_code == 422
    assert CANARY not in answer.text
    assert "/record/cnic" in {error["pointer"] for error in answer.json()["errors"]}


@pytest.mark.parametrize("written", ["42101-1234567-1", "4210112345671", " 42101 1234567 1 ", "۴۲۱۰۱-۱۲۳۴۵۶۷-۱"])
async def test_a_case_is_found_by_its_cnic_however_it_is_written(world: World, written: str) -> None:
    case, _ = await world.open_case()
    async with world.cell() as client:
        answer = await client.post("/v1/cases/search", json={"cnic": written})
    assert answer.json() == {"cases": [case]}


async def test_another_cell_finds_nothing_and_the_same_woman_does_not_link(world: World) -> None:
    await world.open_case()
    theirs = await world.post("/v1/cases", {"person": ADULT}, cell=LAHORE)
    async with world.cell(LAHORE) as client:
        found = await client.post("/v1/cases/search", json={"mlc_number": ADULT["mlc_number"]})
    assert found.json() == {"cases": [theirs.json()["case"]]}
    digests = await world.rows("SELECT tenant, field, digest FROM case_index")
    assert len({row.digest for row in digests}) == len(digests)


async def test_an_identifier_added_later_finds_the_case_and_another_field_does_not(world: World) -> None:
    case, _ = await world.open_case(person={"full_name": "A"})
    await world.post(f"/v1/cases/{case}/records", {"kind": "person", "record": {"hospital_record_number": "H 1"}})
    async with world.cell() as client:
        assert (await client.post("/v1/cases/search", json={"hospital_record_number": "h-1"})).json() == {
            "cases": [case]
        }
        assert (await client.post("/v1/cases/search", json={"mlc_number": "h-1"})).json() == {"cases": []}
        assert (await client.post("/v1/cases/search", json={})).status_code == 422


async def test_sixteen_amendments_at_once_keep_every_one_and_number_each(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    posts = (
        world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"place": f"place {number}"}})
        for number in range(16)
    )
    assert {answer.status_code for answer in await asyncio.gather(*posts)} == {201}
    rows = await world.outbox(referrals[POLICE])
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    places = {record.get("place") for record in (await world.readable(POLICE, referrals[POLICE]))["incident"]}
    assert places == {None, *(f"place {number}" for number in range(16))}
    assert len(await world.rows("SELECT 1 FROM cases WHERE tenant = :t", t=KARACHI)) == 1
