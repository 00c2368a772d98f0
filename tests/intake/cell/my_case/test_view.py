"""What her page tells: offices and never officers, until when, who looked, and what a court keeps from her."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.contracts.withdrawals import TombstoneConfirmed
from amanat.db import Database
from intake.my_case.api.rendering import render
from intake.my_case.schemas import MyCase
from intake.my_case.service import visits as visits_service
from intake.service.looks import note_unaccounted

from ..breaking import CNIC, opened
from ..looking import IDENTITY, INCIDENT, look, tell
from ..world import CANARY, KARACHI, LEGAL, POLICE, World, consent
from .cell import DURESS, PIN, at_desk, hers, is_harmless, issue, sign_in


async def test_it_says_what_is_shared_with_whom_until_when_and_on_what_it_rests(world: World) -> None:
    until = datetime.now(UTC) + timedelta(days=9)
    case, _ = await world.open_case(
        consent(POLICE, "identity", expires_at=until.isoformat()),
        consent(POLICE, "incident"),
    )
    await world.order(case, POLICE, "incident", "examination")
    claim = await issue(world, case)
    [office] = (await sign_in(world, claim.code))["case"]["shared"]
    assert (office["name"], office["purpose"]) == ("Reporting Centre Saddar, Karachi", "to investigate")
    told = {part["category"]["id"]: part for part in office["parts"]}
    assert {name: (p["withdrawable"], p["also_by_law"]) for name, p in told.items()} == {
        "identity": (True, False), "incident": (True, True), "examination": (False, True),
    }  # fmt: skip
    assert datetime.fromisoformat(told["identity"]["until"]) == until
    assert told["incident"]["until"] is None
    assert told["identity"]["category"]["name"] == "Your name and address"
    in_urdu = (await sign_in(world, claim.code, language="ur"))["case"]["shared"][0]
    assert in_urdu["name"] == "رپورٹنگ مرکز صدر، کراچی"


async def test_looks_are_told_by_office_and_hold_no_officer_and_no_content(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    at = datetime.now(UTC) - timedelta(hours=1)
    await tell(world, referrals[POLICE], look(at, IDENTITY), look(at, IDENTITY, INCIDENT), look(at, IDENTITY))
    await world.get(f"/v1/cases/{case}")
    opened = await sign_in(world, claim.code)
    police = [seen for seen in opened["case"]["looks"] if seen["name"].startswith("Reporting")]
    assert sorted((len(seen["parts"]), seen["times"], seen["purpose"]) for seen in police) == [
        (1, 2, "to investigate"), (2, 1, "to investigate"),
    ]  # fmt: skip
    assert [seen["name"] for seen in opened["case"]["looks"] if seen not in police] == [
        "The place where you got your code"
    ]
    text = str(opened)
    for secret in (CANARY, "karachi-system", "arcc", case, *referrals.values(), claim.code):
        assert secret not in text


async def test_a_lease_that_nobody_accounts_for_is_told(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    await world.leased(POLICE, referrals[POLICE])
    later = datetime.now(UTC) + timedelta(minutes=10)
    async with world.gate.transaction(()) as session:
        await note_unaccounted(session, KARACHI, case, later, later)
    [told] = (await sign_in(world, claim.code))["case"]["unaccounted"]
    assert (told["name"], told["parts"][0]["id"]) == ("Reporting Centre Saddar, Karachi", "identity")


async def test_her_own_look_is_on_record_before_the_answer_and_she_is_told_how_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    before = await world.rows("SELECT * FROM looks WHERE purpose = 'own_view'")
    assert before == []
    transaction = Database.transaction
    seen: list[int] = []

    def watched(self: Database, tenants: Any) -> Any:
        seen.append(len(tenants))
        return transaction(self, tenants)

    monkeypatch.setattr(Database, "transaction", watched)
    first = await sign_in(world, claim.code)
    monkeypatch.undo()
    # Attempt and outcome without a tenant; then the look's own transaction, committed before the one that reads.
    assert seen == [0, 0, 1, 1]
    [row] = await world.rows("SELECT * FROM looks WHERE purpose = 'own_view'")
    assert (row.tenant, row.referral, row.subject, row.token_id) == (KARACHI, case, "survivor", claim.id)
    entries = await world.rows("SELECT * FROM ledger_entries WHERE source = :s", s=f"looks/{row.id}")
    assert len(entries) == 1
    again = (await hers(world, "/v1/my/view", session=first["session"])).json()
    assert again["case"]["opened"]["times"] == 2
    assert datetime.fromisoformat(again["case"]["opened"]["last_before"]) == row.at
    shown = (await world.get(f"/v1/cases/{case}")).json()["looks"]
    assert [each["times"] for each in shown if each["purpose"] == "own_view"] == [2]


async def test_nothing_is_shown_when_the_look_cannot_be_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from intake.my_case.service import viewing

    async def fails(*_: Any, **__: Any) -> Any:
        raise OSError

    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    monkeypatch.setattr(viewing, "fetch", fails)
    answer = await hers(world, "/v1/my/sign-ins", code=claim.code, pin=PIN)
    assert answer.status_code == 503
    assert "identity" not in answer.text


async def test_an_ending_is_told_to_the_minute_and_the_same_before_and_after_the_agency_confirms_it(
    world: World,
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    [ended] = (await sign_in(world, claim.code))["case"]["ended"]
    at, closed = (datetime.fromisoformat(ended[name]) for name in ("ended_at", "closed_no_later_than"))
    [row] = await world.rows("SELECT ended_at, closed_no_later_than FROM shares")
    assert at == row.ended_at.replace(second=0, microsecond=0)
    assert row.closed_no_later_than <= closed == closed.replace(second=0, microsecond=0)
    fact = TombstoneConfirmed(referral=referrals[POLICE], category="identity", epoch=1, confirmed_at=datetime.now(UTC))
    await world.fact(POLICE, fact)
    assert (await sign_in(world, claim.code))["case"]["ended"] == [ended]
    # The cell keeps the agency's word.
    [kept] = (await world.get(f"/v1/cases/{case}/consents")).json()["endings"]
    assert kept["confirmed_at"] is not None


async def test_a_withdrawal_that_waited_long_says_when_it_was_closed_indeed(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    later = "UPDATE shares SET closed_no_later_than = ended_at + interval '9 minutes' RETURNING closed_no_later_than"
    [row] = await world.rows(later)
    [ended] = (await sign_in(world, claim.code))["case"]["ended"]
    closed = datetime.fromisoformat(ended["closed_no_later_than"])
    assert timedelta() <= closed - row.closed_no_later_than < timedelta(minutes=1)


async def test_a_visit_ends_when_it_is_idle_old_or_its_claim_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    session = (await sign_in(world, claim.code))["session"]
    visits = world.main_app.state.my_case.tools.visits
    now = datetime.now(UTC)
    visit = visits.read(session, now)
    assert visit is not None
    assert visits.read(session, now + visits_service.IDLE + timedelta(seconds=1)) is None
    kept = session
    for minutes in range(5, 70, 5):
        later = now + timedelta(minutes=minutes)
        held = visits.read(kept, later)
        assert (held is not None) == (minutes < 60), minutes
        if held is not None:
            kept = visits.go_on(held, later)
    for broken in (
        session[:-2] + ("BB" if session.endswith("AA") else "AA"),
        session[:-4],
        "",
        "x" * 300,
        "%%%",
        "é" * 20,
    ):
        assert visits.read(broken, now) is None
    assert (await hers(world, "/v1/my/view", session=session)).status_code == 200
    await at_desk(world, f"/v1/cases/{case}/claim/ending")
    for path in ("/v1/my/view", "/v1/my/withdrawals"):
        assert (await hers(world, path, session=session)).status_code == 404
    assert is_harmless(await sign_in(world, claim.code))


async def test_a_form_is_no_visit_and_a_visit_of_another_cell_key_is_none(world: World) -> None:
    visits = world.main_app.state.my_case.tools.visits
    now = datetime.now(UTC)
    assert visits.read(visits.new_form(now), now) is None
    assert visits.read_form(visits.begin(None, now), now) is None
    assert len(visits.begin(None, now)) == len(visits.begin(b"d" * 32, now, b"of")) == 144


async def test_the_harmless_visit_reads_the_article_again_and_takes_nothing_back(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    unknown = await hers(world, "/v1/my/withdrawals", session="nothing")
    for pin in (DURESS, "135792"):
        session = (await sign_in(world, claim.code, pin))["session"]
        assert is_harmless((await hers(world, "/v1/my/view", session=session)).json())
        answer = await hers(world, "/v1/my/withdrawals", session=session)
        assert answer.status_code == unknown.status_code == 404
        assert answer.json() | {"trace_id": ""} == unknown.json() | {"trace_id": ""}
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


SECRET = {"reference": "Order 8 of 2026", "review_at": (datetime.now(UTC) + timedelta(days=20)).isoformat()}


async def test_of_a_secret_order_she_sees_her_own_consent_and_its_own_end(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    told = []
    for secrecy in ({}, {"secrecy": SECRET}):
        case, _ = await world.open_case(consent(POLICE, "identity", expires_at=soon.isoformat()))
        await world.order(case, POLICE, "identity", **secrecy)
        opened = await sign_in(world, (await issue(world, case)).code)
        [part] = opened["case"]["shared"][0]["parts"]
        told.append((datetime.fromisoformat(part["until"]) == soon, part["also_by_law"], part["withdrawable"]))
    assert told == [(False, True, True), (True, False, True)]


async def test_what_a_secret_order_alone_opens_is_not_on_her_page_nor_who_looked_at_it(world: World) -> None:
    case, referrals = await world.open_case(consent(LEGAL, "identity"), consent(POLICE, "identity"))
    claim = await issue(world, case)
    before = (await sign_in(world, claim.code))["case"]
    await world.order(case, POLICE, "incident", secrecy=SECRET)
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT))
    after = (await sign_in(world, claim.code))["case"]
    assert after | {"opened": None} == before | {"opened": None}
    await world.order(case, POLICE, "incident")
    assert "What happened" in str((await sign_in(world, claim.code))["case"]["shared"])


async def test_an_emergency_elsewhere_is_told_without_the_name_of_a_cell(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    assert (await opened(world, case=case)).status_code == 201
    [seen] = (await sign_in(world, claim.code))["case"]["looks"]
    assert (seen["name"], seen["purpose"]) == ("A hospital in another place", "to treat you in an emergency")
    assert {part["id"] for part in seen["parts"]} == {"identity", "care"}


def page_of(language: Any, case: Any) -> str:
    return render("case.html", language, case=MyCase.model_validate(case), session="", again="again", leave="leave")


async def test_who_asked_whether_she_is_known_did_not_read_papers(world: World) -> None:
    person = {"full_name": "Invented Person", "birth_date": "1990-05-05", "cnic": CNIC}
    first, _ = [(await world.open_case(person=person))[0] for _ in range(2)]
    assert (await opened(world, cnic=CNIC)).json()["code"] == "several-cases"
    claim = await issue(world, first)
    for language, asked, papers in (
        ("en", "asked whether you are known there", "own papers"),
        ("ur", "پوچھا گیا کہ کیا آپ کا نام وہاں معلوم ہے", "اپنے کاغذات"),
    ):
        case = (await sign_in(world, claim.code, language=language))["case"]
        [seen] = case["looks"]
        assert (seen["parts"], seen["by_a_cell"]) == ([], True)
        shown = page_of(language, case)
        assert asked in shown
        assert papers not in shown
        seen["by_a_cell"] = False
        shown = page_of(language, case)
        assert papers in shown
