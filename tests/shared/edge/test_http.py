"""Every answer: its headers, its refusals in two languages, its document, and nothing of the input in any of them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, field_validator
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from amanat.auth import Principal, require
from amanat.errors import Forbidden, GateUnavailable, NotFound, PreconditionFailed, Refused
from amanat.headers import IdempotencyKey, IfMatch, matches
from amanat.http import add_check
from amanat.problems import BY_STATUS, ServerFault, prefers_urdu, problems

from .issuers import Client, Issuer, MakeApp

NAME = "Zarina"


class Accused(BaseModel, extra="forbid"):
    name: str = Field(max_length=40)
    known: bool


class Report(BaseModel, extra="forbid"):
    place: Literal["home", "street"]
    accused: list[Accused] = []
    notes: dict[str, int] = {}
    cnic: str = Field("1", pattern=r"^\d+$")

    @field_validator("cnic")
    @classmethod
    def not_hers(cls, value: str) -> str:
        if value == "42":
            raise ValueError(f"{value} belongs to {NAME}")
        return value


class PostgresError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"Key (name)=({NAME})")
        self.sqlstate = sqlstate


FAULTS: dict[str, Exception] = {
    "unexpected": RuntimeError(NAME),
    "refused": PreconditionFailed(),
    "gate": GateUnavailable(retry_after=7),
    "framework": HTTPException(418, detail=NAME),
    "framework-404": HTTPException(404, detail=NAME),
    "busy": DBAPIError("x", {}, PostgresError("55P03")),
    "deadlock": DBAPIError("x", {}, PostgresError("40P01")),
    "unique": DBAPIError("x", {}, PostgresError("23505")),
    "pool": PoolTimeout(NAME),
}
router = APIRouter(prefix="/v1")


@router.get("/cases/{code}", responses=problems(404))
async def read_case(code: str, limit: Annotated[int, Query(le=200)] = 10) -> dict[str, str]:
    raise NotFound


@router.post("/cases/{code}", status_code=201)
async def report_case(code: str, report: Report, key: IdempotencyKey) -> dict[str, str]:
    return {"key": key}


@router.put("/cases/{code}")
async def change_case(code: str, report: Report, etag: IfMatch) -> dict[str, str]:
    return {}


@router.get("/faults/{name}")
async def fail(name: str) -> None:
    raise FAULTS[name]


@router.get("/page")
async def show_page() -> Response:
    return Response("<p>", media_type="text/html", headers={"Content-Security-Policy": "default-src 'self'"})


@router.get("/me")
async def read_me(principal: Annotated[Principal, Depends(require("police_officer"))]) -> str:
    return principal.client


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


async def test_a_refusal_is_a_problem(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        answer = await http.get("/v1/cases/x", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://amanat.pk/problems/not-found",
        "title": "There is nothing here for you",
        "status": 404,
        "code": "not-found",
        "trace_id": "a" * 32,
    }


async def test_a_broken_traceparent_gets_a_trace_of_its_own(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        answers = [
            await http.get("/v1/cases/x", headers={"traceparent": value} if value else {})
            for value in ("", "nonsense", f"00-{'0' * 32}-{'b' * 16}-01")
        ]
    ids = {answer.json()["trace_id"] for answer in answers}
    assert len(ids) == 3
    assert "0" * 32 not in ids


async def test_a_refusal_is_told_in_urdu_to_who_prefers_it(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        answer = await http.get("/v1/cases/x", headers={"Accept-Language": "ur-PK, en;q=0.5"})
    assert answer.json()["title"] == NotFound.title_ur
    assert answer.headers["content-language"] == "ur"


@pytest.mark.parametrize(
    ("header", "urdu"),
    [("", False), ("en", False), ("ur", True), ("en;q=0.4, ur;q=0.6", True), ("en, ur", False), ("ur;q=x", False)],
)
def test_the_preferred_language_is_the_heavier_one(header: str, urdu: bool) -> None:
    assert prefers_urdu(header) is urdu


@pytest.mark.parametrize("refusal", [*BY_STATUS.values(), *Refused.__subclasses__(), ServerFault])
def test_every_refusal_has_a_title_in_both_languages(refusal: type[Refused]) -> None:
    assert refusal.title
    assert any("\u0600" <= letter <= "\u06ff" for letter in refusal.title_ur)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("unexpected", 500, "server-fault"),
        ("refused", 412, "precondition-failed"),
        ("gate", 503, "gate-unavailable"),
        ("framework", 418, "http-418"),
        ("framework-404", 404, "not-found"),
        ("busy", 409, "busy"),
        ("deadlock", 503, "unavailable"),
        ("unique", 500, "server-fault"),
        ("pool", 503, "unavailable"),
    ],
)
async def test_whatever_fails_is_answered_without_its_message(
    make_app: MakeApp, client: Client, capsys: pytest.CaptureFixture[str], name: str, status: int, code: str
) -> None:
    async with client(make_app(router)) as http:
        answer = await http.get(f"/v1/faults/{name}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert NAME not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503 or code == "busy")
    written = capsys.readouterr()
    assert NAME not in written.out + written.err


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


KEY = {"Idempotency-Key": "k"}
INPUTS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "missing": ({}, [("/place", "missing")]),
    "unknown field": ({"place": "home", NAME: 1}, [("", "unknown-field")]),
    "two unknown fields": ({"place": "home", NAME: 1, "Fatima": 2}, [("", "unknown-field")]),
    "known elsewhere": ({"place": "home", "known": NAME}, [("", "unknown-field")]),
    "wrong value": ({"place": NAME}, [("/place", "literal-error")]),
    "in a list": (
        {"place": "home", "accused": [{"name": NAME, "known": NAME}]},
        [("/accused/0/known", "bool-parsing")],
    ),
    "in a mapping": ({"place": "home", "notes": {NAME: "x"}}, [("/notes", "int-parsing")]),
    "too long": (
        {"place": "home", "accused": [{"name": NAME * 9, "known": True}]},
        [("/accused/0/name", "string-too-long")],
    ),
    "wrong form": ({"place": "home", "cnic": NAME}, [("/cnic", "string-pattern-mismatch")]),
    "a validator's own words": ({"place": "home", "cnic": "42"}, [("/cnic", "not-acceptable")]),
    "no object": ([NAME], [("", "model-attributes-type")]),
}


@pytest.mark.parametrize(("body", "faults"), INPUTS.values(), ids=list(INPUTS))
async def test_a_fault_of_the_input_is_located_and_not_quoted(
    make_app: MakeApp, client: Client, body: Any, faults: list[tuple[str, str]]
) -> None:
    async with client(make_app(router)) as http:
        answer = await http.post("/v1/cases/x", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == faults
    assert NAME not in answer.text
    assert "42" not in "".join(fault["message"] for fault in answer.json()["errors"])


async def test_a_fault_of_a_parameter_is_located_too(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        answer = await http.get("/v1/cases/x", params={"limit": NAME})
    assert answer.json()["errors"] == [
        {"pointer": "/query/limit", "code": "int-parsing", "message": "is not a whole number that is taken here"}
    ]
    assert NAME not in answer.text


async def test_missing_preconditions_have_problems_of_their_own(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        without_key = await http.post("/v1/cases/x", json={"place": "home"})
        bad_key = await http.post("/v1/cases/x", json={"place": "home"}, headers={"Idempotency-Key": "a b"})
        without_etag = await http.put("/v1/cases/x", json={"place": "home"})
        good = await http.post("/v1/cases/x", json={"place": "home"}, headers=KEY)
    assert (without_key.status_code, without_key.json()["code"]) == (400, "idempotency-key-missing")
    assert (bad_key.status_code, bad_key.json()["code"]) == (400, "idempotency-key-invalid")
    assert (without_etag.status_code, without_etag.json()["code"]) == (428, "precondition-required")
    assert (good.status_code, good.json()) == (201, {"key": "k"})


def test_entity_tags_are_compared_as_the_header_asks() -> None:
    assert matches('"a", "b"', '"b"')
    assert matches("*", '"b"')
    assert not matches('W/"b"', '"b"')
    assert matches('W/"b"', '"b"', weak=True)
    assert not matches(None, '"b"')
    assert not matches('"a"', '"b"')


async def test_readiness_is_what_the_checks_say(make_app: MakeApp, client: Client, issuer: Issuer) -> None:
    app = make_app(router)
    away = False

    async def database() -> None:
        if away:
            raise ConnectionError(NAME)

    add_check(app, "database", database)
    async with client(app) as http:
        ready = await http.get("/readyz")
        away = True
        not_ready = await http.get("/readyz")
        assert (await http.get("/livez")).status_code == 200
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "checks": {"issuer keys": "ok", "database": "ok"}},
    )
    assert (not_ready.status_code, not_ready.json()["checks"]["database"]) == (503, "failed")
    assert NAME not in not_ready.text


async def test_a_check_that_hangs_is_a_failed_one(
    make_app: MakeApp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amanat.http.CHECK_TIMEOUT_S", 0.05)
    app = make_app(router)
    add_check(app, "slow", lambda: asyncio.sleep(30))
    async with client(app) as http:
        assert (await http.get("/readyz")).json()["checks"]["slow"] == "failed"


async def test_without_the_issuers_keys_it_is_not_ready(make_app: MakeApp, client: Client, issuer: Issuer) -> None:
    issuer.away = True
    async with client(make_app(router)) as http:
        assert (await http.get("/readyz")).status_code == 503


async def test_metrics_know_templates_and_no_addresses(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        await http.get(f"/v1/cases/{NAME}", params={"limit": 3})
        await http.get(f"/v1/{NAME}")
        await http.request(NAME.upper(), "/v1/page")
        text = (await http.get("/metrics")).text
    wanted = (
        'amanat_http_request_seconds_count{method="GET",route="/v1/cases/{code}",service="police-link",status="404"}'
    )
    assert wanted in text
    assert NAME not in text
    assert NAME.upper() not in text


async def test_clients_that_know_another_form_of_refusal_get_it(make_app: MakeApp, client: Client) -> None:
    def outcome(refused: Refused, accept_language: str) -> Response:
        return JSONResponse({"resourceType": "OperationOutcome", "status": refused.status}, refused.status)

    app = make_app(router, renderers={"/fhir": outcome})
    async with client(app) as http:
        assert (await http.get("/fhir/Nothing")).json() == {"resourceType": "OperationOutcome", "status": 404}
        assert (await http.post("/fhir", content=b"{", headers={"content-type": "application/json"})).json() == {
            "resourceType": "OperationOutcome",
            "status": 400,
        }
        assert (await http.get("/fhirst")).headers["content-type"] == "application/problem+json"


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


def test_a_403_has_one_body_whatever_the_reason() -> None:
    assert Forbidden().headers == Forbidden("roles").headers
