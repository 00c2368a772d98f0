"""Every answer: its headers, the addresses and methods that are not there, and the document."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from .issuers import Client, MakeApp
from .routes import read_me, router

EVERY = ["/livez", "/metrics", "/v1/cases/x", "/v1/nothing", "/v1/faults/unexpected", "/v1/me", "/openapi.json"]


@pytest.mark.parametrize("path", EVERY)
async def test_every_answer_is_kept_by_nobody(make_app: MakeApp, client: Client, path: str) -> None:
    async with client(make_app(router)) as http:
        headers = (await http.get(path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_page_may_say_what_it_loads(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        assert (await http.get("/v1/page")).headers["content-security-policy"] == "default-src 'self'"


async def test_an_address_that_is_not_there_is_a_problem_too(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        for path in ("/v1/nothing", "/v1/cases/x/", "/docs", "/redoc"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_method_that_is_not_taken_is_told_which_are(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        answer = await http.delete("/v1/cases/x")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST, PUT"


def test_the_document_names_operations_and_refusals(make_app: MakeApp) -> None:
    document = make_app(router).openapi()
    assert document["openapi"].startswith("3.1")
    operations = document["paths"]["/v1/cases/{code}"]
    assert {name: operation["operationId"] for name, operation in operations.items()} == {
        "get": "read_case",
        "post": "report_case",
        "put": "change_case",
    }
    assert set(operations["get"]["responses"]) == {"200", "404", "422", "500"}
    assert set(operations["post"]["responses"]) == {"201", "400", "413", "415", "422", "500"}
    assert "428" in operations["put"]["responses"]
    assert {"401", "403", "429", "503"} <= set(document["paths"]["/v1/me"]["get"]["responses"])
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert operations["get"]["responses"]["422"]["content"] == problem
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])
    key = next(p for p in operations["post"]["parameters"] if p["name"] == "Idempotency-Key")
    assert key["required"]
    assert not [path for path in document["paths"] if path in {"/livez", "/readyz", "/metrics"}]


def test_two_routes_of_one_name_are_refused(make_app: MakeApp) -> None:
    twin = APIRouter()
    twin.add_api_route("/a", read_me)
    twin.add_api_route("/b", read_me)
    with pytest.raises(ValueError, match="operation id read_me"):
        make_app(twin)
