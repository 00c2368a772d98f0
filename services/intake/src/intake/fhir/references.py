"""Who refers to whom inside a bundle (FHIR R4, "Resolving references in Bundles")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intake.fhir.elements import Json, identifier_key, objects, text

_RESTFUL = re.compile(r"(?:(?P<base>https?://.*/)?)(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?")


@dataclass(frozen=True)
class Entry:
    """One entry of a transaction: its place in the bundle, its fullUrl, and its resource."""

    index: int
    full_url: str | None
    type: str
    resource: Json


def is_local(reference: Any) -> bool:
    """Whether the referenced must stand in the reference's own Element.reference: in this bundle and nowhere else."""
    return isinstance(value := first_reference(reference), str) and value.startswith(("urn:uuid:", "urn:oid:"))


def first_reference(reference: Any) -> str | None:
    """The text of a Reference's `reference`."""
    return text(reference.get("reference")) if isinstance(reference, Mapping) else None


class References:
    """Finds entries by what refers to them: fullUrl, `Type/id`, or a business identifier."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._by_url = {entry.full_url: entry.index for entry in entries if entry.full_url}
        self._by_id: dict[tuple[str, str], int] = {}
        for entry in entries:
            if resource_id := text(entry.resource.get("id")):
                self._by_id.setdefault((entry.type, resource_id), entry.index)

    def find(self, reference: Any, *, source: Entry) -> int | None:
        """The index of the entry that a Reference of `source` names; None when it is not in this bundle."""
        value = first_reference(reference)
        if value is None:
            return self._by_identifier(reference) if isinstance(reference, Mapping) else None
        restful = _RESTFUL.fullmatch(value)
        if value in self._by_url or restful is None:
            return self._by_url.get(value)
        path = f"{restful['type']}/{restful['id']}"
        if restful["base"]:
            return self._by_url.get(restful["base"] + path)
        # A relative reference is meant from where its own resource stands; else it can only be meant by type and id.
        own = _RESTFUL.fullmatch(source.full_url or "")
        near = self._by_url.get((own["base"] or "") + path) if own is not None else None
        return self._by_id.get((restful["type"], restful["id"])) if near is None else near

    def resource(self, reference: Any, *, source: Entry, kind: str) -> Json | None:
        """The resource of that type that a Reference names: contained in `source`, or an entry; None for neither."""
        value = first_reference(reference)
        if value is not None and value.startswith("#"):
            inside = objects(source.resource.get("contained"))
            return next(
                (each for each in inside if each.get("id") == value[1:] and each.get("resourceType") == kind), None
            )
        index = self.find(reference, source=source)
        if index is None or self._entries[index].type != kind:
            return None
        return self._entries[index].resource

    def _by_identifier(self, reference: Json) -> int | None:
        identifier, kind = reference.get("identifier"), text(reference.get("type"))
        key = identifier_key(identifier) if isinstance(identifier, Mapping) else None
        if key is None:
            return None
        found = [
            entry.index
            for entry in self._entries
            if (kind is None or entry.type == kind)
            and any(identifier_key(own) == key for own in objects(entry.resource.get("identifier")))
        ]
        return found[0] if len(found) == 1 else None
