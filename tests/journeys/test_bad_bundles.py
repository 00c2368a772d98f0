"""Bad FHIR at the cell: an OperationOutcome without a word of what was sent, never a fault, nothing stored by half."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from amanat_local.stack import Stack

from .refusing import CANARY, FHIR, NAME, OVERRIDES, Stranger, assert_refused, counted, nothing_stored

pytestmark = pytest.mark.stack
ARRIVAL = Path(__file__).parents[2] / "examples" / "bundles" / "arrival.json"
Bundle = dict[str, Any]


def good() -> Bundle:
    """A bundle that would be taken, of a visit that is new, with the canary in the survivor's name."""
    bundle: Bundle = json.loads(ARRIVAL.read_bytes().replace(b"{run}", uuid4().hex[:8].encode()))
    patient(bundle)["name"] = [{"use": "official", "text": NAME}]
    return bundle


def resource(bundle: Bundle, kind: str) -> Any:
    return next(entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind)


def patient(bundle: Bundle) -> Any:
    return resource(bundle, "Patient")


def changed(change: Callable[[Bundle], object]) -> bytes:
    bundle = copy.deepcopy(good())
    change(bundle)
    return json.dumps(bundle, ensure_ascii=False).encode("utf-8", "surrogatepass")


def deep(levels: int) -> bytes:
    return b'{"resourceType":"Bundle","entry":' + b"[" * levels + f'"{CANARY}"'.encode() + b"]" * levels + b"}"


def with_entries(count: int) -> bytes:
    extra = {"resource": {"resourceType": "Basic", "id": CANARY}, "request": {"method": "POST", "url": "Basic"}}
    return changed(lambda bundle: bundle["entry"].extend([extra] * count))


NOT_USABLE: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "nothing": (lambda: b"", (400, 422)),
    "a truncated bundle": (lambda: json.dumps(good()).encode()[:-200], (400,)),
    "invalid UTF-8": (lambda: changed(lambda _: 0).replace(CANARY.encode(), CANARY.encode() + b"\xff"), (400,)),
    "half of a surrogate pair": (
        lambda: json.dumps(good()).replace(CANARY, CANARY + r"\udfff").encode(),
        (400, 422),
    ),
    "one name twice": (lambda: b'{"type": "transaction", ' + changed(lambda _: 0)[1:], (400,)),
    "deep nesting": (lambda: deep(60), (400,)),
    "deeper nesting": (lambda: deep(100_000), (400,)),
    "20 MB": (lambda: changed(lambda b: patient(b)["name"][0].update(text=CANARY * 1_600_000)), (413,)),
    "10,000 entries": (lambda: with_entries(10_000), (413, 422)),
    "no bundle": (lambda: json.dumps({"resourceType": "Patient", "id": CANARY}).encode(), (422,)),
    "a bundle that is no transaction": (lambda: changed(lambda b: b.update(type="collection")), (422,)),
    "an unknown field": (lambda: changed(lambda b: b.update({CANARY: CANARY})), (422,)),
    "an unknown field of an entry": (lambda: changed(lambda b: b["entry"][0].update({CANARY: CANARY})), (422,)),
    "an unknown field far inside": (lambda: changed(lambda b: patient(b)["name"][0].update({CANARY: 1})), (422,)),
    "a code that is none of the known": (lambda: changed(lambda b: patient(b).update(gender=CANARY)), (422,)),
    "a birth in the future": (lambda: changed(lambda b: patient(b).update(birthDate="2150-01-01")), (422,)),
    "an element of STU3": (lambda: changed(lambda b: patient(b).update(animal={"species": {"text": CANARY}})), (422,)),
    "an Encounter of R5": (
        lambda: changed(lambda b: resource(b, "Encounter").update(actualPeriod={"start": "2026-01-01"})),
        (422,),
    ),
    "a reference to nowhere": (
        lambda: changed(lambda b: resource(b, "Encounter").update(subject={"reference": f"urn:uuid:{CANARY}"})),
        (422,),
    ),
}


@pytest.mark.parametrize(("make", "statuses"), [pytest.param(*sent, id=name) for name, sent in NOT_USABLE.items()])
def test_a_bundle_that_cannot_be_used_is_refused_whole(
    stack: Stack, hospital: Stranger, make: Callable[[], bytes], statuses: tuple[int, ...]
) -> None:
    with nothing_stored(stack):
        assert_refused(hospital.post("/fhir", make(), content_type=FHIR, idempotency_key=""), *statuses)


@pytest.mark.parametrize("version", ["3.0", "5.0", CANARY])
def test_a_bundle_that_says_it_is_of_another_version_is_refused(stack: Stack, hospital: Stranger, version: str) -> None:
    with nothing_stored(stack):
        body = changed(lambda _: 0)
        assert_refused(hospital.post("/fhir", body, content_type=f"{FHIR}; fhirVersion={version}"), 415)


def test_no_name_that_reads_otherwise_than_it_is_stored_gets_in(stack: Stack, hospital: Stranger) -> None:
    with nothing_stored(stack):
        for point in OVERRIDES:
            name = f"{CANARY}{chr(point)}{CANARY}"
            body = changed(lambda bundle, name=name: patient(bundle)["name"][0].update(text=name))  # type: ignore[misc]
            assert_refused(hospital.post("/fhir", body, content_type=FHIR), 400, 422)


def test_a_key_that_came_before_with_another_bundle_is_refused(stack: Stack, hospital: Stranger) -> None:
    key = uuid4().hex
    assert hospital.post("/fhir", changed(lambda _: 0), content_type=FHIR, idempotency_key=key).status_code == 200
    with nothing_stored(stack):
        assert_refused(hospital.post("/fhir", changed(lambda _: 0), content_type=FHIR, idempotency_key=key), 422)


def test_fifty_posts_at_once_of_one_bundle_open_one_case(stack: Stack, hospital: Stranger) -> None:
    body, before = changed(lambda _: 0), counted(stack)

    def post(_: int) -> Any:
        return hospital.post("/fhir", body, content_type=FHIR, idempotency_key="")

    with ThreadPoolExecutor(max_workers=50) as together:
        answers = list(together.map(post, range(50)))
    taken = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer not in taken:  # it waited 5 s for the first of them, on a machine that had no time for it
            assert_refused(answer, 409)
    assert taken
    locations = [[entry["response"].get("location") for entry in answer.json()["entry"]] for answer in taken]
    assert all(each == locations[0] for each in locations)
    assert counted(stack)["cases"] - before["cases"] == 1
