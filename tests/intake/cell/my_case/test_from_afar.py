"""She takes something back from afar: at once, and the cell calls her; there, and by her word alone, it is undone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from amanat.contracts.disclosures import CategoryWithdrawn
from intake.my_case.service.signing_in import MISSES_A_DAY

from ..world import CLIFTON, HERSELF, LAHORE, LEGAL, POLICE, SADDAR, World, consent
from .cell import DURESS, WORD, Claim, at_desk, hers, issue, sign_in, staff

OFFICE = {"agency": "police-link", "organisation": SADDAR}


async def take(world: World, claim: Claim, **wish: Any) -> dict[str, Any]:
    session = (await sign_in(world, claim.code))["session"]
    answer = await hers(world, "/v1/my/withdrawals", session=session, **wish)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def undo(world: World, claim: Claim, call: str, word: str = WORD, **more: Any) -> httpx.Response:
    return await at_desk(world, f"/v1/cases/{claim.case}/claim/undo", {"call": call, "code_word": word, **more})


async def open_calls(world: World, **asked: Any) -> dict[str, Any]:
    async with staff(world) as client:
        return dict((await client.get("/v1/calls", params=asked)).json())


async def keys(world: World) -> list[tuple[str, str]]:
    rows = await world.rows("SELECT r.agency, k.category FROM keys k JOIN referrals r ON r.code = k.referral")
    return sorted((row.agency, row.category) for row in rows)


async def test_a_category_from_one_office_ends_there_and_nowhere_else(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "incident"))
    claim = await issue(world, case)
    told = await take(world, claim, **OFFICE, category="incident")
    [ended] = told["ended"]
    assert (ended["organisation"], ended["category"]["id"]) == (SADDAR, "incident")
    assert datetime.fromisoformat(ended["closed_no_later_than"]) > datetime.now(UTC)
    assert told["stays"] == []
    assert await keys(world) == [("legal-aid", "incident"), ("police-link", "identity")]
    [tombstone] = [row for row in await world.outbox() if row.type == CategoryWithdrawn.type]
    assert (tombstone.referral, tombstone.category, tombstone.cancelled_at) == (referrals[POLICE], "incident", None)
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


@pytest.mark.parametrize(
    ("wish", "left"),
    [
        ({"category": "incident"}, [("legal-aid", "identity"), ("police-link", "identity")]),
        (OFFICE, [("legal-aid", "identity"), ("legal-aid", "incident")]),
        ({}, []),
        ({"agency": "police-link", "organisation": CLIFTON}, None),
    ],
)
async def test_she_takes_back_a_category_an_office_or_all(
    world: World, wish: dict[str, str], left: list[tuple[str, str]] | None
) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "identity", "incident"))
    before = await keys(world)
    told = await take(world, await issue(world, case), **wish)
    assert await keys(world) == (before if left is None else left)
    assert (told["call"] is None) == (left is None)


async def test_orders_and_duties_stay_and_she_is_told_so(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "incident"))
    await world.withdraw(case, await world.consent_of(case, LEGAL))
    await world.order(case, POLICE, "incident")
    await world.order(case, LEGAL, "incident", basis="statutory_duty")
    told = await take(world, await issue(world, case))
    assert [(e["agency"], e["category"]["id"]) for e in told["ended"]] == [("police-link", "identity")]
    assert not any(part["withdrawable"] for office in told["stays"] for part in office["parts"])
    assert {o["agency"] for o in told["stays"]} == {"police-link", "legal-aid"}
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"incident"}
    assert set(await world.readable(LEGAL, referrals[LEGAL])) == {"incident"}


async def test_it_may_be_repeated_and_asks_for_one_call(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    session = (await sign_in(world, claim.code))["session"]
    answers = await asyncio.gather(*(hers(world, "/v1/my/withdrawals", session=session) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({tuple(map(str, answer.json()["ended"])) for answer in answers}) == 1
    assert sum(answer.json()["call"] is not None for answer in answers) == 1
    assert len((await open_calls(world))["items"]) == 1
    events = await world.rows("SELECT kind FROM consent_events ORDER BY position")
    assert [row.kind for row in events] == ["given", "withdrawn"]
    kinds = [entry["kind"] for entry in await world.timeline(case)]
    assert [kinds.count(k) for k in ("withdrawn_from_afar", "consent_withdrawn", "category_ended")] == [1, 1, 1]
    stated = await world.rows("SELECT said FROM ledger_entries WHERE kind = 'withdrawn_from_afar'")
    assert [row.said for row in stated] == [{"call": (await open_calls(world))["items"][0]["call"]}]


async def test_a_withdrawal_that_fails_leaves_no_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from intake.my_case.service import taking_back

    async def fails(*_: Any, **__: Any) -> None:
        raise OSError

    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    session = (await sign_in(world, claim.code))["session"]
    monkeypatch.setattr(taking_back, "take_back", fails)
    assert (await hers(world, "/v1/my/withdrawals", session=session)).status_code == 503
    assert await keys(world) == [("police-link", "identity")]
    assert (await open_calls(world))["items"] == []


async def test_a_consent_that_waits_for_others_is_taken_back_too(world: World) -> None:
    """A child's, whose guardian has not decided yet: what is not shared now must not be shared tomorrow."""
    child = {"full_name": "Invented Child", "birth_date": "2016-05-05"}
    case, _ = await world.open_case(consent(POLICE, "identity", basis="guardian"), person=child)
    told = await take(world, await issue(world, case))
    assert told["call"] is not None
    shown = (await world.get(f"/v1/cases/{case}/consents")).json()["consents"]
    assert [each["categories"] for each in shown] == [[]]


