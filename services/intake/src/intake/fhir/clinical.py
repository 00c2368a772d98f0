"""What refers to the visit → Examination, Incident, CareNote.

Conservative: only what its sender codes in our own systems as forensic examination or as incident is that, and not even
that when it is also coded as a pregnancy or HIV test. Everything else is care, which leaves the cell to nobody.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from amanat.contracts.base import Part
from amanat.contracts.records import CareNote, Examination, Incident
from amanat.contracts.records.examination import Injury, Sample
from amanat.contracts.records.incident import Accused
from intake.fhir import codes as known
from intake.fhir.care import is_care_test, line_of, note_care
from intake.fhir.elements import (
    Json,
    codes,
    concept_text,
    first,
    moment,
    name_text,
    notes_text,
    objects,
    span,
    text,
    value_text,
    words,
)
from intake.fhir.notebook import LINE, PARAGRAPH, Note, Notebook
from intake.fhir.references import Entry, References

_GBVIMS = words(
    """
    rape sexual_assault physical_assault forced_marriage denial_of_resources psychological_abuse
    """
)
_SAMPLES, _INJURIES, _ACCUSED, _LINES = 500, 500, 100, 100  # as in the contracts


class ClinicalRecords:
    """Gathers the visit's clinical resources; `add_…` answer what the entry is kept as, and why not if it is not."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._examination, self._incident, self._care = Notebook(), Notebook(), Notebook()

    @property
    def examination(self) -> Examination | None:
        """The examination, when any of it was sent."""
        return Examination.model_validate(self._examination.fields) if self._examination.fields else None

    @property
    def incident(self) -> Incident | None:
        """The incident, when any of it was sent."""
        return Incident.model_validate(self._incident.fields) if self._incident.fields else None

    @property
    def care(self) -> CareNote | None:
        """Everything else."""
        return CareNote.model_validate(self._care.fields) if self._care.fields else None

    def add(self, entry: Entry) -> tuple[str, Note]:
        """Puts one resource where it belongs."""
        resource = entry.resource
        if not is_care_test(resource) and entry.type in ("Observation", "Condition", "Procedure"):
            if examined := codes(resource.get("code"), known.EXAMINATION):
                return "examination", self._examined(entry, examined[0])
            if told := codes(resource.get("code"), known.INCIDENT):
                return "incident", self._told(resource, told[0])
        return "care_note", note_care(self._care, entry, self._references)

    def add_request(self, entry: Entry) -> tuple[str, Note]:
        """A ServiceRequest: the laboratory's questions when it is coded so, else care."""
        resource = entry.resource
        if known.EXAMINATION_REQUEST not in codes(resource.get("code"), known.EXAMINATION):
            return "care_note", self._care.write("notes", line_of(entry))
        asked = [
            *notes_text(resource),
            *(said for each in objects(resource.get("reasonCode")) if (said := concept_text(each))),
        ]
        requester = text(first(resource.get("requester")).get("display"))
        if requester is not None:
            self._examination.put("requested_by", requester[:LINE])
        return "examination", self._examination.write("examination_request", "\n".join(asked) or None)

    def add_sample(self, entry: Entry) -> tuple[str, Note]:
        """A Specimen of an examination request."""
        taken = first(entry.resource.get("collection"))
        sample = self._part(
            Sample,
            site=concept_text(taken.get("bodySite")) or concept_text(entry.resource.get("type")),
            taken_at=moment(taken.get("collectedDateTime")),
            collected_by=self._who(taken.get("collector"), entry),
            packaging=next((concept_text(each.get("type")) for each in objects(entry.resource.get("container"))), None),
        )
        return "examination", self._examination.add("samples", sample, most=_SAMPLES)

    def _examined(self, entry: Entry, code: str) -> Note:
        resource = entry.resource
        if code == known.MEDICO_LEGAL_EXAMINATION and entry.type == "Procedure":
            return self._performed(entry)
        if code not in known.EXAMINATION_FIELDS or entry.type == "Procedure":
            return "unknown-code"
        field, kind = known.EXAMINATION_FIELDS[code]
        if kind == "injury":
            injury = self._part(
                Injury,
                site=concept_text(resource.get("bodySite")),
                description="\n".join([*_said(resource), *notes_text(resource)]) or None,
                **{name: _component(resource, f"injury-{name}") for name in ("size", "type", "colour", "age")},
            )
            return self._examination.add(field, injury, most=_INJURIES)
        if kind == "sample":
            missed = self._part(Sample, site=concept_text(resource.get("bodySite")), reason_not_taken=_value(resource))
            return self._examination.add(field, missed, most=_SAMPLES)
        return _put(self._examination, field, kind, resource)

    def _performed(self, entry: Entry) -> Note:
        done = entry.resource
        period = first(done.get("performedPeriod"))
        performer = first(done.get("performer"))
        found = {
            "started_at": moment(period.get("start")) or moment(done.get("performedDateTime")),
            "ended_at": moment(period.get("end")),
            "examiner_name": self._who(performer.get("actor"), entry),
            "examiner_designation": concept_text(performer.get("function")),
        }
        given = {field: value for field, value in found.items() if value is not None}
        if not given:
            return "empty"
        if any(field in self._examination.fields for field in given):
            return "said-twice"
        if any(isinstance(value, str) and len(value) > LINE for value in given.values()):
            return "too-long"
        self._examination.fields.update(given)
        return None

    def _told(self, resource: Json, code: str) -> Note:
        if code not in known.INCIDENT_FIELDS:
            return "unknown-code"
        field, kind = known.INCIDENT_FIELDS[code]
        if kind == "time":
            return self._occurred(resource)
        if kind == "gbvims":
            value = next(
                (each for each in codes(resource.get("valueCodeableConcept"), known.GBVIMS) if each in _GBVIMS), None
            )
            return self._incident.put(field, value)
        if kind == "accused":
            names = ("name", "relationship")
            parts: dict[str, Any] = {name: _component(resource, f"accused-{name}") for name in names}
            accused = self._part(Accused, description=_value(resource), **parts)
            return self._incident.add(field, accused, most=_ACCUSED)
        return _put(self._incident, field, kind, resource)

    def _occurred(self, resource: Json) -> Note:
        period = first(resource.get("valuePeriod"))
        begin = span(resource.get("valueDateTime") or period.get("start"))
        end = span(period.get("end"))
        if begin is None:
            return "unreadable-value"
        if "occurred_at" in self._incident.fields:
            return None if self._incident.fields["occurred_at"] == begin[0] else "said-twice"
        self._incident.fields["occurred_at"] = begin[0]
        if begin[0] != begin[1]:  # a day, not an instant: the clocks count from its beginning
            self._incident.fields["time_certainty"] = "approximate"
        if end is not None and end[1] >= begin[0]:
            self._incident.fields["occurred_until"] = end[1]
        return None

    def _who(self, reference: Any, entry: Entry) -> str | None:
        display = text(first(reference).get("display"))
        found = self._references.resource(reference, source=entry, kind="Practitioner")
        return display or (name_text(first(found.get("name"))) if found else None)

    @staticmethod
    def _part(model: type[Part], **fields: Any) -> Part | None:
        given = {name: value for name, value in fields.items() if value is not None}
        try:
            return model.model_validate(given) if given else None
        except ValidationError:  # a text longer than its field
            return None


def _said(resource: Json) -> list[str]:
    return [said] if (said := value_text(resource)) else []


def _value(resource: Json) -> str | None:
    return (
        value_text(resource)
        or concept_text(resource.get("dataAbsentReason"))
        or "\n".join(notes_text(resource))
        or None
    )


def _component(resource: Json, code: str) -> str | None:
    for component in objects(resource.get("component")):
        for system in (known.EXAMINATION, known.INCIDENT):
            if code in codes(component.get("code"), system):
                return value_text(component)
    return None


def _put(notebook: Notebook, field: str, kind: str, resource: Mapping[str, Any]) -> Note:
    if kind == "flag":
        value = resource.get("valueBoolean")
        return notebook.put(field, value if isinstance(value, bool) else None)
    said = _value(resource)
    if kind == "lines":
        return notebook.add(field, said, most=_LINES)
    if kind == "line":
        return notebook.put(field, said)
    return notebook.write(field, said) if said is None or len(said) <= PARAGRAPH else "too-long"
