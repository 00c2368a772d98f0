"""Reading FHIR's data types out of plain JSON. Nothing here fails: what is not of the expected shape is absent."""

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]

# Pakistan's standard time, all year: a date without a time is a day there.
LOCAL = timezone(timedelta(hours=5))

_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_EARLIEST, _LATEST = 1900, 2199  # the years that the contracts take


def words(table: str) -> frozenset[str]:
    """The words of a table that is written as text."""
    return frozenset(table.split())


def objects(value: Any) -> list[Json]:
    """The objects of a list, or the one object that stands where a list may."""
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def first(value: Any) -> Json:
    """The first object, or an empty one."""
    return next(iter(objects(value)), {})


def text(value: Any) -> str | None:
    """A text that says something, without the blanks around it."""
    return (value.strip() or None) if isinstance(value, str) else None


def texts(value: Any) -> list[str]:
    """The texts of a list, blank ones left out."""
    return [said for each in (value if isinstance(value, list) else [value]) if (said := text(each))]


def codings(concepts: Any) -> Iterator[tuple[str | None, str | None]]:
    """(system, code) of every coding in a CodeableConcept, a Coding, or a list of either."""
    for concept in objects(concepts):
        for coding in objects(concept["coding"]) if "coding" in concept else [concept]:
            yield text(coding.get("system")), text(coding.get("code"))


def codes(concepts: Any, *systems: str) -> list[str]:
    """The codes that are of one of the systems, in their order."""
    return [code for system, code in codings(concepts) if code and system in systems]


def concept_text(concept: Any) -> str | None:
    """What a CodeableConcept or Coding says to a reader: its text, a display, else its code."""
    for each in objects(concept):
        inner = objects(each.get("coding"))
        candidates = [each.get("text"), each.get("display"), *(coding.get("display") for coding in inner)]
        candidates += [each.get("code"), *(coding.get("code") for coding in inner)]
        for candidate in candidates:
            if said := text(candidate):
                return said
    return None


def extension(element: Json, url: str) -> Json | None:
    """The element's first extension of that url."""
    return next((each for each in objects(element.get("extension")) if each.get("url") == url), None)


def moment(value: Any) -> datetime | None:
    """An instant, in UTC, of a dateTime that names one; None for a mere date, or a year outside 1900 to 2199."""
    if not isinstance(value, str) or _TIMESTAMP.fullmatch(value) is None:
        return None
    try:
        instant = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if _EARLIEST <= instant.year <= _LATEST else None


def span(value: Any) -> tuple[datetime, datetime] | None:
    """The first instant that a date or dateTime can mean, and the first one after it; in UTC. None where either lies
    outside the years 1900 to 2199: of 1900-01-01 the first hours here are 1899 in UTC."""
    instant = moment(value)
    if instant is not None:
        return instant, instant
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    try:
        begin = datetime(year, month, day, tzinfo=LOCAL)
        days = 1 if found[3] else calendar.monthrange(year, month)[1] if found[2] else 365 + calendar.isleap(year)
        meant = begin.astimezone(UTC), (begin + timedelta(days=days)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return meant if all(_EARLIEST <= instant.year <= _LATEST for instant in meant) else None


def name_text(name: Json) -> str | None:
    """A HumanName as people write it: its text, else given names and family name."""
    parts = [*texts(name.get("given", [])), *texts(name.get("family")), *texts(name.get("suffix", []))]
    return text(name.get("text")) or text(" ".join(parts))


def address_text(address: Json) -> str | None:
    """An Address in one line: its text, else its parts from the house to the country."""
    parts = texts(address.get("line", []))
    for part in ("city", "district", "state", "postalCode", "country"):
        parts += texts(address.get(part))
    return text(address.get("text")) or text(", ".join(parts))


def identifier_key(identifier: Json) -> str | None:
    """`system|value`, as FHIR's token search writes it; None unless both are there."""
    system, value = text(identifier.get("system")), text(identifier.get("value"))
    return f"{system}|{value}" if system and value else None


def notes_text(resource: Json) -> list[str]:
    """The texts of a resource's annotations."""
    return [said for note in objects(resource.get("note")) if (said := text(note.get("text")))]


def _quantity(quantity: Json) -> str | None:
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    unit = text(quantity.get("unit")) or text(quantity.get("code"))
    return " ".join(part for part in (text(quantity.get("comparator")), str(value), unit) if part)


def value_text(resource: Json) -> str | None:
    """What stands in value[x], for a reader."""
    limits, parts, period = (first(resource.get(f"value{name}")) for name in ("Range", "Ratio", "Period"))
    candidates = (
        *(text(resource.get(f"value{name}")) for name in ("String", "DateTime", "Time")),
        *(_scalar(resource.get(f"value{name}")) for name in ("Integer", "Boolean")),
        concept_text(resource.get("valueCodeableConcept")),
        _quantity(first(resource.get("valueQuantity"))),
        _joined((_quantity(first(limits.get(part))) for part in ("low", "high")), " to "),
        _joined((_quantity(first(parts.get(part))) for part in ("numerator", "denominator")), " / "),
        _joined((text(period.get("start")), text(period.get("end"))), " to "),
    )
    return next((said for said in candidates if said), None)


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else None


def _joined(parts: Iterable[str | None], between: str) -> str | None:
    return between.join(part for part in parts if part) or None
