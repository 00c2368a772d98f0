"""Opening a case: all of it or nothing, once however often it is sent, and to nobody without a grant."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from .world import (
    ADULT,
    CANARY,
    CLIFTON,
    FORENSICS,
    HERSELF,
    KARACHI,
    LAHORE,
    LEGAL,
    POLICE,
    World,
    body_of,
    consent,
)

EVERYTHING = [
    "identity", "contact", "incident", "examination", "digital", "imagery", "care", "counselling", "investigation",
    "laboratory", "representation",
]  # fmt: skip
WHOLE = {
    "person": ADULT,
    "contact": {"channel": "call", "number": "+92 300 0000000"},
    "incident": {"history": "Told to the examiner", "acts": ["rape"], "place": "a street"},
    "examination": {
        "examiner_name": "Dr A", "general_condition": "stable", "samples": [{"site": "HVS"}],
        "medication": ["a medicine"], "hiv_test": "non_reactive",
    },
    "care": {"notes": "prophylaxis given"},
    "counselling": {"notes": "a plan"},
    "digital": [{"description": "messages"}],
    "images": [{"description": "an image"}],
}  # fmt: skip


async def test_a_case_opens_with_its_records_referrals_clocks_and_timeline(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    shown = (await world.get(f"/v1/cases/{case}")).json()
    assert {record["kind"] for record in shown["records"]} == {"person", "incident"}
    assert [(r["referral"], r["state"], r["categories"]) for r in shown["referrals"]] == [
        (referrals[POLICE], "open", ["identity", "incident"])
    ]
    assert {"examination", "fir"} <= {clock["kind"] for clock in shown["clocks"]}
    assert {entry["kind"] for entry in shown["timeline"]} == {"case_opened", "consent_given", "referral_opened"}


async def test_each_agency_reads_no_more_than_its_ceiling_whatever_is_granted(world: World) -> None:
    granted = [consent(agency, *EVERYTHING) for agency in (POLICE, FORENSICS, LEGAL)]
    answer = await world.post("/v1/cases", {**WHOLE, "consents": granted})
    referrals = {each["agency"]: each["referral"] for each in answer.json()["referrals"]}
    police = await world.readable(POLICE, referrals[POLICE])
    laboratory = await world.readable(FORENSICS, referrals[FORENSICS])
    counsel = await world.readable(LEGAL, referrals[LEGAL])
    assert set(police) == {"identity", "contact", "incident", "examination", "digital", "imagery"}
    assert set(counsel) == {"identity", "contact", "incident", "examination", "digital"}
    assert set(laboratory) == {"incident", "examination", "digital"}
    assert police["identity"][0]["full_name"] == CANARY
    assert [set(record) for record in laboratory["incident"]] == [{"kind", "acts"}]
    assert [set(record) for record in laboratory["examination"]] == [{"kind", "samples"}]
    for reader in (police, laboratory, counsel):
        assert not {"hiv_test", "medication", "notes"} & {f for rs in reader.values() for r in rs for f in r}
    assert CANARY not in str(laboratory)


async def test_an_agency_sees_only_what_was_granted_to_it(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "incident"), consent(LEGAL, "identity"))
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"incident"}
    assert set(await world.readable(LEGAL, referrals[LEGAL])) == {"identity"}


async def test_without_a_grant_there_is_no_outbox_row_at_all(world: World) -> None:
    case, referrals = await world.open_case(
        referrals=[
            {"agency": POLICE, "organisation": "station-saddar"},
            {"agency": LEGAL, "organisation": "partner-hamdam"},
        ]
    )
    assert await world.outbox() == []
    assert await world.rows("SELECT 1 FROM keys") == []
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000001"})
    await world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"place": "elsewhere"}})
    assert await world.outbox() == []
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []


async def test_a_referral_without_consent_waits_and_says_for_what(world: World) -> None:
    body = {
        "person": ADULT,
        "consents": [consent(POLICE, "identity", deciders=[])],
        "referrals": [{"agency": "legal-aid", "organisation": "partner-hamdam"}],
    }
    answer = await world.post("/v1/cases", body)
    states = {r["agency"]: (r["state"], r["missing"]) for r in answer.json()["referrals"]}
    assert states == {
        "police-link": ("waiting_for_consent", ["survivor"]),
        "legal-aid": ("waiting_for_consent", ["consent"]),
    }
    assert await world.outbox() == []


async def test_a_consent_given_later_opens_the_referral_that_waited(world: World) -> None:
    case, referrals = await world.open_case(referrals=[{"agency": POLICE, "organisation": "station-saddar"}])
    answer = await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "identity"))
    assert answer.status_code == 201
    assert answer.json()["referral"]["referral"] == referrals[POLICE]
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


@pytest.mark.parametrize(
    "change",
    [
        {"consents": [consent(POLICE, "identity", organisation="station-nowhere")]},
        {"consents": [consent(POLICE, "identity", organisation="station-model-town")]},
        {"referrals": [{"agency": "forensics", "organisation": "lab-lahore"}]},
        {"consents": [consent(POLICE, "identity", purpose="marketing")]},
        {"consents": [{"recipient": {"agency": "police-link", "organisation": CANARY}, "categories": ["identity"]}]},
    ],
)
async def test_an_unknown_recipient_or_purpose_is_refused_and_nothing_stored(
    world: World, change: dict[str, object]
) -> None:
    answer = await world.post("/v1/cases", {"person": ADULT, **change})
    assert answer.status_code == 422
    assert CANARY not in answer.text
    assert await world.rows("SELECT 1 FROM cases") == []


async def test_fifty_posts_at_once_with_one_key_open_one_case(world: World) -> None:
    key, body = str(uuid4()), {"person": ADULT, "consents": [consent(POLICE, "identity")]}
    answers = await asyncio.gather(*(world.post("/v1/cases", body, key=key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(await world.rows("SELECT 1 FROM cases")) == 1
    assert len(await world.disclosed(answers[0].json()["referrals"][0]["referral"])) == 1


async def test_another_body_under_the_same_key_is_refused(world: World) -> None:
    await world.post("/v1/cases", {"person": ADULT}, key="k")
    answer = await world.post("/v1/cases", {"person": {"full_name": CANARY}}, key="k")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert CANARY not in answer.text


async def test_a_replay_tells_how_things_stand_today(world: World) -> None:
    body = {"person": ADULT, "consents": [consent(POLICE, "identity")]}
    first = await world.post("/v1/cases", body, key="k")
    case = first.json()["case"]
    await world.withdraw(case, await world.consent_of(case, POLICE))
    again = await world.post("/v1/cases", body, key="k")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["case"] == case
    assert again.json()["referrals"][0]["state"] == "closed"


async def test_a_kit_opened_while_a_referral_was_closed_is_announced_when_it_reopens(world: World) -> None:
    case, referrals = await world.open_case(consent(FORENSICS, "examination"), examination=WHOLE["examination"])
    await world.withdraw(case, await world.consent_of(case, FORENSICS))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000002"})
    assert not [r for r in await world.outbox(referrals[FORENSICS]) if r.type.endswith("kit-announced.v1")]
    await world.post(f"/v1/cases/{case}/consents", consent(FORENSICS, "examination"))
    [announced] = [r for r in await world.outbox(referrals[FORENSICS]) if r.type.endswith("kit-announced.v1")]
    assert body_of(announced)["barcode"] == "KIT-000002"


async def test_each_referral_numbers_its_events_without_a_gap(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000003"})
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    rows = await world.outbox(referrals[POLICE])
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))


async def test_one_client_of_two_cells_must_name_the_cell(world: World) -> None:
    async with world.cell(KARACHI, [KARACHI, LAHORE]) as client:
        vague = await client.post("/v1/cases", json={}, headers={"Idempotency-Key": "a"})
        named = await client.post("/v1/cases", json={"cell": LAHORE}, headers={"Idempotency-Key": "b"})
        foreign = await client.post("/v1/cases", json={"cell": "arcc-multan"}, headers={"Idempotency-Key": "c"})
    assert (vague.status_code, named.status_code, foreign.status_code) == (422, 201, 422)
    assert (await world.get(f"/v1/cases/{named.json()['case']}", cell=LAHORE)).status_code == 200


async def test_care_never_waits_for_a_form(world: World) -> None:
    assert (await world.post("/v1/cases", {})).status_code == 201


async def test_what_leaves_is_of_the_asked_station_only(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity", deciders=HERSELF))
    assert (await world.leased(POLICE, referrals[POLICE], organisation=CLIFTON))["keys"] == []


async def test_the_keys_table_refuses_a_doubled_share(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    with pytest.raises(DBAPIError):
        await world.rows(
            "INSERT INTO shares (tenant, referral, category, epoch, opened_at) VALUES (:t, :r, 'identity', 2, now())"
            " RETURNING 1",
            t=KARACHI,
            r=referrals[POLICE],
        )
