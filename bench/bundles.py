"""The FHIR Bundle that is measured: a visit in eight resources, some 6.5 KB, made of the example and two more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples" / "bundles" / "arrival.json"
TAKEN = ("Patient", "Encounter", "Observation", "ServiceRequest", "Consent", "Consent")


def visit() -> dict[str, Any]:
    """A transaction Bundle of Patient, Encounter, two Consents, Condition, Observation, ServiceRequest and
    DocumentReference. Every `{run}` in it is to be replaced by what no other visit has."""
    example = json.loads(EXAMPLE.read_text().replace("42101-0000000-0", "42101-{run}-0"))
    left, entries = list(TAKEN), []
    for entry in example["entry"]:
        if entry["resource"]["resourceType"] in left:
            left.remove(entry["resource"]["resourceType"])
            entries.append(entry)
    patient, encounter = entries[0]["fullUrl"], entries[1]["fullUrl"]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [*entries, _posted(_condition(patient, encounter)), _posted(_document(patient, encounter))],
    }


def _posted(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def _condition(patient: str, encounter: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "clinicalStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "verificationStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
        "code": {"text": "Bruise of the left forearm (invented)"},
        "subject": {"reference": patient},
        "encounter": {"reference": encounter},
        "recordedDate": "2026-11-01T10:00:00+05:00",
    }


def _document(patient: str, encounter: str) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"text": "Photograph of the register's page (invented)"},
        "subject": {"reference": patient},
        "context": {"encounter": [{"reference": encounter}]},
        "content": [{"attachment": {"contentType": "text/plain", "title": "invented", "data": "aW52ZW50ZWQ="}}],
    }


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
