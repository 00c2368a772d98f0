"""Answers are valid FHIR, keep the order, and hold constant texts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from amanat import errors
from amanat.errors import Refused
from intake.errors import UnknownCell
from intake.fhir import MappedBundle, capability_statement, operation_outcome, response_bundle
from intake.fhir.outcomes import NOTES

RECORD = UUID("01890000-0000-7000-8000-000000000001")


def test_what_is_kept_has_a_location_and_what_is_not_has_a_warning(
    arrival: dict[str, Any], mapped: Callable[..., MappedBundle]
) -> None:
    response = response_bundle(mapped(arrival), "C-7KQ2-M4XD-3", {"examination": RECORD})
    Bundle.model_validate(response)
    entries = [each["response"] for each in response["entry"]]

    assert (entries[1]["status"], entries[1]["location"]) == ("201 Created", "/v1/cases/C-7KQ2-M4XD-3")
    assert entries[8]["location"] == f"/v1/cases/C-7KQ2-M4XD-3#{RECORD}"
    assert entries[14]["location"] == "/v1/cases/C-7KQ2-M4XD-3/consents"
    assert "location" not in entries[17]
    assert entries[17]["outcome"]["issue"][0] == {
        "severity": "warning",
        "code": "not-supported",
        "details": {
            "coding": [{"system": "https://amanat.pk/fhir/outcome", "code": "kind-not-kept"}],
            "text": NOTES["kind-not-kept"],
        },
    }


def test_a_visit_that_was_open_already_is_not_created_again(
    example: Callable[[str], dict[str, Any]], mapped: Callable[..., MappedBundle]
) -> None:
    added = mapped(example("follow-up")).for_known_case()
    entries = [each["response"] for each in response_bundle(added, "C-7KQ2-M4XD-3", added=True)["entry"]]
    assert [each["status"] for each in entries] == ["201 Created", "200 OK", "201 Created", "201 Created"]
    assert all("location" in each for each in entries)


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (errors.MalformedBody("the body is not JSON"), "structure"),
        (errors.Unauthenticated(), "login"),
        (errors.Forbidden(), "forbidden"),
        (errors.NotFound(), "not-found"),
        (errors.Busy(), "conflict"),
        (errors.TooLarge(), "too-long"),
        (errors.WrongContentType(), "not-supported"),
        (errors.KeyReused(), "processing"),
        (UnknownCell(), "processing"),
        (errors.TooManyRequests(retry_after=1), "throttled"),
        (errors.Unavailable(), "transient"),
    ],
)
def test_any_refusal_is_told_as_an_operation_outcome(refused: Refused, code: str) -> None:
    outcome = operation_outcome(refused, trace_id="0af7651916cd43dd8448eb211c80319c")
    OperationOutcome.model_validate(outcome)
    issue = outcome["issue"][0]
    assert (issue["severity"], issue["code"], issue["details"]["coding"][0]["code"]) == ("error", code, refused.code)
    assert issue["details"]["text"].startswith(refused.title)
    assert operation_outcome(refused, urdu=True)["issue"][0]["details"]["text"].startswith(refused.title_ur)


def test_the_capability_statement_is_valid_and_promises_one_interaction() -> None:
    statement = capability_statement("https://intake.example/fhir", version="0.1.0", published=date(2026, 1, 1))
    CapabilityStatement.model_validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["rest"][0]["interaction"] == [{"code": "transaction"}]