async def test_her_cell_sees_what_call_it_owes_and_no_other_cell_does(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    call = (await take(world, await issue(world, case)))["call"]
    [owed] = (await open_calls(world))["items"]
    assert (owed["call"], owed["case"], owed["reason"]) == (call, case, "withdrawn_from_afar")
    assert [(each["organisation"], each["categories"]) for each in owed["withdrawn"]] == [(SADDAR, ["identity"])]
    async with staff(world, LAHORE) as elsewhere:
        assert (await elsewhere.get("/v1/calls")).json()["items"] == []
        assert (await elsewhere.post(f"/v1/calls/{call}/done")).status_code == 404
    first = await at_desk(world, f"/v1/calls/{call}/done")
    assert (await at_desk(world, f"/v1/calls/{call}/done")).json() == first.json()
    assert (await open_calls(world))["items"] == []
    assert [entry["kind"] for entry in await world.timeline(case)].count("call_made") == 1
    [row] = await world.rows("SELECT done_by FROM calls")
    assert row.done_by == "arcc-karachi-mlo"


async def test_calls_come_in_pages(world: World) -> None:
    made = []
    for _ in range(3):
        case, _ = await world.open_case(consent(POLICE, "identity"))
        made.append((await take(world, await issue(world, case)))["call"])
    first = await open_calls(world, limit=2)
    second = await open_calls(world, limit=2, cursor=first["next"])
    assert [each["call"] for each in (*first["items"], *second["items"])] == made
    assert second["next"] is None
    async with staff(world, LAHORE) as elsewhere:
        assert (await elsewhere.get("/v1/calls", params={"cursor": first["next"]})).status_code == 422


async def test_her_word_gives_it_again_under_a_new_epoch_and_never_revives_the_old(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    before = await world.leased(POLICE, referrals[POLICE])
    call = (await take(world, claim, **OFFICE, category="incident"))["call"]
    answer = await undo(world, claim, call, " blue-heron ", taken_by="An invented person")
    assert answer.status_code == 200, answer.text
    [given] = answer.json()["consents"]
    assert given["referral"]["categories"] == ["identity", "incident"]
    after = await world.leased(POLICE, referrals[POLICE])
    epochs = {key["category"]: key["epoch"] for key in after["keys"]}
    assert epochs == {"identity": 1, "incident": 2}
    old = {key["key_id"] for key in before["keys"] if key["category"] == "incident"}
    assert not old & {key["key_id"] for key in after["keys"]}
    kinds = [row.kind for row in await world.rows("SELECT kind FROM consent_events ORDER BY position")]
    assert kinds == ["given", "withdrawn", "given"]
    assert [entry["kind"] for entry in await world.timeline(case)].count("withdrawal_undone") == 1
    assert len(await world.rows("SELECT 1 FROM ledger_entries WHERE kind = 'withdrawal_undone'")) == 1
    again = await undo(world, claim, call)
    assert (again.status_code, again.json()["code"]) == (409, "already-undone")


async def test_two_who_undo_at_once_give_once(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    call = (await take(world, claim))["call"]
    answers = await asyncio.gather(*(undo(world, claim, call) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    rows = await world.rows("SELECT kind FROM consent_events WHERE kind = 'given'")
    assert len(rows) == 2


async def test_a_wrong_word_changes_nothing_and_five_close_it_for_the_day(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    call = (await take(world, claim))["call"]
    refused = [await undo(world, claim, call, f"wrong word {number}") for number in range(MISSES_A_DAY)]
    closed = await undo(world, claim, call)
    bodies = [answer.json() | {"trace_id": ""} for answer in (*refused, closed)]
    assert all(body == bodies[0] for body in bodies)
    assert (closed.status_code, bodies[0]["code"]) == (409, "code-word-refused")
    assert await world.readable(POLICE, referrals[POLICE]) == {}
    # Who tried stands on the timeline, without what was tried; the sixth as well, whose word was right.
    lines = [each for each in await world.timeline(case) if each["kind"] == "undo_refused"]
    assert [each["detail"] for each in lines] == [{"call": call, "by": "arcc-karachi-mlo"}] * (MISSES_A_DAY + 1)
    assert "withdrawal_undone" not in [each["kind"] for each in await world.timeline(case)]
    # Her own page is another matter.
    assert (await sign_in(world, claim.code))["case"] is not None


async def test_neither_her_pin_nor_another_cell_nor_a_hospitals_system_undoes(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim, other = await issue(world, case), await issue(world, (await world.open_case())[0])
    call = (await take(world, claim))["call"]
    assert (await undo(world, claim, call, "481516")).status_code == 409
    assert (await undo(world, claim, call, DURESS)).status_code == 409
    assert (await undo(world, other, call)).status_code == 404
    body = {"call": call, "code_word": WORD}
    assert (await at_desk(world, f"/v1/cases/{case}/claim/undo", body, cell=LAHORE)).status_code == 404
    assert (await world.post(f"/v1/cases/{case}/claim/undo", body)).status_code == 403
    assert await keys(world) == []


async def test_a_new_claim_with_a_word_of_somebody_elses_undoes_no_older_call(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    call = (await take(world, await issue(world, case)))["call"]
    newer = await issue(world, case, code_word="red fox")
    refused = await undo(world, newer, call, "red fox")
    assert (refused.status_code, refused.json()["code"]) == (409, "code-word-refused")
    assert await keys(world) == []
    assert (await undo(world, newer, call)).status_code == 200


async def test_new_claims_give_no_new_tries(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", "incident"))
    calls = [(await take(world, await issue(world, case), category=each))["call"] for each in ("identity", "incident")]
    for number in range(MISSES_A_DAY):
        claim = await issue(world, case)
        assert (await undo(world, claim, calls[number % 2], f"wrong word {number}")).status_code == 409
    for call in calls:
        assert (await undo(world, claim, call)).json()["code"] == "code-word-refused"


async def test_where_others_decided_with_her_they_decide_anew(world: World) -> None:
    guardian = {"role": "guardian", "decision": "consent", "relationship": "mother"}
    child = {"full_name": "Invented Child", "birth_date": "2016-05-05"}
    both = [{"role": "survivor", "decision": "assent"}, guardian]
    case, referrals = await world.open_case(
        consent(POLICE, "identity", basis="guardian", deciders=both), person=child, incident={"history": "h"}
    )
    claim = await issue(world, case)
    call = (await take(world, claim))["call"]
    alone = await undo(world, claim, call)
    assert (alone.status_code, alone.json()["code"]) == (422, "deciders-needed")
    assert await world.readable(POLICE, referrals[POLICE]) == {}
    assert (await undo(world, claim, call, deciders=both)).status_code == 200
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_what_had_run_out_meanwhile_is_not_given_again(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    case, referrals = await world.open_case(
        consent(POLICE, "identity", expires_at=soon.isoformat()), consent(LEGAL, "identity")
    )
    claim = await issue(world, case)
    call = (await take(world, claim))["call"]
    while datetime.now(UTC) <= soon:
        await asyncio.sleep(0.05)
    answer = (await undo(world, claim, call)).json()
    assert [given["referral"]["agency"] for given in answer["consents"]] == ["legal-aid"]
    assert len(answer["run_out"]) == 1
    assert await world.readable(POLICE, referrals[POLICE]) == {}


async def test_a_withdrawal_at_the_cell_still_stands_after_an_undo_of_an_earlier_one(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident", deciders=HERSELF))
    claim = await issue(world, case)
    call = (await take(world, claim, category="incident"))["call"]
    await world.withdraw(case, await world.consent_of(case, POLICE))
    assert (await undo(world, claim, call)).status_code == 200
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"incident"}
