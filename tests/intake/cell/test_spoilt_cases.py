"""A byte was changed, a key was lost, a contract was tightened: what she takes back ends all the same, and at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from amanat.contracts.disclosures import CategoryWithdrawn
from amanat_local.postgres import Postgres
from intake.service.sweeps import sweep

from .my_case.cell import hers, issue, sign_in
from .world import FORENSICS, LEGAL, POLICE, SADDAR, World, consent

EVERY_RECORD = "UPDATE records SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)"
SPOILT = {
    "a byte of every record": EVERY_RECORD,
    "the key of every record": "UPDATE records SET sealed = set_byte(sealed, 1, 200)",
    "what every record is": "UPDATE records SET kind = 'x'",
    "a byte of every custody half": "UPDATE custody_halves SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)",
}


async def spoil(postgres: Postgres, statement: str) -> None:
    """As an insider does, who owns the tables."""
    await asyncio.to_thread(postgres.sql, "intake", statement)


def consent_number(number: int, case: str) -> str:
    """The statement that changes a byte of the case's consent of this number, and changes it back."""
    return (
        "UPDATE consent_events SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE id ="
        f" (SELECT id FROM consent_events WHERE case_code = '{case}' AND kind = 'given'"
        f" ORDER BY position OFFSET {number - 1} LIMIT 1)"
    )


async def keys(world: World) -> list[tuple[str, str]]:
    rows = await world.rows("SELECT r.agency, k.category FROM keys k JOIN referrals r ON r.code = k.referral")
    return sorted((row.agency, row.category) for row in rows)


async def tombstones(world: World) -> list[tuple[str, str]]:
    rows = [row for row in await world.outbox() if row.type == CategoryWithdrawn.type and row.cancelled_at is None]
    return sorted((row.topic.removeprefix("disclosures."), row.category) for row in rows)


async def kinds(world: World, case: str) -> list[str]:
    rows = await world.rows("SELECT kind FROM timeline WHERE case_code = :c ORDER BY position", c=case)
    return [row.kind for row in rows]


def alarms(table: str = "consent_events") -> float:
    return REGISTRY.get_sample_value("amanat_ended_unread_total", {"table": table}) or 0


async def ends_at(world: World, soon: datetime) -> None:
    assert await sweep(world.gate, world.gate_access, soon, world.instruments)


@pytest.mark.parametrize("how", SPOILT)
async def test_no_record_has_to_open_for_a_withdrawal(world: World, postgres: Postgres, how: str) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident", "examination"), consent(LEGAL, "incident"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000012"})
    released = {"counterpart": {"agency": "forensics", "organisation": "lab-karachi"}}
    assert (await world.post("/v1/kits/KIT-000012/release", released)).status_code == 201
    hers_to_police = await world.consent_of(case, POLICE)
    await spoil(postgres, SPOILT[how])
    answer = await world.withdraw(case, hers_to_police)
    assert answer.status_code == 200, answer.text
    assert [ending["category"] for ending in answer.json()["endings"]] == ["examination", "incident"]
    assert await keys(world) == [("legal-aid", "incident")]
    assert await tombstones(world) == [("police-link", "examination"), ("police-link", "incident")]
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []
    assert len((await world.leased(LEGAL, referrals[LEGAL]))["keys"]) == 1


async def test_where_her_age_does_not_open_it_is_an_alarm_and_what_she_named_ends(
    world: World, postgres: Postgres
) -> None:
    case, _ = await world.open_case(consent(POLICE, "incident"), consent(LEGAL, "incident"))
    hers_to_police = await world.consent_of(case, POLICE)
    await spoil(postgres, EVERY_RECORD)
    before = alarms("records")
    answer = (await world.withdraw(case, hers_to_police)).json()
    assert answer["unread"] is True
    assert alarms("records") == before + 1
    assert "ended_unread" in await kinds(world, case)
    assert await keys(world) == [("legal-aid", "incident")]


async def test_where_her_age_does_not_open_nothing_goes_on_for_longer_than_it_would_have(
    world: World, postgres: Postgres
) -> None:
    """At 18 she is asked again; by the birth date that was corrected that is sooner than by the first one."""
    today = (datetime.now(UTC) + timedelta(hours=5)).date()
    birthdays = (today + timedelta(days=20), today + timedelta(days=10))
    first, corrected = (day.replace(year=day.year - 18, day=min(day.day, 28)).isoformat() for day in birthdays)
    both = [{"role": "survivor", "decision": "consent"}, {"role": "guardian", "decision": "consent"}]
    case, _ = await world.open_case(
        *(consent(agency, "incident", basis="guardian", deciders=both) for agency in (POLICE, LEGAL)),
        person={"birth_date": first},
    )
    shown = await world.get(f"/v1/cases/{case}")
    [person] = [each["record"] for each in shown.json()["records"] if each["kind"] == "person"]
    body = {"kind": "person", "record": {"birth_date": corrected}, "corrects": person, "reason": "by her B-Form"}
    mended = await world.post(f"/v1/cases/{case}/records", body, If_Match=shown.headers["etag"])
    assert mended.status_code == 201, mended.text
    hers_to_police = await world.consent_of(case, POLICE)
    until = "SELECT s.until FROM shares s JOIN referrals r ON r.code = s.referral WHERE r.agency = 'legal-aid'"
    before = await world.rows(until)
    assert before[0].until.date() < today + timedelta(days=11)
    await spoil(postgres, EVERY_RECORD)
    assert (await world.withdraw(case, hers_to_police)).json()["unread"] is True
    assert await world.rows(until) == before


