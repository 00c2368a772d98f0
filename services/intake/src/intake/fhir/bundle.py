"""`parse`: from bytes to a checked R4 transaction of which the visit and its patient are known."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intake.fhir.bindings import RESOURCE_TYPES
from intake.fhir.elements import Json, first, text
from intake.fhir.reading import canonical_of, read
from intake.fhir.references import Entry, References, is_local
from intake.fhir.refusals import Issue, NotUsable, TooManyEntries, WrongFormat, at_entry
from intake.fhir.validation import READ, faults, other_version
from intake.fhir.visit import patient_of, visit_of

MOST_ENTRIES = 2_000
_VERSION = re.compile(r";\s*fhirversion\s*=\s*\"?([^;\"\s]*)", re.IGNORECASE)
_R4 = re.compile(r"4\.0(\.[0-9]+)?")
_RESOURCE = {"resourceType", "id", "_id", "meta", "implicitRules", "_implicitRules", "language", "_language"}
_IN_BUNDLE = _RESOURCE | {"identifier", "type", "_type", "timestamp", "_timestamp", "total", "_total", "link"}
_IN_BUNDLE |= {"entry", "signature"}
_IN_ENTRY = {"id", "_id", "extension", "modifierExtension", "link", "fullUrl", "_fullUrl", "resource", "search"}
_IN_ENTRY |= {"request", "response"}
# Where a resource says which encounter it belongs to.
ENCOUNTER_ELEMENT: Mapping[str, str] = {"MedicationAdministration": "context", "MedicationStatement": "context"}


@dataclass(frozen=True)
class ParsedBundle:
    """A checked transaction. `canonical` is for the idempotency HMAC; `patient` is None for an unknown person."""

    entries: tuple[Entry, ...]
    visit: Entry
    patient: Entry | None
    references: References
    canonical: bytes


def check_media_type(content_type: str) -> None:
    """Raises WrongFormat when a Content-Type's `fhirVersion` parameter names another version than 4.0."""
    named = _VERSION.search(content_type)
    if named is not None and _R4.fullmatch(named[1]) is None:
        raise WrongFormat(
            [Issue("not-supported", "fhir-version", "The Content-Type names another FHIR version; R4 (4.0) is taken.")]
        )


def parse(body: bytes) -> ParsedBundle:
    """Reads and checks a transaction Bundle. Bound to the CPU: call it off the event loop (`parse_off_loop`).

    Raises:
        Unreadable: see `reading.read`.
        TooManyEntries: more than 2,000.
        NotUsable: not an R4 transaction; a duplicate fullUrl; a resource that is not valid R4; no visit, or several.
    """
    value = read(body)
    _check_bundle(value)
    written: list[Any] = value.get("entry") or []
    if len(written) > MOST_ENTRIES:
        raise TooManyEntries(
            [Issue("too-costly", "too-many-entries", f"A bundle may hold {MOST_ENTRIES:,} entries.", "Bundle.entry")]
        )
    issues: list[Issue] = []
    entries = [entry for index, each in enumerate(written) if (entry := _entry(index, each, issues)) is not None]
    _refuse(issues)
    _refuse(_other_versions(entries))
    _refuse(_duplicates(entries))
    for entry in entries:
        if entry.type in READ:
            issues += faults(dict(entry.resource), at_entry(entry.index))
    _refuse(issues)
    references = References(entries)
    visit = visit_of(entries)
    patient = patient_of(entries, visit, references)
    _refuse(_dangling(entries, references))
    _refuse(_unknown_modifiers(visit, patient))
    return ParsedBundle(tuple(entries), visit, patient, references, canonical_of(value))


def _refuse(issues: Sequence[Issue]) -> None:
    if issues:
        raise NotUsable(issues)


def _check_bundle(value: Json) -> None:
    if value.get("resourceType") != "Bundle":
        _refuse([Issue("not-supported", "not-a-bundle", "Only a transaction Bundle is taken here.")])
    if "issues" in value:
        _refuse([_version_issue("R5", "Bundle")])
    if value.get("type") != "transaction":
        _refuse(
            [Issue("not-supported", "not-a-transaction", "Only Bundles of type transaction are taken.", "Bundle.type")]
        )
    if value.get("implicitRules") is not None:
        _refuse(
            [Issue("not-supported", "implicit-rules", "Implicit rules are not followed here.", "Bundle.implicitRules")]
        )
    _refuse(_unknown_names(value, _IN_BUNDLE, "Bundle"))
    entries = value.get("entry")
    if not isinstance(entries, list) or not entries:
        _refuse([Issue("required", "no-entries", "The bundle holds no entries.", "Bundle.entry")])


