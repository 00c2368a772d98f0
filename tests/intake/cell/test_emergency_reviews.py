"""Who answers for an emergency: the supervisor of the case's cell, within a day, and never the clinician herself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from intake.break_glass.service import reviews

from .breaking import FULL, NOTE, WHY, later, opened, plain, reviewed, round_at
from .world import KARACHI, LAHORE, World

NOT_REVIEWED = "emergency_not_reviewed"


async def listed(world: World, cell: str = KARACHI) -> list[dict[str, Any]]:
    answer = await world.as_person("superintendent", "GET", "/v1/emergencies", cell=cell)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["emergencies"])


async def test_the_cells_of_case_and_clinician_both_hear_of_it_and_the_first_reviews(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    [at_the_case] = await listed(world, KARACHI)
    [at_the_clinicians] = await listed(world, LAHORE)
    assert (at_the_case["case"], at_the_case["for_information"]) == (case, False)
    assert (at_the_clinicians["case"], at_the_clinicians["for_information"]) == (None, True)
    assert at_the_case["emergency"] == at_the_clinicians["emergency"] == emergency
    assert (at_the_case["clinician"], at_the_case["clinician_cell"], at_the_case["unit"]) == (
        f"{LAHORE}.mlo", LAHORE, "medico-legal",
    )  # fmt: skip
    unknown = await reviewed(world, str(uuid4()), cell=LAHORE)
    refused = await reviewed(world, emergency, cell=LAHORE)
    assert refused.status_code == 404
    assert plain(refused) == plain(unknown)
    assert (await reviewed(world, emergency)).status_code == 200
    assert await listed(world, KARACHI) == await listed(world, LAHORE) == []


async def test_a_list_says_no_reason_and_a_reading_of_it_is_a_look(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    assert WHY not in str(await listed(world))
    read = await world.as_person("superintendent", "GET", f"/v1/emergencies/{emergency}/review")
    assert (read.json()["reason"], read.json()["finding"], read.json()["found_by"]) == (WHY, None, "cnic")
    [look] = await world.rows("SELECT * FROM looks WHERE purpose = 'emergency_review'")
    assert (look.tenant, look.referral, look.categories) == (KARACHI, case, ["care"])
    await reviewed(world, emergency)
    read = await world.as_person("superintendent", "GET", f"/v1/emergencies/{emergency}/review")
    assert (read.json()["note"], read.json()["reviewed_by"]) == (NOTE, f"{KARACHI}.superintendent")
    unknown = await world.as_person("superintendent", "GET", f"/v1/emergencies/{uuid4()}/review")
    foreign = await world.as_person("superintendent", "GET", f"/v1/emergencies/{emergency}/review", cell=LAHORE)
    assert (foreign.status_code, plain(foreign)) == (404, plain(unknown))
    refused = await world.rows("SELECT * FROM looks WHERE purpose = 'emergency_review' AND refused IS NOT NULL")
    assert {row.tenant for row in refused} == {KARACHI, LAHORE}


async def test_the_clinician_herself_does_not_review_whatever_roles_she_holds(world: World) -> None:
    await world.open_case(**FULL)
    both = {"roles": ["cell_clinician", "cell_supervisor"], "sub": "both"}
    emergency = (await opened(world, cell=KARACHI, token=both)).json()["emergency"]
    answer = await reviewed(world, emergency, **both)
    assert (answer.status_code, answer.json()["code"]) == (403, "another-person-reviews")
    assert (await reviewed(world, emergency)).status_code == 200


async def test_a_review_said_again_changes_nothing_and_another_finding_is_refused(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    first, second = await reviewed(world, emergency), await reviewed(world, emergency)
    assert second.json() == first.json()
    for other in (await reviewed(world, emergency, "not_justified"), await reviewed(world, emergency, who="deputy")):
        assert (other.status_code, other.json()["code"]) == (409, "already-reviewed")
    assert [each["kind"] for each in await world.timeline(case)].count("emergency_reviewed") == 1


async def test_of_two_reviews_at_once_one_stands(world: World) -> None:
    await world.open_case(**FULL)
    emergency = (await opened(world)).json()["emergency"]
    asked = (reviewed(world, emergency, who=who) for who in ("superintendent", "deputy", "superintendent", "deputy"))
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409]
    assert len(await world.rows("SELECT 1 FROM emergency_reviews")) == 1


async def test_not_reviewed_within_a_day_is_told_once_and_late_is_never_refused(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case(**FULL)
    emergency = (await opened(world)).json()
    due = datetime.fromisoformat(emergency["review_due_at"])
    assert due - datetime.fromisoformat(emergency["opened_at"]) == timedelta(hours=24)
    await round_at(world, due - timedelta(seconds=1))
    assert NOT_REVIEWED not in [each["kind"] for each in await world.timeline(case)]
    counted = reviews._LATE._value.get()
    for minutes in (0, 1, 600):
        await round_at(world, due + timedelta(minutes=minutes))
    [told] = [each for each in await world.timeline(case) if each["kind"] == NOT_REVIEWED]
    assert told["detail"]["emergency"] == emergency["emergency"]
    assert reviews._LATE._value.get() == counted + 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if NOT_REVIEWED in line]
    assert emergency["emergency"] in line
    assert case not in line
    later(monkeypatch, hours=25)
    assert [each["overdue"] for each in await listed(world)] == [True]
    assert (await reviewed(world, emergency["emergency"])).status_code == 200
    [done] = [each for each in await world.timeline(case) if each["kind"] == "emergency_reviewed"]
    assert (done["detail"]["finding"], done["detail"]["late"]) == ("justified", True)


async def test_what_was_reviewed_in_time_is_no_alarm(world: World) -> None:
    case, _ = await world.open_case(**FULL)
    await reviewed(world, (await opened(world)).json()["emergency"])
    await round_at(world, datetime.now(UTC) + timedelta(days=3))
    assert NOT_REVIEWED not in [each["kind"] for each in await world.timeline(case)]


@pytest.mark.parametrize("body", [{}, {"finding": "justified"}, {"finding": "fine", "note": "x"}, {"note": "x"}])
async def test_a_finding_and_a_note_are_needed(world: World, body: dict[str, Any]) -> None:
    answer = await world.as_person("superintendent", "POST", f"/v1/emergencies/{uuid4()}/review", body)
    assert answer.status_code == 422
