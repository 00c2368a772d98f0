"""A hospital's FHIR bundles, posted to a running cell."""

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack

pytestmark = pytest.mark.stack
OWN = sorted(Path("examples/bundles").glob("*.json"))
OTHERS = sorted(Path("../shared/data/fhir").glob("*.json"))
FHIR = "application/fhir+json"


@pytest.fixture
def hospital(stack: Stack) -> Client:
    return Client(Teller(), "arcc-karachi-system", stack.info["services"]["intake"], stack.info)


def bundle(name: str = "arrival.json", run: str | None = None) -> bytes:
    return Path("examples/bundles", name).read_bytes().replace(b"{run}", (run or uuid4().hex[:8]).encode())


def post(client: Client, body: bytes) -> Any:
    """As a FHIR client does: without an idempotency key."""
    return client.post("/fhir", body, content_type=FHIR, quiet=True, keyed=False)


def case_of(answer: Any) -> str:
    [case] = {
        entry["response"]["location"].split("#")[0].split("/")[3]
        for entry in answer.json()["entry"]
        if "location" in entry["response"]
    }
    return str(case)


def test_every_bundle_of_others_is_taken_and_each_entry_is_answered_in_its_place(hospital: Client) -> None:
    bundles = [path for path in OTHERS if json.loads(path.read_text())["resourceType"] == "Bundle"]
    if not bundles:
        warnings.warn("../shared/data/fhir is not here: only our own bundles were posted", stacklevel=1)
    for path in [*bundles, *OWN]:
        body = path.read_bytes().replace(b"{run}", uuid4().hex[:8].encode())
        sent = json.loads(body)["entry"]
        answer = post(hospital, body)
        assert answer.status_code == 200, path.name
        entries = answer.json()["entry"]
        assert len(entries) == len(sent)
        for request, entry in zip(sent, entries, strict=True):
            kept = "location" in entry["response"]
            issues = entry["response"].get("outcome", {}).get("issue", [])
            assert kept or {issue["code"] for issue in issues} == {"not-supported"}
            if request["resource"]["resourceType"] == "Patient":
                assert kept


def test_the_same_bundle_again_is_the_same_request(hospital: Client) -> None:
    body = bundle()
    first, second = post(hospital, body), post(hospital, body)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert case_of(first) == case_of(second)


def test_a_later_bundle_of_a_known_visit_adds_to_its_case(hospital: Client) -> None:
    run = uuid4().hex[:8]
    first = case_of(post(hospital, bundle(run=run)))
    later = json.loads(bundle(run=run))
    for entry in later["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["address"] = [{"use": "home", "line": ["House 1, Street 1"], "city": "Karachi"}]
    answer = post(hospital, json.dumps(later).encode())
    assert case_of(answer) == first
    records = hospital.get(f"/v1/cases/{first}", quiet=True).json()["records"]
    kinds = [record["kind"] for record in records]
    assert kinds.count("person") == 2
    assert kinds.count("examination") == 1


def test_two_bundles_of_one_visit_at_once_open_one_case(hospital: Client) -> None:
    run = uuid4().hex[:8]
    bodies = []
    for number in range(4):
        varied = json.loads(bundle(run=run))
        varied["timestamp"] = f"2026-01-01T00:00:0{number}Z"
        bodies.append(json.dumps(varied).encode())
    with ThreadPoolExecutor(4) as together:
        cases = {case_of(answer) for answer in together.map(lambda body: post(hospital, body), bodies)}
    assert len(cases) == 1


def test_another_hospital_opens_a_case_of_its_own_for_the_same_visit(stack: Stack, hospital: Client) -> None:
    other = Client(Teller(), "arcc-lahore-system", stack.info["services"]["intake"], stack.info)
    body = json.loads(bundle())
    body["entry"] = [e for e in body["entry"] if e["resource"]["resourceType"] in {"Patient", "Encounter"}]
    sent = json.dumps(body).encode()
    first, second = case_of(post(hospital, sent)), case_of(post(other, sent))
    assert first != second
    assert hospital.get(f"/v1/cases/{second}", quiet=True).status_code == 404
