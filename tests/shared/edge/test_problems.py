"""Refusals: of one form, in two languages, and without the message of what failed."""

from __future__ import annotations

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse

from amanat.errors import Forbidden, NotFound, Refused
from amanat.problems import BY_STATUS, ServerFault, prefers_urdu

from .issuers import Client, MakeApp
from .routes import NAME, router


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


def test_a_403_has_one_body_whatever_the_reason() -> None:
    assert Forbidden().headers == Forbidden("roles").headers
