"""Consent → GrantTerms.

Source: DESIGN, "FHIR intake": a Consent grants only when active, in its period, `provision.type` permit, with a known
recipient as actor, a purpose and a data class. It also grants nothing when it is narrowed in a way that a grant here
cannot express: a wider grant than the one that she gave would be worse than none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from amanat.categories import OUTSIDE, Agency
from amanat.consent import GrantTerms
from amanat.consent.terms import Decider
from amanat.directory import Directory
from intake.fhir import codes as known
from intake.fhir.bundle import has_modifier
from intake.fhir.elements import Json, codes, concept_text, extension, first, name_text, objects, span, text
from intake.fhir.person import is_guardian
from intake.fhir.references import Entry, References

CLOCK_SKEW = timedelta(minutes=5)  # the same that a consent sent as JSON may lie ahead
_NARROWING = ("securityLabel", "code", "dataPeriod", "data", "provision")
_DECISIONS = ("consent", "assent", "written_assent")


@dataclass(frozen=True)
class Consented:
    """What one Consent gives: terms for each recipient, or the note why none; `dated` tells whether it says when."""

    terms: tuple[GrantTerms, ...] = ()
    note: str | None = None
    dated: bool = False


class _GrantsNothing(Exception):
    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note


@dataclass(frozen=True)
class ConsentReader:
    """Whose visit it is, and who could be granted anything at this cell."""

    directory: Directory
    cell: str
    patient: Entry | None
    references: References
    now: datetime

    def read(self, entry: Entry) -> Consented:
        """The terms of one Consent. Never fails: what cannot be read exactly grants nothing."""
        try:
            self._check_fit(entry)
            return self._terms(entry)
        except _GrantsNothing as nothing:
            return Consented(note=nothing.note)

    def _terms(self, entry: Entry) -> Consented:
        consent, provision = entry.resource, first(entry.resource.get("provision"))
        period = first(provision.get("period"))
        given, end = span(consent.get("dateTime") or period.get("start")), span(period.get("end"))
        recipients = self._recipients(provision, entry)
        purposes = codes(provision.get("purpose"), known.PURPOSE)
        if any(self.directory.purpose(agency) not in purposes for agency, _ in recipients):
            raise _GrantsNothing("consent-purpose")
        classes = codes(provision.get("class"), known.DATA_CLASS)
        if not classes or any(each not in known.DATA_CLASSES for each in classes):
            raise _GrantsNothing("consent-data-class")
        deciders = self._deciders(entry)
        common = {
            "categories": [known.DATA_CLASSES[each] for each in classes],
            "basis": "guardian" if any(each.role == "guardian" for each in deciders) else "consent",
            "deciders": deciders,
            "given_at": min(given[0], self.now) if given else None,
            "expires_at": end[1] if end else None,
        }
        terms = []
        for agency, organisation in recipients:
            recipient = {"agency": agency, "organisation": organisation}
            try:
                terms.append(
                    GrantTerms.model_validate(
                        {**common, "recipient": recipient, "purpose": self.directory.purpose(agency)}
                    )
                )
            except ValidationError:  # what else its model refuses is an end before its beginning
                raise _GrantsNothing("consent-period") from None
        return Consented(tuple(terms), None if deciders else "consent-waits", given is not None)

    def _check_fit(self, entry: Entry) -> None:
        consent, provision = entry.resource, first(entry.resource.get("provision"))
        patient = self.references.find(consent.get("patient"), source=entry)
        elsewhere = provision.get("action") and "disclose" not in codes(provision["action"], known.CONSENT_ACTION)
        for note, unfit in (
            ("consent-status", consent.get("status") != "active"),
            ("modifier", has_modifier(consent)),
            ("consent-person", self.patient is None or patient != self.patient.index),
            ("consent-type", provision.get("type") != "permit"),
            ("consent-period", not self._in_period(consent, provision)),
            ("consent-narrowed", elsewhere or any(provision.get(name) for name in _NARROWING)),
        ):
            if unfit:
                raise _GrantsNothing(note)

    def _in_period(self, consent: Json, provision: Json) -> bool:
        for written in (consent.get("dateTime"), first(provision.get("period")).get("start")):
            begin = span(written)
            if written is not None and (begin is None or begin[0] > self.now + CLOCK_SKEW):
                return False
        written = first(provision.get("period")).get("end")
        end = span(written)
        return written is None or (end is not None and end[1] > self.now)

    def _recipients(self, provision: Json, entry: Entry) -> list[tuple[Agency, str]]:
        """All actors, each a recipient of this cell."""
        found = []
        for actor in objects(provision.get("actor")):
            recipient = self.recipient(actor.get("reference"), entry)
            if recipient is None or not known.RECIPIENT_ROLES.intersection(
                codes(actor.get("role"), known.PARTICIPATION)
            ):
                raise _GrantsNothing("consent-recipient")
            found.append(recipient)
        if not found:
            raise _GrantsNothing("consent-recipient")
        return list(dict.fromkeys(found))

    def recipient(self, reference: Any, entry: Entry) -> tuple[Agency, str] | None:
        """The directory's organisation that a Reference names by identifier, directly or through an Organization."""
        if not isinstance(reference, Mapping):
            return None
        organisation = self.references.resource(reference, source=entry, kind="Organization") or {}
        identifiers = [*objects(reference.get("identifier")), *objects(organisation.get("identifier"))]
        named = {text(each.get("value")) for each in identifiers if text(each.get("system")) == known.DIRECTORY}
        served = [
            (agency, value)
            for value in sorted(each for each in named if each)
            for agency in sorted(OUTSIDE)
            if self.directory.serves(agency, value, self.cell)
        ]
        return served[0] if len(named) == 1 and len(served) == 1 else None

    def _deciders(self, entry: Entry) -> list[Decider]:
        found = []
        for performer in objects(entry.resource.get("performer")):
            said = extension(performer, known.DECISION)
            decision = "consent" if said is None else text(said.get("valueCode"))
            if decision not in _DECISIONS:
                raise _GrantsNothing("consent-decision")
            decider = self._decider(performer, entry, decision)
            if decider is not None:
                found.append(decider)
        return found

    def _decider(self, performer: Json, entry: Entry, decision: str) -> Decider | None:
        if self.patient is not None and self.references.find(performer, source=entry) == self.patient.index:
            return _as_decider("survivor", decision, None, None)
        relative = self.references.resource(performer, source=entry, kind="RelatedPerson")
        if relative is None or not is_guardian(relative):
            return None
        if self.patient is None or self.references.find(relative.get("patient"), source=entry) != self.patient.index:
            return None
        relationship = concept_text(relative.get("relationship"))
        return _as_decider("guardian", decision, relationship, name_text(first(relative.get("name"))))


def _as_decider(
    role: Literal["survivor", "guardian"], decision: str, relationship: str | None, name: str | None
) -> Decider | None:
    fields = {"role": role, "decision": decision, "relationship": relationship, "name": name}
    try:
        return Decider.model_validate(fields)
    except ValidationError:  # a name longer than a name: whoever it is has not decided in a way that can be kept
        return None
