"""Patient (and a guardian's RelatedPerson) → Person, SafeContact, and the identifiers that a case is known by."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from amanat.contracts.records import Person, SafeContact
from intake.fhir import codes as known
from intake.fhir.elements import (
    LOCAL,
    Json,
    address_text,
    codes,
    extension,
    first,
    identifier_key,
    name_text,
    objects,
    span,
    text,
)
from intake.fhir.references import Entry
from intake.fhir.refusals import Issue, NotUsable, at_entry

_FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAME_USES = ("official", "usual", None)
_ADDRESS_USES = ("home", "temp", None)
_TRANSGENDER = frozenset({"transgender-female", "transgender-male"})
_CONTACT_PARTS = (("channel", "channel"), ("safeHours", "safe_hours"), ("codeWord", "code_word"), ("doNot", "do_not"))


class PersonBuilder:
    """Gathers identity from several resources, and remembers where each part stood."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._fields: dict[str, Any] = {}
        self._places: dict[str, str] = {}

    def put(self, field: str, value: Any, place: str) -> None:
        """Keeps the first value that is given for a field."""
        if value is not None and field not in self._fields:
            self._fields[field] = value
            self._places[field] = place

    def build(self) -> Person | None:
        """The person; None when nothing is known. Raises NotUsable where a part is not possible."""
        if not self._fields:
            return None
        # Today as late as it is anywhere, as for a case that is posted as JSON.
        today = (self._now + timedelta(hours=14)).date()
        try:
            return Person.model_validate(self._fields, context={"today": today})
        except ValidationError as error:
            raise NotUsable(_issues(error, self._places)) from None

    def add_patient(self, entry: Entry) -> list[str]:
        """Takes what a Patient says of herself; answers the notes on what was left out."""
        patient, notes = entry.resource, []
        position, name = preferred(patient.get("name"), _NAME_USES)
        self.put("full_name", name_text(name), at_entry(entry.index, f"name[{position}]"))
        position, address = preferred(patient.get("address"), _ADDRESS_USES)
        self.put("address", address_text(address), at_entry(entry.index, f"address[{position}]"))
        self._add_identifiers(entry)
        notes += self._add_birth(entry) + self._add_gender(entry)
        for index, contact in enumerate(objects(patient.get("contact"))):
            self._add_contact(
                codes(contact.get("relationship"), known.ROLE), contact, at_entry(entry.index, f"contact[{index}]")
            )
        if any(extension(point, known.SAFE_CONTACT) is None for point in objects(patient.get("telecom"))):
            notes.append("telecom-left-out")
        if patient.get("photo"):
            notes.append("attachment-left-out")
        return notes

    def add_guardian(self, entry: Entry) -> bool:
        """Takes a RelatedPerson who is her guardian; False when this is another relative."""
        person = entry.resource
        if not is_guardian(person):
            return False
        self.put("guardian_name", name_text(first(person.get("name"))), at_entry(entry.index, "name"))
        for index, identifier in enumerate(objects(person.get("identifier"))):
            if is_cnic(identifier):
                place = at_entry(entry.index, f"identifier[{index}].value")
                self.put("guardian_cnic", text(identifier.get("value")), place)
        return True

    def add_mlc_number(self, entry: Entry) -> None:
        """Takes the MLC number, on whatever of the visit's resources it stands."""
        for index, identifier in enumerate(objects(entry.resource.get("identifier"))):
            if text(identifier.get("system")) == known.MLC_NUMBER:
                place = at_entry(entry.index, f"identifier[{index}].value")
                self.put("mlc_number", text(identifier.get("value")), place)

    def _add_identifiers(self, entry: Entry) -> None:
        for index, identifier in enumerate(objects(entry.resource.get("identifier"))):
            if identifier.get("use") == "old":
                continue
            place = at_entry(entry.index, f"identifier[{index}].value")
            if is_cnic(identifier):
                self.put("cnic", text(identifier.get("value")), place)
            elif "MR" in codes(identifier.get("type"), known.IDENTIFIER_TYPE):
                self.put("hospital_record_number", text(identifier.get("value")), place)
        self.add_mlc_number(entry)

    def _add_birth(self, entry: Entry) -> list[str]:
        written = text(entry.resource.get("birthDate"))
        place = at_entry(entry.index, "birthDate")
        if written is None:
            return []
        if _FULL_DATE.fullmatch(written):
            self.put("birth_date", written, place)
            return []
        meant = span(written)
        if meant is None or meant[0] > self._now:
            raise NotUsable([Issue("value", "not-possible", "The value is not possible here.", place)])
        # The youngest that she can be: a child who may be one is treated as one.
        last, today = (meant[1] - timedelta(days=1)).astimezone(LOCAL), self._now.astimezone(LOCAL)
        age = today.year - last.year - ((today.month, today.day) < (last.month, last.day))
        self.put("age_years_stated", max(age, 0), place)
        return ["birth-date-partial"]

    def _add_gender(self, entry: Entry) -> list[str]:
        gender = text(entry.resource.get("gender"))
        identity = extension(entry.resource, known.GENDER_IDENTITY) or {}
        place = at_entry(entry.index, "gender")
        if _TRANSGENDER.intersection(codes(identity.get("valueCodeableConcept"), known.GENDER_IDENTITIES)):
            self.put("gender", "transgender", place)
        elif gender == "other":
            self.put("gender", "unknown", place)
            return ["gender-other"]
        else:
            self.put("gender", gender, place)
        return []

    def _add_contact(self, roles: Sequence[str], contact: Json, place: str) -> None:
        name = name_text(first(contact.get("name")))
        if "GUARD" in roles:
            self.put("guardian_name", name, f"{place}.name")
        elif {"FTH", "NFTH", "HUSB"}.intersection(roles):
            self.put("father_or_husband_name", name, f"{place}.name")


