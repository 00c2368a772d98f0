"""Who may come in: whose token is good where, in which role, and how often."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends

from amanat.auth import Principal, require
from amanat.categories import Agency
from amanat.errors import IdentityUnavailable
from amanat.settings import ServiceSettings

from .issuers import Client, Issuer, MakeApp

Officer = Annotated[Principal, Depends(require("police_officer", "reporting_centre_system"))]
router = APIRouter()


@router.get("/me")
async def me(principal: Officer) -> dict[str, Any]:
    return {"agency": principal.agency, "organisation": principal.organisation, "tenants": sorted(principal.tenants)}


async def answer_to(token: str | None, make_app: MakeApp, client: Client) -> httpx.Response:
    async with client(make_app(router)) as http:
        return await http.get("/me", headers={"Authorization": f"Bearer {token}"} if token else {})


async def test_a_good_token_says_who_asks_and_for_whom(issuer: Issuer, make_app: MakeApp, client: Client) -> None:
    answer = await answer_to(issuer.token(), make_app, client)
    assert answer.status_code == 200
    assert answer.json() == {
        "agency": "police-link",
        "organisation": "station-saddar",
        "tenants": ["station-saddar"],
    }


async def test_the_unit_comes_from_the_token_and_is_a_name_or_nothing(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    told = APIRouter()

    @told.get("/unit")
    async def unit(principal: Officer) -> str:
        return principal.unit

    async with client(make_app(told)) as http:

        async def asked(**claims: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {issuer.token(**claims)}", "unit": "records", "X-Unit": "records"}
            return await http.get("/unit?unit=records", headers=headers)

        assert (await asked()).json() == ""
        assert (await asked(unit="medico-legal")).json() == "medico-legal"
        for no_name in ("", "a,b", "a\nb", 7, ["records"], True):
            assert (await asked(unit=no_name)).status_code == 401


async def test_without_and_with_a_bad_token_the_body_is_the_same(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    answers = [await answer_to(token, make_app, client) for token in (None, "nonsense", issuer.token(aud="other"))]
    assert [answer.status_code for answer in answers] == [401] * 3
    bodies = [{**answer.json(), "trace_id": ""} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [answer.headers["www-authenticate"] for answer in answers] == [
        'Bearer realm="amanat"',
        'Bearer realm="amanat", error="invalid_token"',
        'Bearer realm="amanat", error="invalid_token"',
    ]


async def test_another_agencys_token_and_a_missing_role_are_refused_alike(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    foreign = await answer_to(issuer.token(agency="forensics"), make_app, client)
    unknown = await answer_to(issuer.token(agency="counselling"), make_app, client)
    without_role = await answer_to(issuer.token(roles=["laboratory_analyst"]), make_app, client)
    for answer in (foreign, unknown, without_role):
        assert answer.status_code == 403
        assert {**answer.json(), "trace_id": ""} == {**foreign.json(), "trace_id": ""}
        assert answer.headers["www-authenticate"] == 'Bearer realm="amanat", error="insufficient_scope"'


async def test_the_gate_takes_every_agencys_service_and_only_where_it_says_so(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    gate = APIRouter()

    @gate.post("/leases")
    async def lease(service: Annotated[Principal, Depends(require("service", any_agency=True))]) -> str:
        return service.agency

    @gate.post("/others")
    async def others(service: Annotated[Principal, Depends(require("service"))]) -> str:
        return service.agency

    token = issuer.token(agency="forensics", roles=["service"])
    async with client(make_app(gate, service="intake-gate")) as http:
        http.headers["Authorization"] = f"Bearer {token}"
        assert (await http.post("/leases")).json() == "forensics"
        assert (await http.post("/others")).status_code == 403
        made_up = issuer.token(agency="counselling", roles=["service"])
        assert (await http.post("/leases", headers={"Authorization": f"Bearer {made_up}"})).status_code == 403


def test_a_route_that_names_no_role_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="at least one role"):
        require()


def test_at_intake_the_tenants_are_the_cells() -> None:
    clerk = Principal(
        agency=Agency.INTAKE,
        organisation="his-karachi",
        roles=frozenset({"cell_staff"}),
        cells=frozenset({"arcc-karachi"}),
        subject="s",
        client="c",
        token_id="t",
    )
    assert clerk.tenants == {"arcc-karachi"}


async def test_with_the_issuer_away_from_the_start_tokens_cannot_be_checked(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    issuer.away = True
    with pytest.raises(IdentityUnavailable):
        await issuer.verifier().verify(issuer.token())
    answer = await answer_to(issuer.token(), make_app, client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_client_that_asks_too_often_is_told_when_to_come_again(
    issuer: Issuer, make_app: MakeApp, client: Client, settings: ServiceSettings
) -> None:
    slow = settings.model_copy(update={"rate_per_minute": 3})
    async with client(make_app(router, settings=slow)) as http:
        http.headers["Authorization"] = f"Bearer {issuer.token()}"
        answers = [await http.get("/me") for _ in range(4)]
        other = await http.get("/me", headers={"Authorization": f"Bearer {issuer.token(azp='station-clifton-system')}"})
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 120
    assert other.status_code == 200
