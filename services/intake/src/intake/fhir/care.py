"""Clinical resources → CareNote: fields for the few things that clocks and nurses look for, else a line of notes."""

from datetime import datetime

from intake.fhir import codes as known
from intake.fhir.elements import (
    Json,
    codes,
    codings,
    concept_text,
    first,
    moment,
    notes_text,
    objects,
    text,
    value_text,
)
from intake.fhir.notebook import LINE, Note, Notebook
from intake.fhir.references import Entry, References

_MEDICATIONS = 100  # as in the contract
_WHEN = (
    "effectiveDateTime",
    "performedDateTime",
    "onsetDateTime",
    "authoredOn",
    "occurrenceDateTime",
    "started",
    "issued",
    "recordedDate",
    "dateAsserted",
    "date",
    "created",
)
_PERIODS = ("effectivePeriod", "performedPeriod", "onsetPeriod", "occurrencePeriod", "period")
_MORE = ("bodySite", "severity", "interpretation", "category", "modality", "procedureCode", "conclusionCode")
_TEXTS = ("conclusion", "description", "title", "summary", "valueString")


def moment_of(resource: Json) -> datetime | None:
    """The instant that an event resource gives, as a dateTime or as a period's beginning."""
    for name in _WHEN:
        if (instant := moment(resource.get(name))) is not None:
            return instant
    return next((found for name in _PERIODS if (found := moment(first(resource.get(name)).get("start")))), None)


def is_care_test(resource: Json) -> bool:
    """Whether a resource is coded as a pregnancy or HIV test, whatever else it is coded as."""
    return _test(resource) is not None


def _test(resource: Json) -> str | None:
    loinc = set(codes(resource.get("code"), known.LOINC))
    ours = set(codes(resource.get("code"), known.CARE))
    if known.PREGNANCY_TESTS & loinc or known.PREGNANCY_TEST in ours:
        return "pregnancy_test"
    return "hiv_test" if known.HIV_TESTS & loinc or known.HIV_TEST in ours else None


def note_care(note: Notebook, entry: Entry, references: References) -> Note:
    """Keeps one resource as care; what has no field of its own becomes a line of the notes."""
    resource = entry.resource
    if entry.type.startswith("Medication"):
        return _medication(note, entry, references)
    field = _immunised(resource) if entry.type == "Immunization" else _test(resource)
    value: str | None
    if entry.type == "Immunization" and field is not None:
        name = concept_text(resource.get("vaccineCode")) or "given"
        value = f"{name} {text(resource.get('occurrenceDateTime')) or ''}".strip()
    else:
        value = _result(resource, str(field))
    if field is not None and value is not None and note.put(field, value) is None:
        return None
    return note.write("notes", line_of(entry))


def _immunised(resource: Json) -> str | None:
    given = set(codes(resource.get("vaccineCode"), known.CVX))
    if known.HEPATITIS_B & given:
        return "hepatitis_b"
    return "tetanus" if known.TETANUS & given else None


def _result(resource: Json, field: str) -> str | None:
    found = {
        (system or "", code or "")
        for concept in (resource.get("valueCodeableConcept"), resource.get("interpretation"))
        for system, code in codings(concept)
    }
    positive, negative = bool(found & known.POSITIVE), bool(found & known.NEGATIVE)
    if positive == negative:
        return None
    words = ("positive", "negative") if field == "pregnancy_test" else ("reactive", "non_reactive")
    return words[0] if positive else words[1]


def _medication(note: Notebook, entry: Entry, references: References) -> Note:
    resource = entry.resource
    concept = resource.get("medicationCodeableConcept")
    if concept is None:
        drug = references.resource(resource.get("medicationReference"), source=entry, kind="Medication") or {}
        concept = drug.get("code")
    given_at = moment_of(resource)
    if entry.type == "MedicationAdministration" and given_at is not None:
        ours, atc = codes(concept, known.CARE), codes(concept, known.ATC)
        if known.PEP in ours:
            note.fields.setdefault("pep_given_at", given_at)
        if known.CONTRACEPTION in ours or any(code.startswith(known.EMERGENCY_CONTRACEPTION) for code in atc):
            note.fields.setdefault("emergency_contraception_given_at", given_at)
    name = concept_text(concept) or text(first(resource.get("medicationReference")).get("display"))
    dosage = first(resource.get("dosageInstruction") or resource.get("dosage"))
    line = "; ".join(part for part in (name, text(dosage.get("text")), text(resource.get("status"))) if part)
    if name is not None and len(line) <= LINE and note.add("medication", line, most=_MEDICATIONS) is None:
        return None
    return note.write("notes", line_of(entry, name))


def line_of(entry: Entry, name: str | None = None) -> str:
    """One resource in one line: what it is, what it says, when; only from elements that are read."""
    resource = entry.resource
    subject = name or concept_text(resource.get("code")) or concept_text(resource.get("vaccineCode"))
    said = [value_text(resource), *(text(resource.get(each)) for each in _TEXTS if each != "valueString")]
    said += [concept_text(resource.get(each)) for each in _MORE]
    for component in objects(resource.get("component")):
        said.append(_pair(concept_text(component.get("code")), value_text(component)))
    for activity in objects(resource.get("activity")):
        said.append(concept_text(first(activity.get("detail")).get("code")))
    said += notes_text(resource)
    when = next((text(resource.get(each)) for each in _WHEN if text(resource.get(each))), None)
    when = when or next((text(first(resource.get(each)).get("start")) for each in _PERIODS if each in resource), None)
    told = "; ".join(dict.fromkeys(part for part in said if part and part != subject))
    return " ".join(part for part in (f"{entry.type}:", _pair(subject, told), f"({when})" if when else None) if part)


def _pair(left: str | None, right: str | None) -> str | None:
    return ": ".join(part for part in (left, right) if part) or None
