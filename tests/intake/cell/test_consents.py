"""Who must have decided, and what becomes of consents when that is learned later."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from intake.service.sweeps import sweep

from .world import ADULT, LEGAL, POLICE, World, consent

TODAY = datetime.now(UTC).date()
GUARDIAN = {"role": "guardian", "relationship": "mother", "decision": "consent"}
ASSENT = {"role": "survivor", "decision": "written_assent"}
COURT = {"role": "court_substitute", "decision": "consent", "authority_reference": "Order 12"}


def born(years: int) -> str:
    return date(TODAY.year - years, 1, 1).isoformat()


async def _states(world: World, case: str) -> dict[str, tuple[str, list[str]]]:
    shown = (await world.get(f"/v1/cases/{case}")).json()
    return {each["agency"]: (each["state"], each["missing"]) for each in shown["referrals"]}


async def _open(world: World, *consents: dict[str, Any], **parts: Any) -> str:
    answer = await world.post("/v1/cases", {**parts, "consents": list(consents)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["case"])


async def test_a_childs_consent_without_her_guardian_waits(world: World) -> None:
    child = {"full_name": "A", "birth_date": born(13)}
    case = await _open(world, consent(POLICE, "identity", deciders=[ASSENT]), person=child)
    assert await _states(world, case) == {"police-link": ("waiting_for_consent", ["guardian"])}
    both = consent(POLICE, "identity", deciders=[ASSENT, GUARDIAN])
    await world.post(f"/v1/cases/{case}/consents", both)
    assert (await _states(world, case))["police-link"][0] == "open"


async def test_the_accused_guardian_decides_nothing_and_a_substitute_must(world: World) -> None:
    child = {"full_name": "A", "birth_date": born(13)}
    both = consent(POLICE, "identity", deciders=[ASSENT, GUARDIAN])
    case = await _open(world, both, person=child, guardian_is_accused=True)
    assert await _states(world, case) == {"police-link": ("waiting_for_consent", ["substitute"])}
    with_court = consent(POLICE, "identity", deciders=[ASSENT, COURT])
    await world.post(f"/v1/cases/{case}/consents", with_court)
    assert (await _states(world, case))["police-link"][0] == "open"


async def test_the_accused_guardian_is_excluded_from_consents_that_come_later_too(world: World) -> None:
    case = await _open(world, person={"birth_date": born(13)}, guardian_is_accused=True)
    both = consent(POLICE, "identity", deciders=[ASSENT, GUARDIAN])
    answer = await world.post(f"/v1/cases/{case}/consents", both)
    assert answer.json()["referral"]["state"] == "waiting_for_consent"
    assert answer.json()["referral"]["missing"] == ["substitute"]
    assert await world.outbox() == []


async def test_a_guardian_found_unsafe_takes_along_what_rested_on_that_guardian(world: World) -> None:
    child = {"full_name": "A", "birth_date": born(13)}
    both = consent(POLICE, "identity", deciders=[ASSENT, GUARDIAN])
    case = await _open(world, both, person=child)
    [police] = [row.code for row in await world.rows("SELECT code FROM referrals")]
    assert set(await world.readable(POLICE, police)) == {"identity"}
    unsafe = {"guardian_unsafe": True, "reason": "as found in private"}
    with_court = consent(LEGAL, "identity", deciders=[ASSENT, COURT], safety_finding=unsafe)
    assert (await world.post(f"/v1/cases/{case}/consents", with_court)).json()["referral"]["state"] == "open"
    assert (await world.leased(POLICE, police))["keys"] == []
    assert await _states(world, case) == {"police-link": ("closed", ["substitute"]), "legal-aid": ("open", [])}


async def test_another_guardian_by_reference_stays_trusted(world: World) -> None:
    mother = {**GUARDIAN, "authority_reference": "mother"}
    father = {**GUARDIAN, "authority_reference": "father"}
    child = {"full_name": "A", "birth_date": born(13)}
    case = await _open(world, consent(POLICE, "identity", deciders=[ASSENT, mother]), person=child)
    unsafe = {"guardian_unsafe": True}
    await world.post(
        f"/v1/cases/{case}/consents", consent(LEGAL, "identity", deciders=[ASSENT, father], safety_finding=unsafe)
    )
    states = await _states(world, case)
    assert states["police-link"][0] == "open"
    assert states["legal-aid"] == ("waiting_for_consent", ["substitute"])


async def test_an_unknown_age_lets_nothing_out_until_it_is_known(world: World) -> None:
    case = await _open(world, consent(POLICE, "identity"), person={"full_name": "A"})
    assert await _states(world, case) == {"police-link": ("waiting_for_consent", ["age"])}
    added = await world.post(f"/v1/cases/{case}/records", {"kind": "person", "record": {"birth_date": born(30)}})
    assert added.status_code == 201
    assert (await _states(world, case))["police-link"][0] == "open"
    [police] = [row.code for row in await world.rows("SELECT code FROM referrals")]
    assert len(await world.disclosed(police)) == 1


async def test_a_corrected_birth_date_that_shows_a_child_ends_what_no_guardian_agreed_to(world: World) -> None:
    case, referrals = await world.open_case(
        consent(POLICE, "identity", "imagery"), images=[{"description": "an image"}]
    )
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity", "imagery"}
    shown = await world.get(f"/v1/cases/{case}")
    [person] = [each for each in shown.json()["records"] if each["kind"] == "person"]
    corrected = {"kind": "person", "record": {**ADULT, "birth_date": born(15)}, "corrects": person["record"]}
    answer = await world.post(f"/v1/cases/{case}/records", corrected, If_Match=shown.headers["etag"])
    assert answer.status_code == 201
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []
    assert await _states(world, case) == {"police-link": ("closed", ["guardian"])}


async def test_a_childs_images_go_to_nobody_whoever_agrees(world: World) -> None:
    child = {"full_name": "A", "birth_date": born(16)}
    both = consent(POLICE, "identity", "imagery", deciders=[{"role": "survivor", "decision": "consent"}, GUARDIAN])
    await _open(world, both, person=child, images=[{"description": "an image"}])
    [police] = [row.code for row in await world.rows("SELECT code FROM referrals")]
    assert set(await world.readable(POLICE, police)) == {"identity"}


async def test_at_eighteen_she_is_asked_again(world: World) -> None:
    birthday = TODAY + timedelta(days=20)
    child = {"birth_date": birthday.replace(year=birthday.year - 18).isoformat()}
    both = consent(POLICE, "identity", deciders=[{"role": "survivor", "decision": "consent"}, GUARDIAN])
    await _open(world, both, person=child)
    [police] = [row.code for row in await world.rows("SELECT code FROM referrals")]
    assert len((await world.leased(POLICE, police))["keys"]) == 1
    await sweep(world.gate, world.gate_access, datetime.now(UTC) + timedelta(days=21), world.instruments)
    assert (await world.leased(POLICE, police))["keys"] == []


async def test_without_capacity_consent_waits_for_her(world: World) -> None:
    case = await _open(world, consent(POLICE, "identity", capacity="absent"), person=ADULT)
    assert await _states(world, case) == {"police-link": ("waiting_for_consent", ["capacity"])}


async def test_a_consent_dated_tomorrow_is_refused_where_it_stands(world: World) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answer = await world.post(
        "/v1/cases", {"person": ADULT, "consents": [consent(POLICE, "identity", given_at=tomorrow)]}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/consents/0/given_at"


async def test_a_reading_of_consents_is_on_record_too(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    before = len(await world.rows("SELECT 1 FROM looks"))
    await world.get(f"/v1/cases/{case}/consents")
    assert len(await world.rows("SELECT 1 FROM looks")) == before + 1
