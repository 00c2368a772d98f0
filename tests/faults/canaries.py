"""Values that stand nowhere else in the world, one for every personal field, and how they might be written down.

All texts of one flock share a mark in Latin letters and one in Urdu ones, so that a search looks for a handful of
needles whatever the number of fields. What has no room for a canary (yes or no, a word of a list, an age) is named by
`roomless`, so that a test can hold that nothing else was left out.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

_LATIN = "abcdefghijkmnpqrstuvwxyz23456789"
_URDU = "بپتٹجچحخدڈرڑسشصضطظعغفقکگلمنہھی"
URDU_DIGITS = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's


def _random(letters: str, number: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(number))


@dataclass
class Flock:
    """Canaries of one kind. `values` is where each was put → what was put there, as it is written in JSON."""

    # A z is 7a: in hexadecimal at least one letter, so that lower and upper case are two encodings and not one.
    latin: str = field(default_factory=lambda: "qz" + _random(_LATIN, 10))
    urdu: str = field(default_factory=lambda: _random(_URDU, 8))
    began: datetime = field(
        default_factory=lambda: datetime(1903, 5, 1, tzinfo=UTC) + timedelta(days=secrets.randbelow(3000), hours=3)
    )
    values: dict[str, Any] = field(default_factory=dict)
    roomless: set[str] = field(default_factory=set)
    alone: set[str] = field(default_factory=set)
    """Where values stand that bear no mark, and are searched for one by one."""

    def text(self, where: str) -> str:
        """A text for a field."""
        return self._put(where, f"{self.latin}{len(self.values):04d} {self.urdu}")

    def digits(self, where: str, shape: str = "############") -> str:
        """A PIN, a telephone, a CNIC: a digit for each # of the shape, and none stands in it by chance anywhere."""
        return self.by_itself(where, "".join(_random("123456789", 1) if each == "#" else each for each in shape))

    def by_itself(self, where: str, value: str) -> str:
        """A value that the platform made, or that has no room for a mark."""
        self.alone.add(where)
        found: str = self._put(where, value)
        return found

    def moment(self, where: str) -> str:
        """An instant to the microsecond, in UTC, within the flock's own hour."""
        passed = timedelta(seconds=len(self.values) % 3500, microseconds=secrets.randbelow(99_999) * 10 + 1)
        return self._put(where, (self.began + passed).isoformat().replace("+00:00", "Z"))

    def filled(self, model: type[BaseModel], where: str, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """A JSON body of `model` with a canary in every field that has room, in parts too, twice in lists."""
        schema = model.model_json_schema()
        return self._object(schema, schema.get("$defs", {}), where, without)

    def _object(self, schema: Any, parts: Any, where: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
        fields = schema["properties"].items()
        return {name: self._value(each, parts, f"{where}.{name}") for name, each in fields if name not in without}

    def _value(self, schema: Any, parts: Any, where: str) -> Any:
        if "anyOf" in schema:
            [schema] = [each for each in schema["anyOf"] if each.get("type") != "null"]
        if "$ref" in schema:
            return self._object(parts[schema["$ref"].rpartition("/")[2]], parts, where)
        if schema["type"] == "array":
            return [self._value(schema["items"], parts, f"{where}[{number}]") for number in range(2)]
        if "enum" in schema or schema["type"] in ("boolean", "integer"):
            self.roomless.add(where)
            return schema.get("enum", [schema["type"] == "boolean" or 44])[0]
        if schema["type"] == "number":
            return self._put(where, -float(f"7{secrets.randbelow(10)}.{_random('123456789', 11)}"))
        return self._string(schema.get("format"), schema.get("pattern"), where)

    def _string(self, kind: str | None, pattern: str | None, where: str) -> str:
        if kind == "date-time":
            return self.moment(where)
        if kind == "date":
            return self._put(where, self.began.date().isoformat())
        if pattern is None:
            return self.text(where)
        digits, number = _random("123456789", 13), f"{len(self.values):04d}"
        shapes = (
            f"{digits[:5]}-{digits[5:12]}-{digits[12]}",
            f"{self.latin.encode().hex()}{number}{secrets.token_hex(18)}",
            f"{self.latin}{number}",
        )
        # A CNIC, a SHA-256, a barcode: the first whose pattern it is.
        return self._put(where, next(shape for shape in shapes if re.fullmatch(pattern, shape)))

    def _put(self, where: str, value: Any) -> Any:
        self.values[where] = value
        return value

    def needles(self) -> Iterator[tuple[str, str]]:
        """(what it is, the text to search for): the shared marks, and each value that bears none of them."""
        yield "text", self.latin
        yield "Urdu text", self.urdu
        yield "date", self.began.date().isoformat()
        for where, value in self.values.items():
            if isinstance(value, float):
                yield where, str(value)
            elif where in self.alone or where.endswith("cnic"):
                bare = value.replace("-", "")
                yield from ((where, each) for each in dict.fromkeys((value, bare, bare.translate(URDU_DIGITS))))

    def instants(self) -> Iterator[tuple[str, bytes]]:
        """Each instant as PostgreSQL stores one in a `timestamptz` column: microseconds since 2000, eight bytes."""
        for where, value in self.values.items():
            if isinstance(value, str) and value.endswith("Z"):
                passed = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
                yield where, struct.pack("<q", passed)


def encodings(text: str) -> Mapping[str, bytes]:
    """A text as it may lie in a file, by the name of the encoding; base64 in all three alignments."""
    raw = text.encode()
    escaped = json.dumps(text)[1:-1].encode()
    found = {
        "UTF-8": raw,
        "upper case": text.upper().encode(),
        "UTF-16": text.encode("utf-16-le"),
        "JSON-escaped": escaped,
        "JSON-escaped in capitals": b"".join(
            f"\\u{ord(each):04X}".encode() if ord(each) > 127 else each.encode() for each in text
        ),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent-encoded": quote(text, safe="").encode(),
        "percent-encoded in small": quote(text, safe="").lower().encode(),
        "percent-encoded whole": "".join(f"%{each:02X}" for each in raw).encode(),
    }
    for shift in range(3):
        found[f"base64 at {shift}"] = _core(raw, shift)
        found[f"base64url at {shift}"] = _core(raw, shift).translate(bytes.maketrans(b"+/", b"-_"))
    return {name: form for number, (name, form) in enumerate(found.items()) if form not in [*found.values()][:number]}


def written(text: str) -> Mapping[str, str]:
    """The same text written out in each encoding, within other text, as a leak would hold it."""
    return {
        "UTF-8": text,
        "upper case": text.upper(),
        "JSON-escaped": json.dumps(text),
        "JSON-escaped in capitals": "".join(f"\\u{ord(each):04X}" if ord(each) > 127 else each for each in text),
        "hex": ("of " + text).encode().hex(),
        "HEX": ("of " + text).encode().hex().upper(),
        "percent-encoded": quote(f"of {text}!"),
        "percent-encoded whole": "".join(f"%{each:02X}" for each in text.encode()),
        **{f"base64 at {shift}": base64.b64encode(b"x" * shift + text.encode() + b"!").decode() for shift in range(3)},
    }


def _core(raw: bytes, shift: int) -> bytes:
    """The characters of base64 that depend on `raw` alone when `shift` bytes, modulo three, stand before it."""
    whole = (shift + len(raw)) * 8 // 6
    return base64.b64encode(bytes(shift) + raw)[(0, 2, 3)[shift] : whole]
