"""Where clinical content goes: care, unless it is clearly forensic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amanat.categories import Category
from amanat.contracts.records import categories_in
from intake.fhir import MappedBundle

Mapped = Callable[..., MappedBundle]
OfType = Callable[..., list[dict[str, Any]]]
EXAMINATION = "https://amanat.pk/fhir/examination"
LOINC = "http://loinc.org"
VISIT = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"}
HER = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}


@pytest.fixture
def with_resource(example: Callable[[str], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The follow-up with one more resource of the visit."""

    def make(kind: str, **elements: Any) -> dict[str, Any]:
        bundle = example("follow-up")
        del bundle["entry"][2:]
        resource = {"resourceType": kind, "subject": HER, "encounter": VISIT, **elements}
        for name in [name for name, value in resource.items() if value is None]:
            del resource[name]
        bundle["entry"].append({"resource": resource, "request": {"method": "POST", "url": kind}})
        return bundle

    return make


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


HIV: dict[str, Any] = {
    "status": "final",
    "code": concept(LOINC, "80387-4"),
    "valueCodeableConcept": {"text": "see note"},
}
MEDICATION = {"medicationCodeableConcept": {"text": "azithromycin"}}
CARE: dict[str, tuple[str, dict[str, Any]]] = {
    "a finding coded in general terms": ("Observation", {"status": "final", "code": {"text": "bruise of forearm"}}),
    "a forensic-sounding text": ("Condition", {"code": {"text": "injury"}}),
    "an HIV test": ("Observation", HIV),
    "an HIV test also coded as opinion": (
        "Observation",
        HIV | {"code": {"coding": [*HIV["code"]["coding"], {"system": EXAMINATION, "code": "opinion"}]}},
    ),
    "a prescription": ("MedicationRequest", {"status": "active", "intent": "order", **MEDICATION}),
    "a medication given": (
        "MedicationAdministration",
        {"status": "completed", "context": VISIT, "encounter": None, "effectiveDateTime": "2026-02-01", **MEDICATION},
    ),
    "a report": ("DiagnosticReport", {"status": "final", "code": {"text": "ultrasound"}, "conclusion": "pregnant"}),
    "an allergy": ("AllergyIntolerance", {"code": {"text": "penicillin"}, "patient": HER, "subject": None}),
    "an order": ("ServiceRequest", {"status": "active", "intent": "order", "code": {"text": "HIV test"}}),
    "an operation": ("Procedure", {"status": "completed", "code": {"text": "suture"}}),
}


@pytest.mark.parametrize("case", CARE)
def test_what_is_not_clearly_forensic_is_care_and_nothing_else(
    case: str, with_resource: Callable[..., dict[str, Any]], mapped: Mapped
) -> None:
    kind, elements = CARE[case]
    taken = mapped(with_resource(kind, **elements))

    assert taken.entries[2].kept_as == "care_note"
    assert taken.case.care is not None
    assert categories_in(taken.case.care) == {Category.CARE}
    assert (taken.case.examination, taken.case.incident) == (None, None)


@pytest.mark.parametrize(
    ("code", "value", "field", "kept"),
    [
        (concept(LOINC, "80387-4"), concept("http://snomed.info/sct", "11214006"), "hiv_test", "reactive"),
        (concept(LOINC, "2106-3"), concept("http://snomed.info/sct", "260385009"), "pregnancy_test", "negative"),
        (concept("https://amanat.pk/fhir/care", "hiv-test"), {"text": "positive?"}, "hiv_test", None),
    ],
)
def test_a_test_s_result_has_its_own_field_only_when_it_is_coded(
    code: Any, value: Any, field: str, kept: str | None, with_resource: Callable[..., dict[str, Any]], mapped: Mapped
) -> None:
    care = mapped(with_resource("Observation", status="final", code=code, valueCodeableConcept=value)).case.care

    assert getattr(care, field) == kept
    assert care is not None
    assert (care.notes is None) == (kept is not None)


def test_emergency_contraception_by_its_atc_code_stops_its_clock(
    with_resource: Callable[..., dict[str, Any]], mapped: Mapped
) -> None:
    given = {"medicationCodeableConcept": concept("http://www.whocc.no/atc", "G03AD01"), "context": VISIT}
    when = "2026-02-01T10:00:00+05:00"
    bundle = with_resource(
        "MedicationAdministration", status="completed", encounter=None, effectiveDateTime=when, **given
    )
    care = mapped(bundle).case.care
    assert care is not None
    assert care.emergency_contraception_given_at is not None


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("Observation", {"status": "entered-in-error", "code": {"text": "x"}}),
        ("Observation", {"status": "cancelled", "code": concept(EXAMINATION, "opinion"), "valueString": "x"}),
        ("Procedure", {"status": "not-done", "code": {"text": "x"}}),
        ("MedicationRequest", {"status": "draft", "intent": "order", **MEDICATION}),
        ("MedicationRequest", {"status": "active", "intent": "order", "doNotPerform": True, **MEDICATION}),
        (
            "Condition",
            {
                "code": {"text": "x"},
                "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "refuted"),
            },
        ),
    ],
)
def test_what_did_not_happen_is_not_kept(
    kind: str, elements: dict[str, Any], with_resource: Callable[..., dict[str, Any]], mapped: Mapped
) -> None:
    entry = mapped(with_resource(kind, **elements)).entries[2]
    assert (entry.kept_as, entry.notes) == (None, ("not-a-fact",))