def preferred(value: Any, uses: Sequence[str | None]) -> tuple[int, Json]:
    """The position and content of the first element of the most wanted use; an empty one when none is wanted."""
    found = list(enumerate(objects(value)))
    for use in uses:
        for position, each in found:
            if each.get("use") == use and "end" not in first(each.get("period")):
                return position, each
    return 0, {}


def is_cnic(identifier: Json) -> bool:
    """Whether an identifier is a CNIC or B-Form number: by its system, or by HL7's type for Pakistan's number."""
    by_type = "NNPAK" in codes(identifier.get("type"), known.IDENTIFIER_TYPE)
    return by_type or text(identifier.get("system")) in known.CNIC


def is_guardian(person: Json) -> bool:
    """Whether a RelatedPerson is said to be the guardian, and still is; being a parent or husband is not enough."""
    return "GUARD" in codes(person.get("relationship"), known.ROLE) and person.get("active") is not False


def safe_contact(entry: Entry) -> SafeContact | None:
    """The telephone that she marked as safe; None for none. Raises NotUsable where a part is not possible."""
    for index, point in enumerate(objects(entry.resource.get("telecom"))):
        marked = extension(point, known.SAFE_CONTACT)
        if marked is None:
            continue
        parts = {text(part.get("url")): part for part in objects(marked.get("extension"))}
        fields = {
            field: text(parts.get(url, {}).get("valueCode")) or text(parts.get(url, {}).get("valueString"))
            for url, field in _CONTACT_PARTS
        }
        fields["number"] = text(point.get("value"))
        place = at_entry(entry.index, f"telecom[{index}]")
        try:
            return SafeContact.model_validate({name: value for name, value in fields.items() if value is not None})
        except ValidationError as error:
            raise NotUsable(_issues(error, dict.fromkeys(fields, place))) from None
    return None


def guardian_is_accused(entry: Entry) -> bool:
    """Whether the Patient's extension says that her guardian is the accused."""
    return (extension(entry.resource, known.GUARDIAN_IS_ACCUSED) or {}).get("valueBoolean") is True


def keys_of(entry: Entry | None) -> tuple[str, ...]:
    """The identifiers that a resource is known by, the steadiest first; temporary and old ones are none."""
    identifiers = [
        each
        for each in objects(entry.resource.get("identifier") if entry is not None else None)
        if each.get("use") not in ("temp", "old")
    ]

    def rank(identifier: Json) -> int:
        return 0 if "MR" in codes(identifier.get("type"), known.IDENTIFIER_TYPE) else 1 if is_cnic(identifier) else 2

    keys = [identifier_key(each) for each in sorted(identifiers, key=rank)]
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def _issues(error: ValidationError, places: Mapping[str, str]) -> list[Issue]:
    return [
        Issue("value", "not-possible", "The value is not possible here.", places.get(str(first_step)))
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
        for first_step in fault["loc"][:1]
    ]
