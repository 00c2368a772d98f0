"""Which of a cell's people may call what; nobody else, no system, and nobody by what a request says of itself."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from .breaking import plain
from .world import KARACHI, PEOPLE, POLICE, SADDAR, World

ID = str(uuid4())
CASE = "C-0000-0000-0"
EMERGENCY = {"reason": "she is unconscious", "case": CASE}
ASKED = {
    "recipient": {"agency": POLICE, "organisation": SADDAR}, "categories": ["incident"], "basis": "court_order",
    "reference": "Order 7", "expires_at": "2199-01-01T00:00:00Z",
}  # fmt: skip
EVERYBODY = {"mlo", "records", "superintendent", "desk"}
ROUTES: dict[tuple[str, str], tuple[set[str], Any]] = {
    ("POST", "/v1/emergencies"): ({"mlo"}, EMERGENCY),
    ("GET", f"/v1/emergencies/{ID}"): ({"mlo"}, None),
    ("GET", "/v1/emergencies"): ({"superintendent"}, None),
    ("GET", f"/v1/emergencies/{ID}/review"): ({"superintendent"}, None),
    ("POST", f"/v1/emergencies/{ID}/review"): ({"superintendent"}, {"finding": "justified", "note": "seen"}),
    ("POST", f"/v1/cases/{CASE}/disclosures"): ({"mlo", "records"}, ASKED),
    ("GET", f"/v1/cases/{CASE}/disclosures"): (EVERYBODY, None),
    ("POST", f"/v1/cases/{CASE}/disclosures/{ID}/approval"): ({"superintendent"}, None),
    ("POST", f"/v1/cases/{CASE}/disclosures/{ID}/refusal"): ({"superintendent"}, {"reason": "no such order"}),
    ("POST", f"/v1/cases/{CASE}/disclosures/{ID}/ending"): ({"superintendent"}, {"reason": "it was lifted"}),
}  # fmt: skip
"""(method, path) → who may, and a body that would do."""
EACH = pytest.mark.parametrize("route", ROUTES, ids=lambda route: " ".join(route).replace(ID, "{id}"))


async def call(world: World, route: tuple[str, str], who: str, **token: Any) -> httpx.Response:
    return await world.as_person(who, *route, ROUTES[route][1], **token)


@EACH
async def test_each_route_is_its_own_peoples(world: World, route: tuple[str, str]) -> None:
    allowed, _ = ROUTES[route]
    for who in EVERYBODY:
        answer = await call(world, route, who)
        # What is asked for is not there; who may ask is told that, or gets an empty list.
        assert (answer.status_code in {200, 404}) == (who in allowed), (who, answer.status_code)
        assert answer.status_code in {200, 403, 404}


@EACH
async def test_no_system_comes_in_whatever_else_its_token_holds(world: World, route: tuple[str, str]) -> None:
    roles = [role for role, _ in PEOPLE.values()]
    refused = []
    for system in ("hospital_system", "service"):
        refused.append(await call(world, route, "mlo", roles=[system]))
        refused.append(await call(world, route, "mlo", roles=[system, *roles]))
    refused.append(await call(world, route, "mlo", roles=["police_officer"]))
    refused.append(await call(world, route, "mlo", roles=roles, agency="police-link"))
    for answer in refused:
        assert answer.status_code == 403
        assert plain(answer) == plain(refused[0])


@EACH
@pytest.mark.parametrize(
    "token", [{"cells": []}, {"cells": ["arcc-lahore"]}, {"organisation": "arcc-nowhere", "cells": ["arcc-nowhere"]}]
)
async def test_a_person_of_no_cell_of_the_directory_may_nothing(
    world: World, route: tuple[str, str], token: dict[str, Any]
) -> None:
    roles = [role for role, _ in PEOPLE.values()]
    assert (await call(world, route, "mlo", roles=roles, **token)).status_code == 403


@EACH
async def test_without_a_token_nothing_is_told(world: World, route: tuple[str, str]) -> None:
    transport = httpx.ASGITransport(world.main_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        answer = await client.request(*route, json=ROUTES[route][1], headers={"Idempotency-Key": "one"})
    assert answer.status_code == 401


async def test_new_roles_open_none_of_the_older_routes(world: World) -> None:
    case, _ = await world.open_case()
    for who in ("mlo", "records", "superintendent"):
        for method, path in (("GET", f"/v1/cases/{case}"), ("POST", "/v1/cases/search"), ("POST", "/fhir")):
            assert (await world.as_person(who, method, path, {"cnic": "42101-1234567-1"})).status_code == 403
    assert (await world.as_person("desk", "GET", f"/v1/cases/{case}", cell=KARACHI)).status_code == 200
