"""She is told of broken glass by a call as well: not everybody has a page of her own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .breaking import CNIC, FULL, opened, round_at
from .my_case.cell import at_desk, staff
from .test_secrecy import order
from .world import KARACHI, LAHORE, POLICE, World


async def calls(world: World, cell: str = KARACHI) -> list[dict[str, Any]]:
    """What this cell owes, as its staff sees it."""
    async with staff(world, cell) as client:
        answer = await client.get("/v1/calls")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_an_emergency_owes_her_a_call_of_her_own_cell_and_of_no_other(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    assert (await opened(world, cnic=CNIC)).status_code == 201
    [owed] = await calls(world)
    assert (owed["case"], owed["cell"], owed["reason"], owed["withdrawn"]) == (case, KARACHI, "emergency_opened", [])
    assert await calls(world, LAHORE) == []
    done = await at_desk(world, f"/v1/calls/{owed['call']}/done")
    assert done.status_code == 200, done.text
    assert await calls(world) == []


async def test_nothing_is_there_to_be_undone_by_a_call_that_took_nothing_back(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    await opened(world, cnic=CNIC)
    [owed] = await calls(world)
    asked = {"call": owed["call"], "code_word": "mango tree", "taken_by": "Dr Invented", "language": "ur"}
    refused = await at_desk(world, f"/v1/cases/{case}/claim/undo", asked)
    assert refused.status_code == 404, refused.text


async def test_a_disclosure_outside_owes_a_call_when_it_is_approved_and_not_before(world: World) -> None:
    case, _ = await world.open_case()
    asked = await world.ask(case, POLICE, "examination")
    assert await calls(world) == []
    for _ in range(2):
        assert (await world.approve(case, asked.json()["disclosure"])).status_code == 200
    assert [(each["case"], each["reason"]) for each in await calls(world)] == [(case, "disclosed_outside")]


async def test_under_a_secrecy_order_the_call_waits_for_its_review(world: World) -> None:
    case, _ = await world.open_case()
    await world.order(case, POLICE, "examination", secrecy=order(days=20))
    refused = await world.ask(case, POLICE, "imagery", secrecy=order(days=20))
    await world.as_person(
        "superintendent", "POST", f"/v1/cases/{case}/disclosures/{refused.json()['disclosure']}/refusal",
        {"reason": "not covered"},
    )  # fmt: skip
    now = datetime.now(UTC)
    await round_at(world, now + timedelta(days=19))
    assert await calls(world) == []
    for days in (21, 22):
        await round_at(world, now + timedelta(days=days))
    assert [each["reason"] for each in await calls(world)] == ["disclosed_outside"]
