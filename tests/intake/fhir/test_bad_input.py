"""What is refused, how clearly, and that nothing of it is said back."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from intake.fhir import FhirRefused, canonical, check_media_type, operation_outcome, parse

Refusal = Callable[[dict[str, Any]], FhirRefused]
OfType = Callable[..., list[dict[str, Any]]]
CANARY = "Canary42101Mahnoor"


def refused(body: bytes) -> tuple[int, str]:
    with pytest.raises(FhirRefused) as caught:
        parse(body)
    OperationOutcome.model_validate(operation_outcome(caught.value))
    return caught.value.status, caught.value.issues[0].rule


def first(refusal: FhirRefused) -> tuple[int, str, str | None]:
    OperationOutcome.model_validate(operation_outcome(refusal))
    return refusal.status, refusal.issues[0].rule, refusal.issues[0].expression


def test_a_truncated_bundle_is_unreadable_wherever_it_ends(arrival: dict[str, Any]) -> None:
    body = json.dumps(arrival).encode()
    for end in range(0, len(body), 997):
        assert refused(body[:end])[0] == 400


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "not-json"),
        (b"\xff\xfe{}", "not-utf-8"),
        (b'{"resourceType": "Bundle", "type": "\xc3\x28"}', "not-utf-8"),
        (b"[]", "not-a-resource"),
        (b"3", "not-a-resource"),
        (b'{"a": NaN}', "not-json"),
        (b'{"a": 1e999999999999}', "number-too-large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number-too-large"),
        (b'{"type": "transaction", "type": "batch"}', "name-twice"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too-deep"),
    ],
)
def test_a_body_that_two_readers_could_read_differently_is_unreadable(body: bytes, rule: str) -> None:
    assert refused(body) == (400, rule)


def test_thirty_two_levels_are_read_as_the_edge_reads_them() -> None:
    assert refused(b'{"a":' * 32 + b"1" + b"}" * 32) == (422, "not-a-bundle")


def test_a_bundle_that_is_no_transaction_is_refused(arrival: dict[str, Any], refusal: Refusal) -> None:
    kinds: list[Any] = ["batch", "collection", "document", "message", None, 3, []]
    for kind in kinds:
        assert first(refusal(arrival | {"type": kind})) == (422, "not-a-transaction", "Bundle.type")
    none: list[Any] = [[], None, {}, "x"]
    for entries in none:
        assert first(refusal(arrival | {"entry": entries})) == (422, "no-entries", "Bundle.entry")
    assert first(refusal(arrival | {"resourceType": "Parameters"}))[1] == "not-a-bundle"


def test_ten_thousand_entries_are_too_many_and_two_thousand_are_not(arrival: dict[str, Any], refusal: Refusal) -> None:
    claim = arrival["entry"].pop()
    many = [{**claim, "fullUrl": f"urn:uuid:{number:032x}"} for number in range(10_000)]
    full = arrival | {"entry": [*arrival["entry"], *many[: 2_000 - len(arrival["entry"])]]}

    assert len(parse(json.dumps(full).encode()).entries) == 2_000
    assert first(refusal(arrival | {"entry": [*arrival["entry"], *many]})) == (413, "too-many-entries", "Bundle.entry")


HIDDEN = ["\u202a", "\u202e", "\u2066", "\u2069", "\x00", "\ud800"]


@pytest.mark.parametrize(
    ("hidden", "escaped"), [*((each, True) for each in HIDDEN), *((each, False) for each in HIDDEN[:5])]
)
def test_hidden_direction_in_a_name_is_refused_and_said_where(
    arrival: dict[str, Any], hidden: str, escaped: bool, of_type: OfType
) -> None:
    of_type(arrival, "Patient")[0]["name"][0]["text"] = f"{CANARY}{hidden}x"
    with pytest.raises(FhirRefused) as caught:
        parse(json.dumps(arrival, ensure_ascii=escaped).encode())
    assert first(caught.value) == (422, "hidden-characters", "Bundle.entry[0].resource.name[0].text")
    assert CANARY not in json.dumps(operation_outcome(caught.value))


def test_joiners_and_marks_that_urdu_needs_are_kept(
    arrival: dict[str, Any], of_type: OfType, mapped: Callable[..., Any]
) -> None:
    name = "نام\u200cِ\u200d\u200e\u200f مثال"
    of_type(arrival, "Patient")[0]["name"][0]["text"] = name
    assert mapped(arrival).case.person.full_name == name


def test_one_full_url_or_one_id_stands_for_one_entry(arrival: dict[str, Any], refusal: Refusal) -> None:
    twice = copy.deepcopy(arrival)
    twice["entry"][4]["fullUrl"] = twice["entry"][3]["fullUrl"]
    assert first(refusal(twice)) == (422, "full-url-twice", "Bundle.entry[4].fullUrl")
    for index in (3, 4):
        arrival["entry"][index]["resource"]["id"] = "same"
    assert first(refusal(arrival)) == (422, "id-twice", "Bundle.entry[4].resource.id")


def test_a_reference_to_an_encounter_that_must_be_here_and_is_not_is_refused(
    arrival: dict[str, Any], refusal: Refusal, of_type: OfType
) -> None:
    of_type(arrival, "Observation")[0]["encounter"] = {"reference": "urn:uuid:00000000-0000-4000-8000-999999999999"}
    assert first(refusal(arrival)) == (422, "dangling-reference", "Bundle.entry[3].resource.encounter")


@pytest.mark.parametrize(
    ("change", "rule", "place"),
    [
        (lambda e: e.pop("request"), "request", "Bundle.entry[3].request"),
        (lambda e: e["request"].update(method="DELETE"), "request", "Bundle.entry[3].request"),
        (lambda e: e["request"].update(method="PATCH"), "request", "Bundle.entry[3].request"),
        (lambda e: e["request"].update(url="Patient"), "request-url", "Bundle.entry[3].request.url"),
        (lambda e: e["request"].update(ifMatch='W/"1"'), "if-match", "Bundle.entry[3].request.ifMatch"),
        (lambda e: e.pop("resource"), "not-a-resource", "Bundle.entry[3].resource"),
        (lambda e: e["resource"].update(resourceType="ActorDefinition"), "not-a-resource", "Bundle.entry[3].resource"),
        (lambda e: e["resource"].update(status=CANARY), "not-in-value-set", "Bundle.entry[3].resource.status"),
        (lambda e: e["resource"].pop("status"), "not-r4", "Bundle.entry[3].resource.status"),
        (lambda e: e["resource"].update({CANARY: 1}), "not-an-element", "Bundle.entry[3].resource"),
        (lambda e: e["resource"].update({CANARY.lower(): 1}), "not-r4", "Bundle.entry[3].resource"),
        (lambda e: e["resource"].update(resource_type="Observation"), "not-an-element", "Bundle.entry[3].resource"),
        (lambda e: e["resource"].update(fhir_comments=[CANARY]), "not-an-element", "Bundle.entry[3].resource"),
        (lambda e: e["resource"].update(contained=[{"resourceType": "Nope"}]), "not-a-resource", None),
        (lambda e: e["resource"].update(contained=3), "not-a-resource", None),
        (lambda e: e["resource"].update(valueBoolean=True), "not-r4", "Bundle.entry[3].resource"),
        (
            lambda e: e["resource"]["code"]["coding"][0].update(display=[CANARY]),
            "not-r4",
            "Bundle.entry[3].resource.code.coding[0].display",
        ),
    ],
)
def test_what_is_wrong_is_named_by_place_and_never_quoted(
    arrival: dict[str, Any], refusal: Refusal, change: Callable[[Any], object], rule: str, place: str | None
) -> None:
    change(arrival["entry"][3])
    answer = refusal(arrival)
    assert (answer.status, answer.issues[0].rule) == (422, rule)
    if place is not None:
        assert answer.issues[0].expression == place
    assert CANARY.lower() not in json.dumps(operation_outcome(answer)).lower()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda p: p.update(birthDate="2031-01-01"), "birthDate"),
        (lambda p: p.update(birthDate="2031"), "birthDate"),
        (lambda p: p.update(birthDate="0800-01-01"), "birthDate"),
        (lambda p: p["identifier"][1].update(value="12345"), "identifier[1].value"),
        (lambda p: p["name"][0].update(text="x" * 501), "name[0]"),
        (lambda p: p["telecom"][0]["extension"][0]["extension"][0].update(valueCode="pigeon"), "telecom[0]"),
    ],
)
def test_an_impossible_identity_is_refused_where_it_stands(
    arrival: dict[str, Any], refusal: Refusal, of_type: OfType, change: Callable[[Any], object], place: str
) -> None:
    change(of_type(arrival, "Patient")[0])
    assert first(refusal(arrival)) == (422, "not-possible", f"Bundle.entry[0].resource.{place}")


def test_a_modifier_on_the_patient_or_the_visit_is_not_passed_over(
    arrival: dict[str, Any], refusal: Refusal, of_type: OfType
) -> None:
    of_type(arrival, "Encounter")[0]["modifierExtension"] = [{"url": "urn:x", "valueBoolean": True}]
    assert first(refusal(arrival)) == (422, "modifier", "Bundle.entry[1].resource")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Encounter", lambda r: r.update({"class": [{"coding": [{"code": "EMER"}]}]})),
        ("Encounter", lambda r: r.update(actualPeriod={"start": "2026-01-01"})),
        ("Encounter", lambda r: r.update(status="completed")),
        ("Consent", lambda r: r.update(decision="permit")),
        ("Procedure", lambda r: r.update(occurrenceDateTime="2026-01-01")),
        ("Observation", lambda r: r.update(context={"reference": "Encounter/1"})),
        ("Patient", lambda r: r.update(animal={})),
    ],
)
def test_another_version_of_fhir_is_named_as_that(
    arrival: dict[str, Any], refusal: Refusal, of_type: OfType, kind: str, change: Callable[[Any], object]
) -> None:
    change(of_type(arrival, kind)[0])
    answer = refusal(arrival)
    assert (answer.status, answer.issues[0].rule, answer.issues[0].code) == (422, "fhir-version", "not-supported")


def test_marks_of_other_versions_are_no_elements_of_r4() -> None:
    from fhir.resources.R4B import get_fhir_model_class

    from intake.fhir.bindings import OTHER_VERSIONS, REQUIRED, REQUIRED_CONCEPTS

    def elements(kind: str) -> set[str]:
        return {field.alias or name for name, field in get_fhir_model_class(kind).model_fields.items()}

    for marks in OTHER_VERSIONS.values():
        for kind, names in marks.items():
            assert not names & elements(kind), kind
    for kind, paths in REQUIRED.items():
        assert {path[0] for path in paths} <= elements(kind), kind
    for kind, element in REQUIRED_CONCEPTS:
        assert element in elements(kind)


@pytest.mark.parametrize("version", ["5.0", "3.0", "4.3", '"5.0.0"', "x"])
def test_a_media_type_of_another_version_is_refused(version: str) -> None:
    with pytest.raises(FhirRefused) as caught:
        check_media_type(f"application/fhir+json; charset=utf-8; FhirVersion={version}")
    assert caught.value.status == 415


@pytest.mark.parametrize("content_type", ["application/fhir+json", "application/fhir+json;fhirVersion=4.0", ""])
def test_r4_and_an_unnamed_version_are_taken(content_type: str) -> None:
    check_media_type(content_type)


def test_the_canonical_form_is_the_same_for_the_same_bundle_and_differs_for_another(arrival: dict[str, Any]) -> None:
    plain = json.dumps(arrival).encode()
    turned = json.dumps({name: arrival[name] for name in reversed(arrival)}, indent=3, ensure_ascii=False).encode()
    assert canonical(plain) == canonical(turned) == parse(plain).canonical
    arrival["entry"].reverse()
    assert canonical(json.dumps(arrival).encode()) != canonical(plain)
    assert canonical(b'{"a": 1.0}') != canonical(b'{"a": 1.00}') != canonical(b'{"a": "1.00"}')
