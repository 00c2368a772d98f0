"""Faults of the input: located, and never quoted."""

from __future__ import annotations

from typing import Any

import pytest

from amanat.headers import matches

from .issuers import Client, MakeApp
from .routes import NAME, router

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
