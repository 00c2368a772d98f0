"""Bad JSON at the cell: a clear problem without a word of what was sent, never a fault, nothing stored by half."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from amanat_local.demo import payloads
from amanat_local.stack import Stack

from .refusing import CANARY, NAME, OVERRIDES, Stranger, assert_refused, counted, not_json, nothing_stored

pytestmark = pytest.mark.stack
CASES = "/v1/cases"


def good(**changes: Any) -> dict[str, Any]:
    """A case that would be taken, with the canary in its survivor's name, and with these changes."""
    body = copy.deepcopy(payloads.CHILD) | changes
    body["person"] = {**body["person"], "full_name": NAME, **changes.get("person", {})}
    return body


def consent(**changes: Any) -> dict[str, Any]:
    return payloads.consent("police-link", "station-saddar", ["identity"], payloads.SURVIVOR) | changes


NOT_VALID: dict[str, dict[str, Any]] = {
    "an unknown field": good(**{CANARY: 1}),
    "an unknown field far inside": good(incident={"accused": [{CANARY: NAME}]}),
    "a code that is none of the known": good(incident={"time_certainty": CANARY}),
    "a number where a code stands": good(person={"gender": 7}),
    "a category that is none": good(consents=[consent(categories=[CANARY])]),
    "a recipient that is nobody": good(consents=[consent(recipient={"agency": "police-link", "organisation": CANARY})]),
    "a recipient of another agency": good(referrals=[{"agency": "forensics", "organisation": "station-saddar"}]),
    "a consent that is over before it is given": good(consents=[consent(expires_at="2020-01-01T00:00:00Z")]),
    "a birth in the future": good(person={"birth_date": "2150-01-01"}),
    "a birth that is no date": good(person={"birth_date": f"2013-02-30 {CANARY}"}),
    "a CNIC with letters": good(person={"cnic": f"42101-{CANARY}-1"}),
    "a time without an offset": good(presented_at="2026-01-01T10:00:00"),
    "a NUL in a name": good(person={"full_name": f"{NAME}\x00"}),
    "a name longer than a line": good(person={"full_name": NAME * 500}),
    "10,000 entries": good(digital=[{"description": NAME}] * 10_000),
    "a cell of others": good(cell="arcc-lahore"),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in NOT_VALID.items()])
def test_a_case_that_does_not_fit_its_contract_is_refused_whole(
    stack: Stack, hospital: Stranger, body: dict[str, Any]
) -> None:
    with nothing_stored(stack):
        answer = hospital.post(CASES, body)
        assert_refused(answer, 422, 403)


def test_no_name_that_reads_otherwise_than_it_is_stored_gets_in(stack: Stack, hospital: Stranger) -> None:
    with nothing_stored(stack):
        for point in OVERRIDES:
            name = f"{CANARY}{chr(point)}{CANARY}"
            assert_refused(hospital.post(CASES, good(person={"full_name": name})), 422)
            assert_refused(hospital.post(CASES, good(consents=[consent(taken_by=name)])), 422)


NOT_JSON = not_json(good())


@pytest.mark.parametrize(("body", "status"), [pytest.param(*sent, id=name) for name, sent in NOT_JSON.items()])
def test_a_body_that_is_no_acceptable_json_is_refused(
    stack: Stack, hospital: Stranger, body: bytes, status: int
) -> None:
    with nothing_stored(stack):
        assert_refused(hospital.post(CASES, body), status)


@pytest.mark.parametrize("content_type", ["text/plain", f"application/{CANARY}", "application/json; charset=utf-16"])
def test_another_content_type_is_refused(stack: Stack, hospital: Stranger, content_type: str) -> None:
    with nothing_stored(stack):
        assert_refused(hospital.post(CASES, good(), content_type=content_type), 415)


@pytest.mark.parametrize("key", ["", f"{CANARY} with blanks", CANARY * 50])
def test_a_post_without_a_usable_key_is_refused(stack: Stack, hospital: Stranger, key: str) -> None:
    with nothing_stored(stack):
        assert_refused(hospital.post(CASES, good(), idempotency_key=key), 400)


def test_a_key_that_came_before_with_another_body_is_refused(stack: Stack, hospital: Stranger) -> None:
    key = f"{CANARY}-{uuid4()}"
    first = hospital.post(CASES, good(), idempotency_key=key)
    assert first.status_code == 201
    with nothing_stored(stack):
        assert_refused(hospital.post(CASES, good(guardian_is_accused=True), idempotency_key=key), 422)
    again = hospital.post(CASES, good(), idempotency_key=key)
    assert (again.status_code, again.json()["case"]) == (201, first.json()["case"])


def test_fifty_posts_at_once_with_one_key_open_one_case(stack: Stack, hospital: Stranger) -> None:
    key, body, before = uuid4().hex, good(), counted(stack)
    with ThreadPoolExecutor(max_workers=50) as together:
        answers = list(together.map(lambda _: hospital.post(CASES, body, idempotency_key=key), range(50)))
    opened = [answer for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer not in opened:  # it waited 5 s for the first of them, on a machine that had no time for it
            assert_refused(answer, 409)
            assert answer.headers["retry-after"]
    assert opened
    assert len({answer.json()["case"] for answer in opened}) == 1
    after = counted(stack)
    assert {table: after[table] - before[table] for table in ("cases", "idempotency")} == {"cases": 1, "idempotency": 1}
    assert after["records"] - before["records"] == 6


ELSEWHERE = {
    "/v1/cases/search": {"cnic": CANARY, "mlc_number": CANARY},
    "/v1/cases/{case}/records": {"kind": "incident", "record": {"history": NAME, CANARY: 1}},
    "/v1/cases/{case}/consents": {"recipient": {"agency": CANARY, "organisation": CANARY}},
    "/v1/cases/{case}/consents/{uuid}/withdrawal": {"categories": [CANARY]},
    "/v1/cases/{case}/kits": {"barcode": f"{CANARY} {CANARY}"},
    f"/v1/kits/{CANARY}/release": {"counterpart": {"agency": "intake", "organisation": CANARY}, CANARY: CANARY},
}


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_is_not_valid_elsewhere_is_refused_the_same_way(stack: Stack, hospital: Stranger, path: str) -> None:
    case = hospital.post(CASES, good()).json()["case"]
    with nothing_stored(stack):
        assert_refused(hospital.post(path.format(case=case, uuid=uuid4()), ELSEWHERE[path]), 404, 422)


@pytest.mark.parametrize("code", [CANARY, f"C-{CANARY}", "C-0000-0000-0", "%00", "%ff%fe", "..%2f..%2f" + CANARY])
def test_a_code_that_is_none_is_nothing_here(hospital: Stranger, code: str) -> None:
    assert_refused(hospital.post(f"{CASES}/{code}/kits", {"barcode": "KIT-1"}), 404, 422)
