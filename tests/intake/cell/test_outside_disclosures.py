"""A disclosure on a court's order or a statutory duty: one asks, another decides; then it is a consent like others."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from amanat.categories import Agency

from .breaking import FULL, later, plain, round_at
from .world import CANARY, FORENSICS, KARACHI, LAHORE, LEGAL, POLICE, SADDAR, World, consent

SECRET_UNTIL = timedelta(days=20)
KINDS = ("disclosure_asked", "disclosure_approved", "disclosure_refused", "disclosure_lapsed")


def secrecy(**span: float) -> dict[str, str]:
    """A court's order that she is not told, to be looked at again after so long."""
    at = datetime.now(UTC) + (timedelta(**span) if span else SECRET_UNTIL)
    return {"reference": "Secrecy-Canary-3", "review_at": at.isoformat()}


async def asked(world: World, case: str, *categories: str, agency: Agency = POLICE, **more: Any) -> str:
    answer = await world.ask(case, agency, *(categories or ("incident",)), **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["disclosure"])


async def refuse(world: World, case: str, disclosure: str, **token: Any) -> httpx.Response:
    path, body = f"/v1/cases/{case}/disclosures/{disclosure}/refusal", {"reason": f"{CANARY} is not named in it"}
    return await world.as_person("superintendent", "POST", path, body, **token)


async def disclosures(world: World, case: str) -> list[dict[str, Any]]:
    answer = await world.as_person("records", "GET", f"/v1/cases/{case}/disclosures")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["disclosures"])


async def kinds(world: World, case: str) -> list[str]:
    return [each["kind"] for each in await world.timeline(case) if each["kind"] in KINDS]


async def test_what_is_asked_for_grants_nothing_and_tells_nobody(world: World) -> None:
    case, _ = await world.open_case()
    answer = await world.ask(case, POLICE, "incident", "identity")
    told = answer.json()
    assert (answer.status_code, told["state"], told["consent"]) == (201, "asked", None)
    [shown] = await disclosures(world, case)
    assert (shown["asked_by"], shown["asked_by_unit"]) == (f"{KARACHI}.records", "records")
    assert (shown["reference"], shown["secrecy"]) == ("Order 7 of 2026", None)
    assert await world.outbox() == []
    assert await world.rows("SELECT 1 FROM referrals") == []
    assert await kinds(world, case) == ["disclosure_asked"]


