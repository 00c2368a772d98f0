"""Which Encounter is the visit, and who its patient is.

Source: DESIGN, "FHIR intake": the one Encounter in-progress or arrived, else the latest EMER by period.start, else the
sender has to choose.
"""

from collections.abc import Sequence
from datetime import datetime

from intake.fhir.elements import codings, first, span
from intake.fhir.references import Entry, References
from intake.fhir.refusals import Issue, NotUsable, at_entry

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_NOW = frozenset({"in-progress", "arrived"})
_NEVER = frozenset({"planned", "cancelled", "entered-in-error"})


def visit_of(entries: Sequence[Entry]) -> Entry:
    """The entry of the visit.

    Raises:
        NotUsable: there is none, or more than one could be meant; names the entries' places.
    """
    encounters = [entry for entry in entries if entry.type == "Encounter"]
    if not encounters:
        raise NotUsable([Issue("required", "no-visit", "The bundle holds no Encounter; one is needed as the visit.")])
    present = [entry for entry in encounters if entry.resource.get("status") in _NOW]
    if present:
        return _only(present, "More than one Encounter is in-progress or arrived; send the one that is the visit.")
    emergencies = [
        (begun, entry)
        for entry in encounters
        if entry.resource.get("status") not in _NEVER and _is_emergency(entry)
        for begun in [_begun(entry)]
    ]
    if not emergencies:
        raise NotUsable(
            [
                Issue(
                    "business-rule",
                    "no-visit",
                    "No Encounter is in-progress or arrived, and none is of class EMER; mark the visit.",
                    at_entry(entry.index, "status"),
                )
                for entry in encounters
            ]
        )
    dated = [(begun, entry) for begun, entry in emergencies if begun is not None]
    latest = max((begun for begun, _ in dated), default=None)
    last = [entry for begun, entry in emergencies if begun == latest]
    return _only(last, "More than one EMER Encounter could be the latest by period.start; mark the visit in-progress.")


def _is_emergency(entry: Entry) -> bool:
    # Older senders leave out the system, of which only one has such a code.
    return any(system in (ACT, None) and code == "EMER" for system, code in codings(entry.resource.get("class")))


def _begun(entry: Entry) -> datetime | None:
    start = span(first(entry.resource.get("period")).get("start"))
    return None if start is None else start[0]


def _only(entries: Sequence[Entry], choice: str) -> Entry:
    if len(entries) > 1:
        raise NotUsable(
            [Issue("multiple-matches", "which-visit", choice, at_entry(entry.index, "status")) for entry in entries]
        )
    return entries[0]


def patient_of(entries: Sequence[Entry], visit: Entry, references: References) -> Entry | None:
    """The Patient whose visit it is; None when the bundle has no Patient and the visit names none: care never waits.

    Raises:
        NotUsable: the visit's subject is not a Patient of this bundle, or none of several Patients is named by it.
    """
    patients = [entry for entry in entries if entry.type == "Patient"]
    place = at_entry(visit.index, "subject")
    if visit.resource.get("subject") is None:
        if len(patients) > 1:
            raise NotUsable([Issue("required", "which-patient", "The visit must name its patient.", place)])
        return patients[0] if patients else None
    index = references.find(visit.resource["subject"], source=visit)
    if index is None or entries[index].type != "Patient":
        raise NotUsable([Issue("not-found", "no-patient", "The visit's patient is not in the bundle.", place)])
    return entries[index]
