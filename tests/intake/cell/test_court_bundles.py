"""A court bundle: made by whom, of what, on record before it is opened, and proven to whoever has it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pypdf
import pytest

from amanat import verify
from amanat.ledger.audit import audit
from amanat_local.postgres import Postgres
from intake.service import court_index
from intake.service.sources import SOURCES

from .court import KIT, OPINION, ORDER, Court, codes, page, story
from .my_case.cell import PIN, WORD
from .world import KARACHI, LAHORE, POLICE, World, consent

CONSENT = {**ORDER, "basis": "consent"}


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    return await story(world, migrated("intake", "intake"))


async def test_an_honest_bundle_is_proven_under_the_directorys_keys_and_under_its_own(court: Court) -> None:
    answer, packed = await court.made()
    verdict = verify.verify(packed, court.trusted)
    assert (verdict.wrong, verdict.proven, answer["wrong"]) == ([], True, [])
    assert codes(verdict.proved).count("witness") == 2
    assert "keys_of_the_bundle" not in codes(verdict.not_proved)
    alone = verify.verify(packed)
    assert alone.proven
    assert "keys_of_the_bundle" in codes(alone.not_proved)


async def test_its_pages_say_what_the_cell_shows(court: Court) -> None:
    _, packed = await court.made()
    shown = (await court.world.get(f"/v1/cases/{court.case}")).json()
    [kit] = page(packed, "custody.json")["kits"]
    told = {each["detail"]["gap"] for each in shown["timeline"] if each["kind"] == "custody_gap"}
    assert set(kit["gaps"]) == told | set(shown["kits"][0]["gaps"]) == {"seal_broken", "seal_numbers_differ"}
    assert [half["half"] for half in kit["halves"]] == ["release", "receipt", "release", "receipt"]
    assert [half["other"] is not None for half in kit["halves"]] == [True] * 4
    exams = [each for each in page(packed, "report.json")["records"] if each["kind"] == "examination"]
    assert [each["fields"]["examination"]["opinion"] for each in exams] == [OPINION, *["no force can be told of"] * 2]
    assert [each["corrected_by"] for each in exams] == [exams[1]["record"], exams[2]["record"], None]
    facts = {each["kind"]: each["fields"] for each in page(packed, "facts.json")["records"]}
    assert facts["fir"]["investigation"]["fir_number"] == "77/2026"
    assert facts["laboratory_report"] == {"laboratory": {"conclusion": "profile obtained", "report_number": "LAB-9"}}
    kinds = [each["kind"] for each in page(packed, "consents.json")["consents"]]
    assert sorted(kinds) == ["consent_given", "consent_given", "consent_withdrawn", "guardian_excluded"]
    assert {"samples", "started_at"} < set(page(packed, verify.INDEX)["contents"]["missing"])


async def test_a_system_makes_no_bundle_and_no_claim_whatever_else_it_holds(court: Court) -> None:
    roles = ["hospital_system", "cell_records", "cell_staff"]
    for path, body in (
        ("bundles", ORDER), ("claim", {"pin": PIN, "code_word": WORD, "language": "en"}),
    ):  # fmt: skip
        answer = await court.world.as_person("records", "POST", f"/v1/cases/{court.case}/{path}", body, roles=roles)
        assert answer.status_code == 403


@pytest.mark.parametrize("role", ["cell_records", "cell_supervisor"])
async def test_who_may_make_a_bundle_may_ask_for_proofs_of_its_cells_entries(court: Court, role: str) -> None:
    _, packed = await court.made()
    name = next(each for each in verify.unpack(packed) if each.startswith("entries/"))
    shown = page(packed, name)
    async with court.world.keeper(role=role) as client:
        proven = (await client.get(f"/v1/ledger/inclusion/{shown['position']}")).json()
        checkpoint = await client.get("/v1/ledger/checkpoint")
    assert (proven["leaf"], proven["proof"]) == (shown["leaf"], shown["proof"])
    assert checkpoint.json()["note"].encode() == verify.unpack(packed)[verify.CHECKPOINT]
    async with court.world.keeper(LAHORE, role) as client:
        assert (await client.get(f"/v1/ledger/inclusion/{shown['position']}")).status_code == 404
    async with court.world.keeper(role="cell_clinician") as client:
        assert (await client.get("/v1/ledger/checkpoint")).status_code == 403


async def test_two_persons_with_one_key_make_two_bundles(court: Court) -> None:
    path, key = f"/v1/cases/{court.case}/bundles", str(uuid4())
    made = [await court.world.as_person(who, "POST", path, ORDER, key=key) for who in ("records", "superintendent")]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json()["bundle"] != made[1].json()["bundle"]


@pytest.mark.needs("pango")
async def test_ordinary_tools_open_it(court: Court, tmp_path: Path) -> None:
    _, packed = await court.made()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        archive.extractall(tmp_path)
    assert (tmp_path / "index.pdf").read_bytes().startswith(b"%PDF")


async def test_the_look_is_on_record_before_anything_is_opened_and_each_reading_is_another(court: Court) -> None:
    count = "SELECT count(*) FROM looks WHERE purpose = 'court' AND referral IS NOT NULL"
    court.sql("DELETE FROM cosignatures")
    assert (await court.ask()).json()["code"] == "nothing-witnessed"
    assert court.sql(count).strip() == "1"
    await court.checkpoint()
    answer = await court.ask()
    await court.read(answer.headers["Location"])
    await court.read(answer.headers["Location"])
    assert court.sql(count).strip() == "4"
    categories = court.sql(
        "SELECT DISTINCT array_to_string(categories, ',') FROM looks WHERE purpose = 'court'"
    ).strip()
    assert set(categories.split(",")) == verify.SHOWN


async def test_she_sees_that_one_was_made_and_the_ledger_holds_it(court: Court) -> None:
    answer, _ = await court.made(CONSENT)
    shown = (await court.world.get(f"/v1/cases/{court.case}")).json()
    [entry] = [each for each in shown["timeline"] if each["kind"] == "bundle_made"]
    assert entry["detail"] == {"bundle": answer["bundle"], "basis": "consent", "looks": False}
    assert "court" in {each["purpose"] for each in shown["looks"]}
    digest = court.sql("SELECT said->>'manifest' FROM ledger_entries WHERE kind = 'bundle_made'").strip()
    assert digest == answer["manifest_sha256"]
    assert ORDER["recipient"] not in json.dumps(shown)
    await court.checkpoint()
    done = await audit(court.world.gate, SOURCES, court.world.instruments.at_rest, "x", court.world.now)
    assert done.alarms == 0
    court.sql("UPDATE bundles SET basis = 'statutory_duty'")
    done = await audit(court.world.gate, SOURCES, court.world.instruments.at_rest, "x", court.world.now)
    assert done.alarms == 1


@pytest.mark.parametrize("role", ["cell_staff", "hospital_system", "mlo"])
async def test_neither_desk_nor_hospital_makes_or_reads_one(court: Court, role: str) -> None:
    answer = await court.ask()
    assert (await court.ask(role=role)).status_code == 403
    async with court.world.keeper(role=role) as client:
        assert (await client.get(answer.headers["Location"])).status_code == 403


async def test_a_supervisor_may_and_another_cells_keeper_learns_nothing(court: Court) -> None:
    answer = await court.ask(role="cell_supervisor")
    assert answer.status_code == 201
    refused = await court.ask(cell=LAHORE)
    async with court.world.keeper(LAHORE) as client:
        read = await client.get(answer.headers["Location"])
        unknown = await client.get(f"/v1/cases/C-0000-0000-0/bundles/{uuid4()}")
    async with court.world.keeper() as client:
        other = await client.get(f"/v1/cases/{court.case}/bundles/{uuid4()}")
    for each in (refused, read, unknown, other):
        assert (each.status_code, each.json()["code"]) == (404, "not-found")
    assert court.sql("SELECT count(*) FROM looks WHERE refused IS NOT NULL").strip() == "3"


async def test_a_bundle_of_another_case_is_not_given_under_this_one(court: Court) -> None:
    answer = await court.ask()
    other, _ = await court.world.open_case()
    async with court.world.keeper() as client:
        read = await client.get(f"/v1/cases/{other}/bundles/{answer.json()['bundle']}")
    assert read.status_code == 404


async def test_the_same_request_again_makes_one_bundle(court: Court) -> None:
    first = await court.ask(key="one")
    again = await court.ask(key="one")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert court.sql("SELECT count(*) FROM bundles").strip() == "1"
    assert (await court.ask(CONSENT, key="one")).status_code == 422


async def test_twins_at_once_make_one_bundle(court: Court) -> None:
    answers = await asyncio.gather(*(court.ask(key="twin") for _ in range(4)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["bundle"] for each in answers}) == 1
    assert court.sql("SELECT count(*) FROM bundles").strip() == "1"


async def test_it_is_the_same_to_the_byte_whatever_comes_after(court: Court) -> None:
    answer = await court.ask({**ORDER, "looks": True})
    first = await court.read(answer.headers["Location"])
    body = {"kind": "incident", "record": {"history": "more was told"}}
    assert (await court.world.post(f"/v1/cases/{court.case}/records", body)).status_code == 201
    assert (await court.world.post(f"/v1/cases/{court.case}/kits", {"barcode": "KIT-000777"})).status_code == 201
    await court.checkpoint("legal-aid")
    assert await court.read(answer.headers["Location"]) == first
    _, newer = await court.made()
    assert b"more was told" in newer
    assert b"more was told" not in first


async def test_what_is_not_yet_under_a_cosigned_checkpoint_is_only_named(court: Court) -> None:
    body = {"kind": "incident", "record": {"history": "told since"}}
    assert (await court.world.post(f"/v1/cases/{court.case}/records", body)).status_code == 201
    care = {"kind": "care_note", "record": {"notes": "x"}}
    assert (await court.world.post(f"/v1/cases/{court.case}/records", care)).status_code == 201
    answer, packed = await court.made()
    assert [each["kind"] for each in page(packed, verify.INDEX)["waiting"]] == ["record_added"]
    assert answer["waiting"] == 1
    assert b"told since" not in packed
    verdict = verify.verify(packed, court.trusted)
    assert verdict.proven
    assert "waiting" in codes(verdict.not_proved)


async def test_without_a_key_no_bundle_is_made(court: Court) -> None:
    state = court.world.main_app.state
    desk = state.desk
    state.desk = replace(desk, instruments=replace(desk.instruments, bundle_signer=None))
    try:
        answer = await court.ask()
    finally:
        state.desk = desk
    assert (answer.status_code, answer.json()["code"]) == (503, "bundles-unavailable")


async def test_where_no_page_can_be_drawn_the_bundle_is_made_without(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    answer, packed = await court.made()
    assert (answer["pdf"], page(packed, verify.INDEX)["pdf"]) == (False, False)
    assert verify.PDF not in verify.unpack(packed)
    assert verify.verify(packed, court.trusted).proven


def _pdf(packed: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(verify.unpack(packed)[verify.PDF]))


@pytest.mark.needs("pango")
async def test_the_page_says_what_is_there_what_is_missing_and_the_gaps(court: Court) -> None:
    answer, packed = await court.made({**ORDER, "reference": "<b>Order</b> & 12"})
    reader = _pdf(packed)
    text = " ".join(" ".join(each.extract_text() for each in reader.pages).split())
    for expected in (answer["bundle"], KIT, "the seal was found broken", "samples, or why none was taken",
                     "<b>Order</b> & 12", "signed, not witnessed", f"1 / {len(reader.pages)}"):  # fmt: skip
        assert expected in text
    assert set(court_index.GAPS) == {each[4:] for each in verify.WORDS if each.startswith("gap_")}
    expected_parts = {each["part"] for each in page(packed, "report.json")["expected"]}
    assert set(court_index.EXPECTED) == expected_parts


async def test_a_case_of_a_cell_with_nothing_in_it_makes_a_bundle_too(world: World, migrated: Any) -> None:
    case = (await world.post("/v1/cases", {})).json()["case"]
    court = Court(world, migrated("intake", "intake"), case, {})
    await court.checkpoint()
    _, packed = await court.made()
    assert verify.verify(packed, court.trusted).proven
    assert page(packed, "custody.json") == {"kits": []}


async def test_a_child_with_a_guardian_shows_the_deciders_and_no_reason_about_the_home(
    world: World, migrated: Any
) -> None:

    deciders = [{"role": "guardian", "decision": "consent", "relationship": "mother", "authority_reference": "B-77"}]
    case, _ = await world.open_case(
        {**consent(POLICE, "incident"), "basis": "guardian", "deciders": deciders}, person={"age_years_stated": 9}
    )
    court = Court(world, migrated("intake", "intake"), case, {})
    await court.checkpoint()
    _, packed = await court.made()
    assert verify.verify(packed, court.trusted).proven
    [given] = [each for each in page(packed, "consents.json")["consents"] if each["kind"] == "consent_given"]
    assert given["event"]["terms"]["deciders"][0]["authority_reference"] == "B-77"
    assert KARACHI in packed.decode("utf-8", "replace")
