"""Bundles that come at once: visits are committed together, and one visit is one case however often it is told of."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

from amanat import groupcommit
from amanat.groupcommit import Key
from intake.repository import opening
from intake.repository.cases import hold_identities
from intake.repository.opening import Visit

from .world import KARACHI, LAHORE, World

ARRIVAL = json.loads(Path(__file__).parents[3].joinpath("examples/bundles/arrival.json").read_text())


def bundle(visit: int, said: int = 0) -> dict[str, Any]:
    """Another patient's visit for each `visit`; told anew for each `said`."""
    made = copy.deepcopy(ARRIVAL)
    for entry in made["entry"]:
        resource = entry["resource"]
        for identifier in resource.get("identifier", ()):
            if resource["resourceType"] == "Patient" and "cnic" in identifier["system"].lower():
                identifier["value"] = f"42101-{visit:07d}-1"
            else:
                identifier["value"] = f"{identifier['value']}-{visit}"
    return {**made, "timestamp": f"2026-01-01T00:00:{said:02d}Z"}


async def posted(world: World, *bundles: dict[str, Any]) -> list[str]:
    """The cases that they are in now."""
    answers = await asyncio.gather(*(world.post("/fhir", each) for each in bundles))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    found = []
    for answer in answers:
        located = [each["response"].get("location", "") for each in answer.json()["entry"]]
        found.append(next(each.split("#")[0].split("/")[3] for each in located if each))
    return found


async def test_visits_that_come_at_once_share_commits(world: World) -> None:
    codes = await posted(world, *(bundle(visit) for visit in range(20)))
    assert len(set(codes)) == 20
    [row] = await world.rows("SELECT count(DISTINCT xmin::text) AS commits, count(*) AS cases FROM cases")
    assert row.cases == 20
    assert row.commits < 15


async def test_one_visit_told_of_in_many_ways_at_once_is_one_case(world: World) -> None:
    told = [bundle(visit, said) for visit in range(3) for said in range(5)]
    codes = await posted(world, *told)
    assert [len(set(codes[begin : begin + 5])) for begin in (0, 5, 10)] == [1, 1, 1]
    assert len(set(codes)) == 3
    [row] = await world.rows("SELECT count(*) AS cases FROM cases")
    assert row.cases == 3


async def test_a_visit_that_was_there_before_is_added_to_beside_new_ones(world: World) -> None:
    [known] = await posted(world, bundle(0))
    again, *others = await posted(world, bundle(0, 1), bundle(1), bundle(2))
    assert again == known
    assert len({known, *others}) == 3


async def test_another_visit_of_a_patient_is_a_case_of_its_own(world: World) -> None:
    first, second = bundle(0), bundle(0, 1)
    for entry in second["entry"]:
        if entry["resource"]["resourceType"] == "Encounter":
            for identifier in entry["resource"]["identifier"]:
                identifier["value"] += "-again"
    codes = [*await posted(world, first)]
    before = groupcommit._TOGETHER._sum.get()
    codes += await posted(world, second)
    assert len(set(codes)) == 2
    assert groupcommit._TOGETHER._sum.get() == before + 1


async def test_two_that_name_one_visit_by_other_identifiers_are_one_case(world: World) -> None:
    """The second of each knows the patient by her hospital number alone."""
    told = []
    for number in range(8):
        whole, part = bundle(number), bundle(number, 1)
        for entry in part["entry"]:
            if entry["resource"]["resourceType"] == "Patient":
                del entry["resource"]["identifier"][0]
        told += [whole, part]
    codes = await posted(world, *told)
    assert codes[::2] == codes[1::2]
    assert len(set(codes)) == 8


def visit(cell: str, rows: list[Any], key: str) -> Visit:
    known_by = {
        field: [row.digest for row in rows if row.field == field] for field in ("fhir_patient", "fhir_encounter")
    }
    return Visit(
        [cell], Key(cell, "system", key, b"", 200, "/"), {}, cell=cell, identities=[key.encode() * 8], known_by=known_by
    )


async def test_a_visit_is_known_within_its_cell(world: World) -> None:
    await posted(world, bundle(0))
    rows = await world.rows("SELECT field, digest FROM case_index WHERE field LIKE 'fhir%'")
    async with world.main.transaction([KARACHI, LAHORE]) as session:
        assert await opening.admit(session, [visit(KARACHI, rows, "one")]) == []
        theirs = visit(LAHORE, rows, "other")
        assert await opening.admit(session, [theirs]) == [theirs]


async def test_a_visit_whose_patient_is_being_written_elsewhere_holds_nobody_up(world: World) -> None:
    mine, other = visit(KARACHI, [], "mine"), visit(KARACHI, [], "other")
    async with world.main.transaction([KARACHI]) as elsewhere:
        await hold_identities(elsewhere, mine.identities)
        async with world.main.transaction([KARACHI]) as session:
            assert await opening.admit(session, [mine, other]) == [other]
