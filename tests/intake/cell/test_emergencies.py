"""A clinical emergency: care and identity of one case in any cell, at once, and nothing else; on record first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.at_rest import AtRest
from amanat.contracts.forensics import KitReported
from amanat.contracts.records import RECORDS
from amanat_local.postgres import Postgres
from intake.break_glass.repository import emergencies as repository

from .breaking import CNIC, FULL, HIDDEN, MLC, SHOWN, WHY, again, later, opened, plain, reviewed
from .world import FORENSICS, KARACHI, LAHORE, World, consent

LOOKS = "SELECT * FROM looks WHERE purpose = 'clinical_emergency' ORDER BY arrival"


async def test_a_clinician_of_another_cell_reads_care_and_identity_and_nothing_else(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    answer = await opened(world)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["case"], shown["cell"]) == (case, KARACHI)
    assert {each["category"] for each in shown["records"]} == {"care", "identity"}
    assert all(canary in answer.text for canary in SHOWN.values())
    assert not [canary for canary in HIDDEN.values() if canary in answer.text]
    [within] = [each for each in shown["records"] if each["kind"] == "examination"]
    assert within["fields"] == {"treatment": SHOWN["care within"]}
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_care_in_a_laboratorys_report_is_read_and_the_report_is_not(world: World) -> None:
    case, referrals = await world.open_case(consent(FORENSICS, "incident"), **FULL)
    report = RECORDS["laboratory_report"].model_validate({"hiv_finding": "Reactive-Canary", "findings": "Dna-Canary"})
    assert (await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000123"})).status_code == 201
    await world.fact(FORENSICS, KitReported(referral=referrals[FORENSICS], barcode="KIT-000123", record=report))
    answer = await opened(world)
    assert "Reactive-Canary" in answer.text
    assert "Dna-Canary" not in answer.text


async def test_what_was_corrected_away_is_not_read(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    read = await world.get(f"/v1/cases/{case}")
    [care] = [each for each in read.json()["records"] if each["kind"] == "care_note"]
    body = {"kind": "care_note", "record": {"notes": "the newer"}, "corrects": care["record"]}
    await world.post(f"/v1/cases/{case}/records", body, If_Match=read.headers["etag"])
    answer = await opened(world)
    assert SHOWN["care"] not in answer.text
    assert "the newer" in answer.text


@pytest.mark.parametrize("named", [{"cnic": "42101 1234567 1"}, {"mlc_number": MLC}])
@pytest.mark.parametrize("cell", [KARACHI, LAHORE])
async def test_the_case_is_found_by_an_identifier_in_ones_own_cell_and_in_another(
    world: World, named: dict[str, str], cell: str
) -> None:
    case, _ = await world.open_case(**FULL)
    assert (await opened(world, cell=cell, **named)).json()["case"] == case


async def test_the_case_is_found_by_its_code_however_it_is_written(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    assert (await opened(world, case=case.lower().replace("-", " "))).json()["case"] == case


async def test_emergency_look_and_ledger_are_committed_before_anything_is_opened(
    world: World, migrated: Callable[[str, str], Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case(**FULL)
    seen: list[str] = []
    opens = AtRest.open

    def watched(self: AtRest, sealed: bytes, **place: str) -> bytes:
        if place["table"] == "records":
            seen.append(migrated("intake", "intake").sql(
                "intake",
                "SELECT count(*) FROM emergencies",
                f"SELECT count(*) FROM looks WHERE purpose = 'clinical_emergency' AND referral = '{case}'",
                "SELECT count(*) FROM ledger_entries WHERE kind = 'emergency_opened'",
            ))  # fmt: skip
        return opens(self, sealed, **place)

    monkeypatch.setattr(AtRest, "open", watched)
    emergency = (await opened(world)).json()["emergency"]
    assert set(seen) == {"1\n1\n1\n"}
    seen.clear()
    assert (await again(world, emergency)).status_code == 200
    assert set(seen) == {"1\n2\n1\n"}


async def test_the_look_says_who_and_is_shown_as_the_other_cells(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    [look] = await world.rows(LOOKS)
    assert (look.tenant, look.referral, look.subject, look.client) == (KARACHI, case, f"{LAHORE}.mlo", "amanat-desk")
    assert look.categories == ["care", "identity"]
    shown = (await world.get(f"/v1/cases/{case}")).json()
    assert [(each["organisation"], each["purpose"], each["times"]) for each in shown["looks"]][:1] == [
        (LAHORE, "clinical_emergency", 1)
    ]
    [told] = [each for each in shown["timeline"] if each["kind"] == "emergency_opened"]
    assert (told["detail"]["emergency"], told["detail"]["cell"]) == (emergency, LAHORE)


async def test_the_case_is_new_to_who_reads_it_at_its_cell(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    etag = (await world.get(f"/v1/cases/{case}")).headers["etag"]
    await opened(world)
    assert (await world.get(f"/v1/cases/{case}", If_None_Match=etag)).status_code == 200


async def test_none_found_is_the_same_404_and_a_refusal_is_on_record(world: World) -> None:
    await world.open_case(**FULL)
    asked = [
        {"cnic": "99999-9999999-9"},
        {"case": "C-0000-0000-0"},
        {"case": "nothing like a code"},
        {"mlc_number": "M"},
    ]
    answers = [await opened(world, **named) for named in asked]
    answers.append(await again(world, str(uuid4())))
    assert {answer.status_code for answer in answers} == {404}
    assert all(plain(answer) == plain(answers[0]) for answer in answers)
    looks = await world.rows(LOOKS)
    assert [(look.tenant, look.referral, look.categories) for look in looks] == [(LAHORE, None, [])] * 5
    assert all(look.refused for look in looks)
    assert {look.subject for look in looks} == {f"{LAHORE}.mlo"}
    assert await world.rows("SELECT 1 FROM emergencies") == []
    assert len(await world.rows("SELECT 1 FROM ledger_entries WHERE kind = 'look_refused'")) == 5
    assert len(await world.rows("SELECT 1 FROM idempotency WHERE tenant = 'arcc-lahore'")) == 0


async def test_several_found_open_nothing_and_each_of_them_is_told(world: World) -> None:
    first, _ = await world.open_case(**FULL)
    other = await world.post("/v1/cases", {**FULL, "person": {"cnic": CNIC}}, cell=LAHORE)
    answer = await opened(world)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (
        409,
        "several-cases",
        "2 cases bear it",
    )
    assert first not in answer.text
    assert SHOWN["identity"] not in answer.text
    assert await world.rows("SELECT 1 FROM emergencies") == []
    looks = await world.rows(LOOKS)
    assert {(look.tenant, look.referral, tuple(look.categories)) for look in looks} == {
        (KARACHI, first, ()), (LAHORE, other.json()["case"], ()),
    }  # fmt: skip
    shown = (await world.get(f"/v1/cases/{first}")).json()
    assert [each["detail"] for each in shown["timeline"] if each["kind"] == "emergency_asked"] == [{"cell": LAHORE}]
    assert [each["organisation"] for each in shown["looks"] if each["purpose"] == "clinical_emergency"] == [LAHORE]
    assert (await opened(world, mlc_number=MLC)).json()["case"] == first


@pytest.mark.parametrize("named", [{"cnic": CNIC, "mlc_number": MLC}, {"case": "C-0000-0000-0", "cnic": CNIC}])
async def test_two_names_are_one_too_many(world: World, named: dict[str, str]) -> None:
    answer = await opened(world, **named)
    assert (answer.status_code, answer.json()["code"]) == (422, "name-one-case")


@pytest.mark.parametrize(
    "body",
    [
        {"reason": WHY},
        {"cnic": CNIC},
        {"reason": "  \n ", "cnic": CNIC},
        *({"reason": WHY, "cnic": CNIC, name: "x"} for name in ("as", "subject", "role", "unit", "cell", "emergency")),
    ],
)
async def test_a_reason_and_a_case_are_needed_and_nothing_says_who_one_is(world: World, body: dict[str, Any]) -> None:
    await world.open_case(**FULL)
    answer = await world.as_person("mlo", "POST", "/v1/emergencies", body, cell=LAHORE)
    assert answer.status_code == 422
    assert CNIC not in answer.text
    assert await world.rows("SELECT 1 FROM emergencies") == []


async def test_no_header_makes_a_clinician_of_anybody(world: World) -> None:
    await world.open_case(**FULL)
    claimed = {"X-Role": "cell_clinician", "X-Unit": "medico-legal", "X-Emergency": "true", "Idempotency-Key": "one"}
    async with world.person("desk", LAHORE) as client:
        answer = await client.post("/v1/emergencies", json={"reason": WHY, "cnic": CNIC}, headers=claimed)
    assert answer.status_code == 403


async def test_a_key_is_required(world: World) -> None:
    async with world.person("mlo", LAHORE) as client:
        answer = await client.post("/v1/emergencies", json={"reason": WHY, "cnic": CNIC})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")


async def test_a_replay_opens_no_other_emergency_and_leaves_its_own_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.open_case(**FULL)
    first = await opened(world, key="one")
    second = await opened(world, key="one")
    assert (second.status_code, second.headers["idempotency-replayed"]) == (201, "true")
    assert (second.json(), second.headers["location"]) == (first.json(), first.headers["location"])
    assert len(await world.rows("SELECT 1 FROM emergencies")) == 1
    assert len(await world.rows(LOOKS)) == 2
    other = await opened(world, key="one", mlc_number=MLC)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    later(monkeypatch, minutes=61)
    over = await opened(world, key="one")
    assert (over.status_code, over.json()["code"]) == (410, "emergency-over")
    assert len(await world.rows(f"SELECT 1 FROM ({LOOKS}) AS l WHERE refused IS NOT NULL")) == 1


async def test_a_replay_is_answered_though_the_identifier_fits_a_second_case_by_then(world: World) -> None:
    first, _ = await world.open_case(**FULL)
    await opened(world, key="one")
    await world.post("/v1/cases", {"person": {"cnic": CNIC}}, cell=LAHORE)
    assert (await opened(world, key="one")).json()["case"] == first


async def test_people_share_a_client_and_no_keys(world: World) -> None:
    await world.open_case(**FULL)
    first = await opened(world, key="one")
    second = await opened(world, key="one", token={"sub": "another"})
    assert second.status_code == 201
    assert second.json()["emergency"] != first.json()["emergency"]
    assert {row.subject for row in await world.rows("SELECT subject FROM emergencies")} == {f"{LAHORE}.mlo", "another"}


async def test_twins_that_come_together_open_one_emergency(world: World) -> None:
    await world.open_case(**FULL)
    answers = await asyncio.gather(*(opened(world, key="one") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["emergency"] for answer in answers}) == 1
    assert len(await world.rows("SELECT 1 FROM emergencies")) == 1
    assert len(await world.rows(LOOKS)) == 4


async def test_many_clinicians_at_once_each_open_their_own(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    asked = [opened(world, cell=cell, token={"sub": f"{cell}.{n}"}) for n in range(3) for cell in (KARACHI, LAHORE)]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["emergency"] for answer in answers}) == 6
    assert [each["kind"] for each in await world.timeline(case)].count("emergency_opened") == 6


async def test_it_is_read_again_by_the_same_clinician_while_its_time_lasts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case(**FULL)
    first = (await opened(world)).json()
    later(monkeypatch, minutes=59)
    assert (await again(world, first["emergency"])).json() == first
    assert [look.referral for look in await world.rows(LOOKS)] == [case, case]
    later(monkeypatch, minutes=2)
    over = await again(world, first["emergency"])
    assert (over.status_code, over.json()["code"]) == (410, "emergency-over")
    refused = (await world.rows(LOOKS))[-1]
    assert (refused.referral, refused.tenant, refused.categories) == (None, KARACHI, [])


async def test_nobody_else_reads_it_and_they_cannot_tell_that_it_is_there(world: World) -> None:
    await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    unknown = await again(world, str(uuid4()))
    strangers: list[dict[str, Any]] = [{"sub": "another"}, {"cell": KARACHI}, {"cell": KARACHI, "sub": f"{LAHORE}.mlo"}]
    for token in strangers:
        answer = await again(world, emergency, **token)
        assert answer.status_code == 404
        assert plain(answer) == plain(unknown)
        assert answer.headers.keys() == unknown.headers.keys()
    assert len(await world.rows(f"SELECT 1 FROM ({LOOKS}) AS l WHERE refused IS NOT NULL")) == 4


async def test_what_a_reviewer_found_unjustified_is_not_read_again(world: World) -> None:
    await world.open_case(**FULL)
    emergencies = [(await opened(world)).json()["emergency"] for _ in range(2)]
    for emergency, finding in zip(emergencies, ("justified", "not_justified"), strict=True):
        assert (await reviewed(world, emergency, finding)).status_code == 200
    assert [(await again(world, each)).status_code for each in emergencies] == [200, 410]


async def test_an_emergency_gives_no_other_access_to_the_case(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    await opened(world)
    for path in (f"/v1/cases/{case}", f"/v1/cases/{case}/consents", f"/v1/cases/{case}/disclosures"):
        assert (await world.as_person("mlo", "GET", path, cell=LAHORE)).status_code in {403, 404}


async def test_nothing_personal_stands_in_clear_anywhere(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    await reviewed(world, emergency)
    await opened(world, case="nothing like a code")
    clear = []
    for table in ("emergencies", "emergency_reviews", "timeline", "ledger_entries", "looks", "idempotency"):
        clear += [str(row) for row in await world.rows(f"SELECT to_jsonb(t) FROM {table} AS t")]
    told = json.dumps(clear) + capsys.readouterr().out
    for canary in (*SHOWN.values(), CNIC, MLC, "Unconscious-Canary", "Called-Canary", "nothing like a code"):
        assert canary not in told
        assert canary.encode().hex() not in told


async def test_once_the_case_is_found_no_other_cell_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.open_case(**FULL)
    seen: list[str] = []
    adds = repository.add_emergency

    async def watched(session: AsyncSession, row: dict[str, Any]) -> None:
        seen.append((await session.execute(text("SELECT current_setting('amanat.tenants')"))).scalar_one())
        await adds(session, row)

    monkeypatch.setattr(repository, "add_emergency", watched)
    for cell in (KARACHI, LAHORE):
        assert (await opened(world, cell=cell)).status_code == 201
    assert seen == [KARACHI, f"{KARACHI},{LAHORE}"]
