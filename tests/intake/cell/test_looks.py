"""A look is on record before the answer; a refusal tells nothing; nothing personal stands outside sealed columns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import event

from amanat.contracts.police_link import FirRegistered
from amanat.contracts.records import RECORDS

from .world import ADULT, CANARY, HERSELF, KARACHI, LAHORE, POLICE, World, consent

UNKNOWN = "C-0000-0000-0"


async def test_reading_a_case_is_recorded_with_who_and_what(world: World) -> None:
    case, _ = await world.open_case()
    await world.get(f"/v1/cases/{case}")
    [row] = await world.rows("SELECT * FROM looks")
    assert (row.tenant, row.referral, row.refused, row.subject) == (KARACHI, case, None, "arcc-karachi-system")
    assert "identity" in row.categories
    assert len(await world.rows("SELECT 1 FROM ledger_entries WHERE kind = 'look'")) == 1


async def test_a_look_that_cannot_be_recorded_shows_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case, _ = await world.open_case()
    monkeypatch.setattr("intake.service.reading.PURPOSE", None)
    answer = await world.get(f"/v1/cases/{case}")
    assert answer.status_code == 500
    assert CANARY not in answer.text


async def test_the_look_is_committed_before_anything_is_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("while opening")

    case, _ = await world.open_case()
    monkeypatch.setattr("intake.service.reading.show_case", fails)
    assert (await world.get(f"/v1/cases/{case}")).status_code == 500
    assert len(await world.rows("SELECT 1 FROM looks")) == 1


async def test_unknown_and_foreign_codes_get_one_same_refusal_in_the_same_number_of_statements(world: World) -> None:
    foreign, _ = await world.open_case(consent(POLICE, "identity"))
    counted: list[str] = []
    engine = world.main_app.state.desk.database.engine.sync_engine

    def count(*args: Any) -> None:
        counted.append(args[2])

    await world.get(f"/v1/cases/{UNKNOWN}", cell=LAHORE)  # whatever a connection's first use costs
    event.listen(engine, "before_cursor_execute", count)
    try:
        told = []
        for code in (UNKNOWN, foreign):
            counted.clear()
            answer = await world.get(f"/v1/cases/{code}", cell=LAHORE)
            body = {name: value for name, value in answer.json().items() if name != "trace_id"}
            told.append((answer.status_code, body, sorted(answer.headers), list(counted)))
    finally:
        event.remove(engine, "before_cursor_execute", count)
    assert told[0] == told[1]
    assert told[0][0] == 404
    rows = await world.rows("SELECT referral, octet_length(refused) AS size, categories FROM looks ORDER BY arrival")
    assert [(row.referral, row.size, row.categories) for row in rows] == [(None, 32, [])] * 3


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/records", {"kind": "incident", "record": {}}),
        ("POST", "/consents", consent(POLICE, "identity", organisation="station-model-town")),
        ("POST", "/kits", {"barcode": "KIT-000077"}),
        ("GET", "/consents", None),
    ],
)
async def test_every_road_to_a_foreign_case_ends_like_that_to_an_unknown_one(
    world: World, method: str, path: str, body: Any
) -> None:
    foreign, _ = await world.open_case()
    told = []
    async with world.cell(LAHORE) as client:
        for number, code in enumerate((UNKNOWN, foreign)):
            answer = await client.request(
                method, f"/v1/cases/{code}{path}", json=body, headers={"Idempotency-Key": f"k{number}"}
            )
            told.append((answer.status_code, {k: v for k, v in answer.json().items() if k != "trace_id"}))
    assert told[0] == told[1]
    assert told[0][0] == 404


@pytest.mark.parametrize("code", ["%00", "%ED%A0%80", "C-%F0%9F%92%A5", "x" * 3000, "..%2F..", "'--"])
async def test_what_is_no_code_at_all_is_a_404_and_no_fault(world: World, code: str) -> None:
    answers = [await world.get(f"/v1/cases/{code}"), await world.get(f"/v1/cases/{code}/consents")]
    answers.append(await world.post(f"/v1/cases/{code}/records", {"kind": "incident", "record": {}}))
    answers.append(await world.post(f"/v1/cases/{code}/kits", {"barcode": "KIT-000001"}))
    answers.append(await world.withdraw(code, "00000000-0000-4000-8000-000000000000"))
    assert {answer.status_code for answer in answers} == {404}


async def test_a_code_is_read_as_people_write_it(world: World) -> None:
    case, _ = await world.open_case()
    written = case.lower().replace("0", "o").replace("-", "%20")
    assert (await world.get(f"/v1/cases/{written}")).status_code == 200
    [row] = await world.rows("SELECT referral FROM looks")
    assert row.referral == case


async def test_finding_a_case_by_an_identifier_is_a_look_at_whose_it_is(world: World) -> None:
    case, _ = await world.open_case()
    async with world.cell() as client:
        found = await client.post("/v1/cases/search", json={"cnic": ADULT["cnic"]})
        nobody = await client.post("/v1/cases/search", json={"cnic": "42201-0000000-1"})
    assert (found.json()["cases"], nobody.json()["cases"]) == ([case], [])
    seen, refused = await world.rows("SELECT * FROM looks ORDER BY arrival")
    assert (seen.referral, seen.categories, seen.subject) == (case, ["identity"], "arcc-karachi-system")
    assert (refused.referral, len(refused.refused), refused.categories) == (None, 32, [])
    kinds = await world.rows("SELECT kind FROM ledger_entries WHERE kind LIKE 'look%' ORDER BY id")
    assert [row.kind for row in kinds] == ["look", "look_refused"]


async def test_not_changed_opens_nothing_and_makes_no_look(world: World) -> None:
    case, _ = await world.open_case()
    etag = (await world.get(f"/v1/cases/{case}")).headers["etag"]
    answer = await world.get(f"/v1/cases/{case}", If_None_Match=etag)
    assert (answer.status_code, answer.content) == (304, b"")
    assert len(await world.rows("SELECT 1 FROM looks")) == 1
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000001"})
    assert (await world.get(f"/v1/cases/{case}", If_None_Match=etag)).status_code == 200


async def test_nothing_personal_stands_in_any_table_header_log_or_ledger(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    person = {**ADULT, "address": f"{CANARY} street", "hospital_record_number": CANARY}
    decider = [{**HERSELF[0], "name": CANARY, "relationship": CANARY}]
    case, referrals = await world.open_case(
        consent(
            POLICE, "identity", "incident", deciders=decider, basis_reference=CANARY, taken_by=CANARY, witness=CANARY
        ),
        person=person,
        incident={"history": CANARY, "place": CANARY},
    )
    shown = await world.get(f"/v1/cases/{case}")
    [record] = [r["record"] for r in shown.json()["records"] if r["kind"] == "incident"]
    change = {"kind": "incident", "record": {"history": CANARY}, "corrects": record, "reason": CANARY}
    await world.post(f"/v1/cases/{case}/records", change, If_Match=shown.headers["etag"])
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000001"})
    await world.post(
        "/v1/kits/KIT-000001/release",
        {"counterpart": {"agency": "police-link", "organisation": "station-saddar"}, "person_name": CANARY},
    )
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=RECORDS["fir"](io_name=CANARY)))
    async with world.cell() as client:
        await client.post("/v1/cases/search", json={"hospital_record_number": CANARY})
        await client.post("/v1/cases", json={CANARY: CANARY}, headers={"Idempotency-Key": "k"})
    await world.withdraw(case, await world.consent_of(case, POLICE))
    tables = await world.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    searched = 0
    for table in {row.relname for row in tables} - {"alembic_version", "claims"}:  # of claims the gate reads no hashes
        # bytea as text is hexadecimal
        rows = await world.rows(f"SELECT to_jsonb(t)::text AS told FROM {table} t")
        text = "\n".join(row.told for row in rows)
        searched += len(text)
        for canary in (CANARY, ADULT["cnic"], ADULT["cnic"].replace("-", ""), ADULT["mlc_number"], "1999-02-03"):
            assert canary not in text, (table, canary)
            assert canary.encode().hex() not in text, (table, canary)
    assert searched > 10_000
    output = capsys.readouterr()
    for canary in (CANARY, ADULT["cnic"], case, *referrals.values()):
        assert canary not in output.out + output.err
    assert CANARY not in json.dumps(await world.timeline(case))
