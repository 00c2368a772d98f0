"""`to_new_case`: from a checked bundle to the case that a hospital would have posted as JSON."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from amanat.categories import Category
from amanat.consent import GrantTerms
from amanat.contracts.records import SafeContact
from amanat.directory import Directory
from intake.fhir import codes as known
from intake.fhir.bundle import ENCOUNTER_ELEMENT, ParsedBundle, has_modifier
from intake.fhir.clinical import ClinicalRecords
from intake.fhir.consents import CLOCK_SKEW, Consented, ConsentReader
from intake.fhir.elements import codes, first, moment, objects, words
from intake.fhir.outcomes import Outcome
from intake.fhir.person import PersonBuilder, guardian_is_accused, keys_of, safe_contact
from intake.fhir.references import Entry
from intake.schemas import NewCase, Recipient

_MOST = 20  # consents, and referrals, of one case; as in NewCase
_CLINICAL = words(
    """
    Condition Observation Procedure MedicationRequest MedicationAdministration MedicationStatement
    DiagnosticReport Immunization AllergyIntolerance ServiceRequest CarePlan ImagingStudy ClinicalImpression
    """
)
_NO_FACT = words(
    """
    entered-in-error cancelled not-done draft planned registered preparation revoked not-taken intended
    """
)
_NO_CONDITION = frozenset({"refuted", "entered-in-error"})


@dataclass(frozen=True)
class MappedBundle:
    """A case to open, or to add to; what the case is known by; and what became of each entry, in their order.

    `patient_identifiers` and `encounter_identifiers` are `system|value`, the steadiest first: a case that bears one of
    each is the same visit. `consents` are the entries that are kept as one, by index, with what each gave.
    """

    case: NewCase
    patient_identifiers: tuple[str, ...]
    encounter_identifiers: tuple[str, ...]
    entries: tuple[Outcome, ...]
    consents: tuple[tuple[int, Consented], ...] = ()

    def for_known_case(self) -> "MappedBundle":
        """What may be added to a case that is open already.

        A consent without a date is left out: it cannot be told from one that she has withdrawn since, and recorded as
        of now it would revive it.
        """
        undated = {index for index, consented in self.consents if not consented.dated}
        kept = tuple(each for each in self.consents if each[0] not in undated)
        terms = tuple(terms for _, consented in kept for terms in consented.terms)
        entries = tuple(entry.dropped("consent-undated") if entry.index in undated else entry for entry in self.entries)
        return replace(self, case=self.case.model_copy(update={"consents": terms}), entries=entries, consents=kept)

    def without_withdrawn(self, withdrawn: Callable[[GrantTerms], frozenset[Category]]) -> "MappedBundle":
        """What the sender is told of consents that she has taken back since, in whole or in part."""
        told: dict[int, Callable[[str], Outcome]] = {}
        for index, consented in self.consents:
            entry = next(entry for entry in self.entries if entry.index == index)
            gone = [withdrawn(terms) for terms in consented.terms]
            if all(terms.categories <= left for terms, left in zip(consented.terms, gone, strict=True)):
                told[index] = entry.dropped
            elif any(gone):
                told[index] = entry.noted
        entries = (
            told[entry.index]("consent-withdrawn-since") if entry.index in told else entry for entry in self.entries
        )
        return replace(self, entries=tuple(entries))


def to_new_case(parsed: ParsedBundle, directory: Directory, cell: str, now: datetime) -> MappedBundle:
    """Maps a checked bundle to a case of `cell`. Pure; 2,000 entries take some tens of milliseconds.

    Raises:
        NotUsable: an identity that is not possible (a CNIC not of 5-7-1 digits, a birth in the future); says where.
    """
    return _Mapping(parsed, directory, cell, now).done()


class _Mapping:
    def __init__(self, parsed: ParsedBundle, directory: Directory, cell: str, now: datetime) -> None:
        self._parsed, self._cell, self._now = parsed, cell, now
        self._person = PersonBuilder(now)
        self._records = ClinicalRecords(parsed.references)
        self._reader = ConsentReader(directory, cell, parsed.patient, parsed.references, now)
        self._consents: list[tuple[int, Consented]] = []
        self._referrals: dict[tuple[str, str], Recipient] = {}
        self._presented_at: datetime | None = None
        self._contact: SafeContact | None = None
        self._requests = {entry.index for entry in parsed.entries if self._is_examination_request(entry)}

    def done(self) -> MappedBundle:
        entries = tuple(self._outcome(entry) for entry in self._parsed.entries)
        patient = self._parsed.patient
        case = NewCase(
            cell=self._cell,
            presented_at=self._presented_at,
            person=self._person.build(),
            contact=self._contact,
            incident=self._records.incident,
            examination=self._records.examination,
            care=self._records.care,
            guardian_is_accused=patient is not None and guardian_is_accused(patient),
            consents=tuple(terms for _, consented in self._consents for terms in consented.terms),
            referrals=tuple(self._referrals.values()),
        )
        visit = keys_of(self._parsed.visit)
        return MappedBundle(case, keys_of(patient), visit, entries, tuple(self._consents))

    def _outcome(self, entry: Entry) -> Outcome:
        if entry == self._parsed.visit:
            return self._visit(entry)
        if entry == self._parsed.patient:
            return self._patient(entry)
        if entry.type == "Consent":
            return self._consent(entry)
        note = self._left_out(entry)
        return self._kept(entry) if note is None else Outcome(entry.index, None, (note,))

    def _kept(self, entry: Entry) -> Outcome:
        if entry.type == "ServiceRequest":
            return self._request(entry)
        if entry.type == "RelatedPerson":
            kept_as, note = "person", None if self._person.add_guardian(entry) else "kind-not-kept"
        elif entry.type == "Specimen":
            kept_as, note = self._records.add_sample(entry)
        else:
            kept_as, note = self._records.add(entry)
        if note is not None:
            return Outcome(entry.index, None, (note,))
        return Outcome(entry.index, kept_as, ("attachment-left-out",) if entry.resource.get("presentedForm") else ())

    def _visit(self, entry: Entry) -> Outcome:
        self._person.add_mlc_number(entry)
        written = first(entry.resource.get("period")).get("start")
        begun = moment(written)
        if begun is not None and begun <= self._now + CLOCK_SKEW:
            self._presented_at = begun
        return Outcome(entry.index, "case", () if written is None or self._presented_at else ("time-left-out",))

    def _patient(self, entry: Entry) -> Outcome:
        notes = self._person.add_patient(entry)
        self._contact = safe_contact(entry)
        return Outcome(entry.index, "person", tuple(notes))

    def _consent(self, entry: Entry) -> Outcome:
        consented = self._reader.read(entry)
        if not consented.terms:
            return Outcome(entry.index, None, (consented.note or "empty",))
        if sum(len(each.terms) for _, each in self._consents) + len(consented.terms) > _MOST:
            return Outcome(entry.index, None, ("consent-too-many",))
        self._consents.append((entry.index, consented))
        return Outcome(entry.index, "consent", (consented.note,) if consented.note else ())

    def _request(self, entry: Entry) -> Outcome:
        self._person.add_mlc_number(entry)
        notes: list[str] = []
        asked = False
        for performer in objects(entry.resource.get("performer")):
            recipient = self._reader.recipient(performer, entry)
            if recipient is None:
                notes.append("unknown-recipient")
            elif recipient not in self._referrals and len(self._referrals) >= _MOST:
                notes.append("too-long")
            else:
                agency, organisation = recipient
                self._referrals[recipient] = Recipient.model_validate({"agency": agency, "organisation": organisation})
                asked = True
        kept_as, note = self._records.add_request(entry)
        if note is None:
            return Outcome(entry.index, kept_as, tuple(dict.fromkeys(notes)))
        return Outcome(entry.index, "referral" if asked else None, tuple(dict.fromkeys([note, *notes])))

    def _left_out(self, entry: Entry) -> str | None:
        """Why an entry is none of the visit's; None when it is."""
        resource = entry.resource
        if entry.type == "Specimen":
            if not any(self._names(each, entry, self._requests) for each in objects(resource.get("request"))):
                return "no-visit-sample"
        elif entry.type in _CLINICAL:
            visit = {self._parsed.visit.index}
            if not self._names(resource.get(ENCOUNTER_ELEMENT.get(entry.type, "encounter")), entry, visit):
                return "outside-the-visit"
        elif entry.type != "RelatedPerson":
            return "outside-the-visit" if entry.type in ("Encounter", "Patient") else "kind-not-kept"
        return self._not_hers(entry) or self._no_fact(entry)

    def _not_hers(self, entry: Entry) -> str | None:
        element = next((name for name in ("subject", "patient") if entry.resource.get(name) is not None), None)
        if element is None:
            return None
        hers = set() if self._parsed.patient is None else {self._parsed.patient.index}
        return None if self._names(entry.resource[element], entry, hers) else "other-person"

    @staticmethod
    def _no_fact(entry: Entry) -> str | None:
        resource = entry.resource
        if has_modifier(resource):
            return "modifier"
        unverified = _NO_CONDITION.intersection(codes(resource.get("verificationStatus"), *_VERIFICATIONS))
        return (
            "not-a-fact" if unverified or resource.get("status") in _NO_FACT or resource.get("doNotPerform") else None
        )

    def _names(self, reference: object, entry: Entry, indexes: set[int]) -> bool:
        return self._parsed.references.find(reference, source=entry) in indexes

    def _is_examination_request(self, entry: Entry) -> bool:
        return (
            entry.type == "ServiceRequest"
            and known.EXAMINATION_REQUEST in codes(entry.resource.get("code"), known.EXAMINATION)
            and self._left_out(entry) is None
        )


_VERIFICATIONS = (known.VERIFICATION, "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification")
