"""What the sender gets back: a transaction-response, or an OperationOutcome. Both hold constant texts only (law 9)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from amanat.errors import Refused
from intake.fhir.codes import OUTCOME
from intake.fhir.mapping import MappedBundle
from intake.fhir.outcomes import NOTES, Outcome
from intake.fhir.refusals import FhirRefused, Issue

MEDIA_TYPE = "application/fhir+json"

_ISSUE_TYPE: Mapping[int, str] = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "processing",
    428: "required",
    429: "throttled",
    500: "exception",
    503: "transient",
}


def operation_outcome(refused: Refused, *, urdu: bool = False, trace_id: str | None = None) -> dict[str, Any]:
    """The OperationOutcome of any refusal, to be sent with `refused.status` and `refused.headers`.

    A bundle's own faults are told one by one, with their places as FHIRPath; every other refusal by its code and title.
    """
    if isinstance(refused, FhirRefused) and refused.issues:
        issues = [_issue(issue) for issue in refused.issues]
    else:
        code = _ISSUE_TYPE.get(refused.status, "processing" if refused.status < 500 else "exception")
        title = refused.title_ur if urdu else refused.title
        issues = [_issue(Issue(code, refused.code, f"{title}. {refused.detail}" if refused.detail else title))]
    outcome: dict[str, Any] = {"resourceType": "OperationOutcome", "issue": issues}
    if trace_id:
        outcome["id"] = trace_id
    return outcome


def response_bundle(
    mapped: MappedBundle, case_code: str, records: Mapping[str, UUID] | None = None, *, added: bool = False
) -> dict[str, Any]:
    """The transaction-response, entry by entry in the order of the request.

    What is kept is 201 with a location: the case as `GET /v1/cases/{case}` shows it, with the record's id as fragment
    where `records` (by kind) has it. What is not kept has no location and a `not-supported` warning that says why.
    `added`: the case was open already, so that the visit itself is 200 and not 201.
    """
    return {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": _response(entry, case_code, records or {}, added=added)} for entry in mapped.entries],
    }


def _response(entry: Outcome, case_code: str, records: Mapping[str, UUID], *, added: bool) -> dict[str, Any]:
    response: dict[str, Any] = {"status": "200 OK"}
    if entry.kept_as is not None:
        known_already = added and entry.kept_as == "case"
        response["status"] = "200 OK" if known_already else "201 Created"
        response["location"] = _location(entry.kept_as, case_code, records)
    if entry.notes:
        response["outcome"] = {
            "resourceType": "OperationOutcome",
            "issue": [_issue(Issue("not-supported", note, NOTES[note], severity="warning")) for note in entry.notes],
        }
    return response


def _location(kept_as: str, case_code: str, records: Mapping[str, UUID]) -> str:
    case = f"/v1/cases/{case_code}"
    if kept_as == "consent":
        return f"{case}/consents"
    return f"{case}#{records[kept_as]}" if kept_as in records else case


def _issue(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"coding": [{"system": OUTCOME, "code": issue.rule}], "text": issue.text},
    }
    if issue.expression is not None:
        written["expression"] = [issue.expression]
    return written