def _entry(index: int, value: Any, issues: list[Issue]) -> Entry | None:
    place = f"Bundle.entry[{index}]"
    if not isinstance(value, Mapping):
        issues.append(Issue("structure", "not-r4", "The entry is not an object.", place))
        return None
    issues += _unknown_names(value, _IN_ENTRY, place)
    request = first(value.get("request"))
    method = request.get("method")
    if method not in ("POST", "PUT"):
        said = "Each entry of a transaction needs a request; only POST and PUT are done here."
        issues.append(Issue("not-supported" if method else "required", "request", said, f"{place}.request"))
        return None
    if request.get("ifMatch") is not None:
        said = "A version-aware update is not done here."
        issues.append(Issue("not-supported", "if-match", said, f"{place}.request.ifMatch"))
    resource = value.get("resource")
    kind = resource.get("resourceType") if isinstance(resource, Mapping) else None
    if not isinstance(resource, Mapping) or not isinstance(kind, str) or kind not in RESOURCE_TYPES:
        said = "The entry holds no resource of a type that FHIR R4 has."
        issues.append(Issue("structure", "not-a-resource", said, f"{place}.resource"))
        return None
    url, full_url = request.get("url"), value.get("fullUrl")
    if not isinstance(url, str) or re.split(r"[/?]", url, maxsplit=1)[0] != kind:
        said = "The request's url does not name the resource's type."
        issues.append(Issue("invariant", "request-url", said, f"{place}.request.url"))
    if full_url is not None and text(full_url) is None:
        issues.append(Issue("value", "not-r4", "The fullUrl is not a text.", f"{place}.fullUrl"))
    return Entry(index, text(full_url), kind, resource)


def _unknown_names(value: Json, known: set[str], place: str) -> list[Issue]:
    if value.keys() <= known:
        return []
    return [Issue("structure", "not-r4", "It holds an element that FHIR R4 does not have here.", place)]


def _version_issue(version: str, place: str) -> Issue:
    said = f"This looks like FHIR {version}; only R4 (4.0.1) is taken."
    return Issue("not-supported", "fhir-version", said, place)


def _other_versions(entries: Sequence[Entry]) -> list[Issue]:
    return [
        _version_issue(version, at_entry(entry.index))
        for entry in entries
        if (version := other_version(entry.resource)) is not None
    ]


def _duplicates(entries: Sequence[Entry]) -> list[Issue]:
    issues = []
    urls: set[str] = set()
    ids: set[tuple[str, str]] = set()
    for entry in entries:
        place = f"Bundle.entry[{entry.index}]"
        if entry.full_url is not None and entry.full_url in urls:
            issues.append(Issue("duplicate", "full-url-twice", "Two entries have one fullUrl.", f"{place}.fullUrl"))
        urls |= {entry.full_url} if entry.full_url else set()
        identity = (entry.type, text(entry.resource.get("id")) or "")
        if identity[1] and identity in ids:
            issues.append(Issue("duplicate", "id-twice", "Two resources have one type and id.", f"{place}.resource.id"))
        ids.add(identity)
    return issues


def _dangling(entries: Sequence[Entry], references: References) -> list[Issue]:
    """References to an encounter that must stand in this bundle and does not: silence would lose what belongs here."""
    issues = []
    for entry in entries:
        element = ENCOUNTER_ELEMENT.get(entry.type, "encounter")
        reference = entry.resource.get(element)
        if entry.type in READ and is_local(reference) and references.find(reference, source=entry) is None:
            said = "The encounter that this refers to is not in the bundle."
            issues.append(Issue("not-found", "dangling-reference", said, at_entry(entry.index, element)))
    return issues


def _unknown_modifiers(visit: Entry, patient: Entry | None) -> list[Issue]:
    return [
        Issue(
            "extension",
            "modifier",
            "A modifier that is not known here could change what this means.",
            at_entry(e.index),
        )
        for e in (visit, patient)
        if e is not None and has_modifier(e.resource)
    ]


def has_modifier(resource: Json) -> bool:
    """Whether anything in the resource says that it must not be read without understanding a modifier unknown here."""
    waiting: list[Any] = [resource]
    if resource.get("implicitRules") is not None:
        return True
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if node.get("modifierExtension"):
                return True
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return False