@pytest.mark.parametrize(
    ("elements", "note"),
    [
        ({"code": concept(EXAMINATION, "made-up"), "valueString": "x"}, "unknown-code"),
        ({"code": concept(EXAMINATION, "washed"), "valueString": "yes"}, "unreadable-value"),
        ({"code": concept(EXAMINATION, "pending"), "valueString": "x" * 501}, "too-long"),
        ({"code": concept(EXAMINATION, "opinion"), "valueString": "x" * 50_001}, "too-long"),
        ({"code": {"text": "x" * 50_001}}, "too-long"),
        ({"code": {"text": "x"}, "modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, "modifier"),
    ],
)
def test_what_cannot_be_kept_whole_is_not_kept_in_part(
    elements: dict[str, Any], note: str, with_resource: Callable[..., dict[str, Any]], mapped: Mapped
) -> None:
    taken = mapped(with_resource("Observation", status="final", **elements))
    assert (taken.entries[2].kept_as, taken.entries[2].notes) == (None, (note,))
    assert (taken.case.examination, taken.case.care) == (None, None)


def test_a_routine_specimen_is_no_forensic_sample(arrival: dict[str, Any], of_type: OfType, mapped: Mapped) -> None:
    of_type(arrival, "Specimen")[0].pop("request")
    taken = mapped(arrival)
    assert taken.case.examination is not None
    assert taken.case.examination.samples == ()
    assert taken.entries[11].notes == ("no-visit-sample",)


def test_a_telephone_is_no_leave_to_call_it(arrival: dict[str, Any], of_type: OfType, mapped: Mapped) -> None:
    of_type(arrival, "Patient")[0]["telecom"][0].pop("extension")
    taken = mapped(arrival)
    assert taken.case.contact is None
    assert taken.entries[0].notes == ("telecom-left-out",)


def test_a_date_alone_is_an_approximate_time(arrival: dict[str, Any], of_type: OfType, mapped: Mapped) -> None:
    of_type(arrival, "Observation")[0]["valueDateTime"] = "2025-06-02"
    incident = mapped(arrival).case.incident
    assert incident is not None
    assert incident.occurred_at is not None
    assert (incident.occurred_at.isoformat(), incident.time_certainty) == ("2025-06-01T19:00:00+00:00", "approximate")


@pytest.mark.parametrize(("written", "age"), [("2008", 17), ("2008-02", 18), ("2008-03", 17), ("2026", 0)])
def test_of_a_partial_birth_date_the_least_age_counts(
    written: str, age: int, arrival: dict[str, Any], of_type: OfType, mapped: Mapped
) -> None:
    of_type(arrival, "Patient")[0]["birthDate"] = written
    person = mapped(arrival).case.person
    assert person is not None
    assert (person.birth_date, person.age_years_stated) == (None, age)


def test_gender_other_is_not_guessed_at(arrival: dict[str, Any], of_type: OfType, mapped: Mapped) -> None:
    patient = of_type(arrival, "Patient")[0]
    patient["gender"] = "other"
    taken = mapped(arrival)
    assert taken.case.person is not None
    assert (taken.case.person.gender, "gender-other" in taken.entries[0].notes) == ("unknown", True)
    patient["extension"] = [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-genderIdentity",
            "valueCodeableConcept": concept("http://hl7.org/fhir/gender-identity", "transgender-female"),
        }
    ]
    person = mapped(arrival).case.person
    assert person is not None
    assert person.gender == "transgender"


def test_an_arrival_in_the_future_is_taken_without_its_time(
    example: Callable[[str], dict[str, Any]], of_type: OfType, mapped: Mapped
) -> None:
    bundle = example("unknown-person")
    of_type(bundle, "Encounter")[0]["period"]["start"] = "2031-01-01T00:00:00Z"
    taken = mapped(bundle)
    assert taken.case.presented_at is None
    assert taken.entries[0].notes == ("time-left-out",)


def test_a_performer_outside_the_directory_gets_no_referral(
    arrival: dict[str, Any], of_type: OfType, mapped: Mapped
) -> None:
    of_type(arrival, "ServiceRequest")[0]["performer"] = [{"display": "some laboratory"}]
    taken = mapped(arrival)
    assert taken.case.referrals == ()
    assert (taken.entries[10].kept_as, taken.entries[10].notes) == ("examination", ("unknown-recipient",))


def test_an_accused_guardian_is_told(arrival: dict[str, Any], of_type: OfType, mapped: Mapped) -> None:
    of_type(arrival, "Patient")[0]["extension"] = [
        {"url": "https://amanat.pk/fhir/StructureDefinition/guardian-is-accused", "valueBoolean": True}
    ]
    assert mapped(arrival).case.guardian_is_accused