async def test_of_a_consent_that_opens_what_it_names_ends_though_another_does_not(
    world: World, postgres: Postgres
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(FORENSICS, "incident"))
    hers_to_police = await world.consent_of(case, POLICE)
    await spoil(postgres, consent_number(2, case))
    before = alarms()
    answer = await world.withdraw(case, hers_to_police, "incident")
    assert (answer.status_code, answer.json()["unread"], answer.json()["still_shared"]) == (200, True, [])
    assert alarms() == before + 1
    assert await keys(world) == [("forensics", "incident"), ("police-link", "identity")]
    assert await tombstones(world) == [("police-link", "incident")]
    assert {key["category"] for key in (await world.leased(POLICE, referrals[POLICE]))["keys"]} == {"identity"}
    sent = len(await world.outbox())
    assert (await world.withdraw(case, hers_to_police, "incident")).status_code == 200
    assert len(await world.outbox()) == sent


async def test_of_a_consent_that_does_not_open_everything_of_its_case_ends(world: World, postgres: Postgres) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "incident"))
    _, others = await world.open_case(consent(POLICE, "identity"))
    hers_to_police = await world.consent_of(case, POLICE)
    await spoil(postgres, consent_number(1, case))
    answer = await world.withdraw(case, hers_to_police)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["unread"], told["still_shared"]) == (True, [])
    assert {(each["agency"], each["category"]) for each in told["endings"]} == {
        ("police-link", "identity"),
        ("police-link", "incident"),
        ("legal-aid", "incident"),
    }
    for agency in (POLICE, LEGAL):
        assert (await world.leased(agency, referrals[agency]))["keys"] == []
    assert len(await tombstones(world)) == 3
    told_again = (await world.withdraw(case, hers_to_police)).json()
    assert told_again["endings"] == told["endings"]
    assert (await kinds(world, case)).count("consent_withdrawn") == 1
    assert set(await world.readable(POLICE, others[POLICE])) == {"identity"}


async def test_a_withdrawal_stands_when_the_consent_is_mended(world: World, postgres: Postgres) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "incident"))
    hers_to_police = await world.consent_of(case, POLICE)
    await spoil(postgres, consent_number(1, case))
    await world.withdraw(case, hers_to_police)
    await spoil(postgres, consent_number(1, case))  # the same byte, back again
    added = await world.post(f"/v1/cases/{case}/consents", consent(FORENSICS, "incident"))
    assert added.status_code == 201, added.text
    assert await world.readable(POLICE, referrals[POLICE]) == {}
    assert set(await world.readable(LEGAL, referrals[LEGAL])) == {"incident"}


async def test_a_consent_that_never_was_is_a_404_in_a_case_that_opens(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    assert (await world.withdraw(case, str(uuid4()))).status_code == 404


@pytest.mark.parametrize("spoilt", ["a record", "a consent"])
async def test_what_has_run_out_ends_though_its_case_does_not_open(
    world: World, postgres: Postgres, spoilt: str
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    case, referrals = await world.open_case(
        consent(POLICE, "incident", expires_at=soon.isoformat()), consent(LEGAL, "incident")
    )
    await spoil(postgres, EVERY_RECORD if spoilt == "a record" else consent_number(1, case))
    await ends_at(world, soon)
    assert await keys(world) == [("legal-aid", "incident")]
    assert await tombstones(world) == [("police-link", "incident")]
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []


@pytest.mark.parametrize("spoilt", ["a record", "a consent"])
async def test_she_sees_her_page_and_takes_back_from_afar_though_her_case_does_not_open(
    world: World, postgres: Postgres, spoilt: str
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"), consent(LEGAL, "incident"))
    claim = await issue(world, case)
    await spoil(postgres, EVERY_RECORD if spoilt == "a record" else consent_number(1, case))
    opened = await sign_in(world, claim.code)
    assert [part["withdrawable"] for office in opened["case"]["shared"] for part in office["parts"]] == [True, True]
    wish = {"agency": "police-link", "organisation": SADDAR}
    answer = await hers(world, "/v1/my/withdrawals", session=opened["session"], **wish)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["call"] is not None
    assert [(each["agency"], each["category"]["id"]) for each in told["ended"]] == [("police-link", "incident")]
    assert await keys(world) == [("legal-aid", "incident")]
    assert await tombstones(world) == [("police-link", "incident")]
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []


async def test_a_secret_order_whose_consent_does_not_open_stays_secret_on_her_page(
    world: World, postgres: Postgres
) -> None:
    case, _ = await world.open_case(consent(LEGAL, "incident"))
    review = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    await world.order(case, POLICE, "incident", secrecy={"reference": "Secret 3", "review_at": review})
    claim = await issue(world, case)
    await spoil(postgres, consent_number(2, case))  # the second consent of this case: the order's
    opened = (await sign_in(world, claim.code))["case"]
    assert [office["agency"] for office in opened["shared"]] == ["legal-aid"]
    assert opened["ended"] == []