async def test_an_approved_one_opens_at_once_under_the_agencys_ceiling(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    disclosure = await asked(world, case, "incident", "examination")
    answer = await world.approve(case, disclosure)
    told = answer.json()
    assert (answer.status_code, told["state"]) == (200, "approved")
    [referral] = [row.referral for row in await world.rows("SELECT DISTINCT referral FROM shares")]
    read = await world.readable(POLICE, referral)
    assert set(read) == {"incident", "examination"}
    assert "Treatment-Canary" not in json.dumps(read)
    [shown] = (await world.get(f"/v1/cases/{case}/consents")).json()["consents"]
    assert (shown["consent"], shown["basis"], shown["expires_at"], shown["valid"]) == (
        told["consent"], "court_order", told["expires_at"], True,
    )  # fmt: skip
    assert await kinds(world, case) == ["disclosure_asked", "disclosure_approved"]
    assert [(each["state"], each["decided_by_unit"]) for each in await disclosures(world, case)] == [
        ("approved", "superintendent-office")
    ]


async def test_after_a_withdrawal_it_opens_a_new_epoch_from_the_cells_original(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []
    await world.order(case, POLICE, "incident")
    assert [key["epoch"] for key in (await world.leased(POLICE, referrals[POLICE]))["keys"]] == [2]


async def test_it_ends_with_its_expiry_as_a_consent_does(world: World) -> None:
    case, _ = await world.open_case()
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await world.order(case, POLICE, "incident", expires_at=soon.isoformat())
    [referral] = [row.code for row in await world.rows("SELECT code FROM referrals")]
    assert set(await world.readable(POLICE, referral)) == {"incident"}
    await round_at(world, soon + timedelta(seconds=1))
    assert await world.rows("SELECT 1 FROM keys") == []
    assert (await world.leased(POLICE, referral))["keys"] == []


async def test_her_own_consent_goes_on_when_the_order_ends(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await world.order(case, POLICE, "incident", "identity", expires_at=soon.isoformat())
    await round_at(world, soon + timedelta(seconds=1))
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"incident"}


BOTH = ["cell_records", "cell_supervisor"]
NOT_SECOND: dict[str, dict[str, Any]] = {
    "the same person": {"sub": f"{KARACHI}.records"},
    "the same person with both roles": {"sub": f"{KARACHI}.records", "roles": BOTH, "unit": "superintendent-office"},
    "the same unit": {"unit": "records"},
    "the same unit, written otherwise": {"unit": "Records"},
    "no unit": {"unit": None},
    "the asker's role beside": {"roles": BOTH},
}


@pytest.mark.parametrize("who", NOT_SECOND)
async def test_who_is_not_another_in_person_unit_and_role_decides_nothing(world: World, who: str) -> None:
    case, _ = await world.open_case()
    disclosure = await asked(world, case)
    answers = [
        await world.approve(case, disclosure, **NOT_SECOND[who]),
        await refuse(world, case, disclosure, **NOT_SECOND[who]),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (403, "second-person-needed")
    assert (await world.approve(case, disclosure)).status_code == 200


@pytest.mark.parametrize("token", [{"unit": None}, {"roles": BOTH}, {"roles": [*BOTH, "cell_clinician"]}])
async def test_what_nobody_could_approve_is_not_asked_for(world: World, token: dict[str, Any]) -> None:
    case, _ = await world.open_case()
    body = {
        "recipient": {"agency": POLICE, "organisation": SADDAR}, "categories": ["incident"], "basis": "court_order",
        "reference": "Order 7", "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    answer = await world.as_person("records", "POST", f"/v1/cases/{case}/disclosures", body, **token)
    assert (answer.status_code, answer.json()["code"]) == (403, "cannot-ask")
    assert await world.rows("SELECT 1 FROM outside_disclosures") == []


async def test_another_cells_people_see_and_decide_nothing(world: World) -> None:
    case, _ = await world.open_case()
    disclosure = await asked(world, case)
    unknown = await world.approve("C-0000-0000-0", disclosure)
    answers = [
        await world.approve(case, disclosure, cell=LAHORE),
        await refuse(world, case, disclosure, cell=LAHORE),
        await world.approve(case, str(uuid4())),
        await world.ask(case, POLICE, "incident", cell=LAHORE),
        await world.as_person("records", "GET", f"/v1/cases/{case}/disclosures", cell=LAHORE),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert plain(answer) == plain(unknown)


async def test_a_disclosure_is_decided_on_its_own_case_alone(world: World) -> None:
    case, _ = await world.open_case()
    other, _ = await world.open_case()
    disclosure = await asked(world, case)
    assert (await world.approve(other, disclosure)).status_code == 404
    assert await world.rows("SELECT 1 FROM consent_events") == []


async def test_a_refused_one_stays_refused_and_says_why(world: World) -> None:
    case, _ = await world.open_case()
    disclosure = await asked(world, case)
    first, second = await refuse(world, case, disclosure), await refuse(world, case, disclosure)
    assert (first.status_code, first.json()["state"]) == (200, "refused")
    assert second.json() == first.json()
    answer = await world.approve(case, disclosure)
    assert (answer.status_code, answer.json()["code"]) == (409, "already-decided")
    assert [each["reason"] for each in await disclosures(world, case)] == [f"{CANARY} is not named in it"]
    assert await world.outbox() == []
    assert await kinds(world, case) == ["disclosure_asked", "disclosure_refused"]


async def test_what_nobody_decides_lapses_after_a_week(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case, _ = await world.open_case()
    disclosure = await asked(world, case)
    week = datetime.now(UTC) + timedelta(days=7)
    await round_at(world, week - timedelta(minutes=1))
    assert [each["state"] for each in await disclosures(world, case)] == ["asked"]
    later(monkeypatch, days=7)
    answer = await world.approve(case, disclosure)
    assert (answer.status_code, answer.json()["code"]) == (409, "disclosure-lapsed")
    assert [each["state"] for each in await disclosures(world, case)] == ["lapsed"]
    for _ in range(2):
        await round_at(world, week)
    assert await kinds(world, case) == ["disclosure_asked", "disclosure_lapsed"]
    for answer in (await world.approve(case, disclosure), await refuse(world, case, disclosure)):
        assert (answer.status_code, answer.json()["code"]) == (409, "disclosure-lapsed")
    assert await world.outbox() == []


async def test_one_that_would_be_over_by_then_lapses_with_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case()
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    disclosure = await asked(world, case, expires_at=soon)
    later(monkeypatch, hours=1)
    assert (await world.approve(case, disclosure)).json()["code"] == "disclosure-lapsed"


async def test_two_approvals_at_once_give_one_grant(world: World) -> None:
    case, _ = await world.open_case()
    disclosure = await asked(world, case)
    who = ("superintendent", "superintendent", "deputy", "deputy")
    answers = await asyncio.gather(*(world.approve(case, disclosure, who=each) for each in who))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409]
    assert len(await world.rows("SELECT 1 FROM consent_events WHERE kind = 'given'")) == 1
    assert len(await world.rows("SELECT 1 FROM shares")) == 1
    assert await kinds(world, case) == ["disclosure_asked", "disclosure_approved"]


async def test_of_a_yes_and_a_no_at_once_one_stands(world: World) -> None:
    case, _ = await world.open_case()
    for _ in range(3):
        disclosure = await asked(world, case)
        answers = await asyncio.gather(
            world.approve(case, disclosure), refuse(world, case, disclosure, sub="deputy"),
        )  # fmt: skip
        assert sorted(answer.status_code for answer in answers) == [200, 409]
    decided = await world.rows("SELECT decision FROM outside_decisions")
    approved = [row for row in decided if row.decision == "approved"]
    assert len(decided) == 3
    assert len(await world.rows("SELECT 1 FROM consent_events WHERE kind = 'given'")) == len(approved)


async def test_asked_again_with_the_same_key_it_is_the_same(world: World) -> None:
    case, _ = await world.open_case()
    body = {
        "recipient": {"agency": POLICE, "organisation": SADDAR}, "categories": ["incident"], "basis": "statutory_duty",
        "reference": "s. 174", "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    path = f"/v1/cases/{case}/disclosures"
    first, second = [await world.as_person("records", "POST", path, body, key="one") for _ in range(2)]
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    await world.approve(case, first.json()["disclosure"])
    assert (await world.as_person("records", "POST", path, body, key="one")).json()["state"] == "approved"
    other = await world.as_person("records", "POST", path, body, key="one", sub="another")
    assert other.json()["disclosure"] != first.json()["disclosure"]


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"expires_at": in_days(-1)}, "/expires_at"),
        ({"expires_at": in_days(181)}, "/expires_at"),
        ({"secrecy": {"reference": "Order 8", "review_at": in_days(-1)}}, "/secrecy/review_at"),
        ({"secrecy": {"reference": "Order 8", "review_at": in_days(181)}}, "/secrecy/review_at"),
        ({"categories": ["incident", "care"]}, "/categories/1"),
        ({"categories": ["counselling"]}, "/categories/0"),
        ({"categories": ["operational"]}, "/categories/0"),
        ({"recipient": {"agency": "police-link", "organisation": "station-nowhere"}}, "/recipient"),
        ({"basis": "consent"}, "/basis"),
        ({"reference": " "}, "/reference"),
        ({"secrecy": {"review_at": in_days(3)}}, "/secrecy/reference"),
        ({"approved_by": "x"}, ""),
    ],
)
async def test_what_cannot_be_is_refused_at_once(world: World, changed: dict[str, Any], pointer: str) -> None:
    case, _ = await world.open_case()
    body = {
        "recipient": {"agency": POLICE, "organisation": SADDAR}, "categories": ["incident"], "basis": "court_order",
        "reference": "Order 7", "expires_at": in_days(30), **changed,
    }  # fmt: skip
    answer = await world.as_person("records", "POST", f"/v1/cases/{case}/disclosures", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await world.rows("SELECT 1 FROM outside_disclosures") == []


@pytest.mark.parametrize("basis", ["court_order", "statutory_duty"])
async def test_no_single_client_claims_such_a_basis(world: World, basis: str) -> None:
    case, _ = await world.open_case()
    claimed = {**consent(POLICE, "incident"), "basis": basis, "basis_reference": "Order 7", "deciders": []}
    plainly = await world.post(f"/v1/cases/{case}/consents", claimed)
    with_a_case = await world.post("/v1/cases", {"consents": [consent(LEGAL, "identity"), claimed]})
    for answer, pointer in ((plainly, "/basis"), (with_a_case, "/consents/1/basis")):
        assert (answer.status_code, answer.json()["code"]) == (422, "disclosure-needed")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert "/v1/cases/{case}/disclosures" in answer.json()["title"]
    in_urdu = await world.post(f"/v1/cases/{case}/consents", claimed, Accept_Language="ur")
    assert "/v1/cases/{case}/disclosures" in in_urdu.json()["title"]
    assert "عدالتی" in in_urdu.json()["title"]
    assert len(await world.rows("SELECT 1 FROM cases")) == 1
    assert await world.rows("SELECT 1 FROM consent_events") == []


async def test_a_list_shows_the_references_and_leaves_a_look(world: World) -> None:
    case, _ = await world.open_case()
    await asked(world, case, secrecy=secrecy())
    [shown] = await disclosures(world, case)
    assert (shown["reference"], shown["secrecy"]["reference"]) == ("Order 7 of 2026", "Secrecy-Canary-3")
    assert shown["secrecy"]["in_force"] is True
    [look] = await world.rows("SELECT * FROM looks")
    # The same look as anybody's at this case: it must not tell her of what she is not told.
    assert (look.referral, look.purpose, look.subject) == (case, "care", f"{KARACHI}.records")


async def test_no_answer_to_a_post_tells_what_only_a_look_opens(world: World) -> None:
    case, _ = await world.open_case()
    body = {
        "recipient": {"agency": POLICE, "organisation": SADDAR}, "categories": ["incident"], "basis": "court_order",
        "reference": "Reference-Canary-2", "expires_at": in_days(1), "secrecy": secrecy(),
    }  # fmt: skip
    path = f"/v1/cases/{case}/disclosures"
    answers = [await world.as_person("records", "POST", path, body, key="one") for _ in range(2)]
    answers += [await world.approve(case, answers[0].json()["disclosure"]) for _ in range(2)]
    refused = await asked(world, case, secrecy=secrecy())
    answers += [await refuse(world, case, refused) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200, 200, 200]
    assert await world.rows("SELECT 1 FROM looks") == []
    for answer in answers:
        for canary in (CANARY, "Reference-Canary-2", "Order 7 of 2026", "Secrecy-Canary-3"):
            assert canary not in answer.text
        assert {"reference", "secrecy", "reason", "asked_by", "decided_by"}.isdisjoint(answer.json())


async def test_nothing_personal_stands_in_clear(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    case, _ = await world.open_case()
    await refuse(world, case, await asked(world, case, agency=FORENSICS))
    await world.order(case, POLICE, "incident", secrecy=secrecy())
    clear = []
    for table in ("outside_disclosures", "outside_decisions", "timeline", "ledger_entries", "looks", "consent_events"):
        clear += [str(row) for row in await world.rows(f"SELECT to_jsonb(t) FROM {table} AS t")]
    told = json.dumps(clear) + capsys.readouterr().out
    for canary in (CANARY, "Order 7 of 2026", "Secrecy-Canary-3"):
        assert canary not in told
        assert canary.encode().hex() not in told
