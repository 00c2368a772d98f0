"""From bytes to JSON that means one thing only, and its canonical form."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from amanat.text import has_refused_characters
from intake.fhir.refusals import Issue, NotUsable, Unreadable
from intake.fhir.validation import expression

MAX_DEPTH = 32  # levels, the same as the edge allows every body
_MOST_DIGITS = 64  # FHIR's decimals have at most 18; this only keeps arithmetic cheap
_WIDEST_EXPONENT = 400
# Any text that holds a refused character shows it in the raw JSON either plainly or as one of these escapes.
_SUSPECT = re.compile("[\u202a-\u202e\u2066-\u2069]|\\\\u(?:202[a-eA-E]|206[6-9]|0000|[dD][89a-fA-F])")


def _unreadable(rule: str, text: str) -> Unreadable:
    return Unreadable([Issue("structure", rule, text)])


def _one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _unreadable("name-twice", "An object holds one name twice.")
    return found


def _no_constant(_: str) -> Any:
    raise _unreadable("not-json", "NaN and Infinity are not JSON.")


def _decimal(digits: str) -> Decimal:
    # Decimals keep their digits: 1.50 and 1.5 are different measurements.
    try:
        number = Decimal(digits) if len(digits) <= _MOST_DIGITS else None
    except InvalidOperation:
        number = None
    if number is None or abs(number.adjusted()) > _WIDEST_EXPONENT:
        raise _unreadable("number-too-large", "A number is too large.")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _unreadable("number-too-large", "A number is too large.")
    return int(digits)


_load = partial(
    json.loads,
    object_pairs_hook=_one_of_each,
    parse_constant=_no_constant,
    parse_float=_decimal,
    parse_int=_integer,
)


def read(body: bytes) -> dict[str, Any]:
    """The object that a body holds.

    Raises:
        Unreadable: not UTF-8, not JSON, a name twice in one object, nested deeper than 32 levels, not an object.
        NotUsable: a text holds a direction override, a NUL or half a surrogate pair; says where.
    """
    try:
        written = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _unreadable("not-utf-8", "The body is not UTF-8.") from None
    try:
        value = _load(written)
    except RecursionError:
        raise _unreadable("too-deep", f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError:
        raise _unreadable("not-json", "The body is not JSON, or it ends too early.") from None
    if isinstance(value, dict | list) and _too_deep(value):
        raise _unreadable("too-deep", f"The body is nested deeper than {MAX_DEPTH} levels.")
    if not isinstance(value, dict):
        raise _unreadable("not-a-resource", "The body is not a FHIR resource.")
    if _may_hide(body) and _SUSPECT.search(written):
        _refuse_hidden_direction(value)
    return value


def _may_hide(body: bytes) -> bool:
    # Far quicker than the pattern on most bodies: an escape, or the first two bytes of U+2000 to U+207F.
    return any(sign in body for sign in (b"\\u", b"\xe2\x80", b"\xe2\x81"))


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _refuse_hidden_direction(value: Any) -> None:
    issues = []
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, node = waiting.pop()
        steps: Any = ()
        if isinstance(node, str):
            if has_refused_characters(node):
                issues.append(_hidden(path))
        elif isinstance(node, dict):
            issues += [_hidden(path) for name in node if has_refused_characters(name)]
            steps = node.items()
        elif isinstance(node, list):
            steps = enumerate(node)
        waiting += [((*path, step), child) for step, child in steps]
    if issues:
        raise NotUsable(sorted(issues, key=lambda issue: issue.expression or ""))


def _hidden(path: tuple[str | int, ...]) -> Issue:
    return Issue(
        "value",
        "hidden-characters",
        "A text holds a direction override, a NUL or half of a surrogate pair.",
        expression(path),
    )


def canonical_of(value: Mapping[str, Any]) -> bytes:
    """See `canonical`; of what `read` gave."""
    # Entry by entry: one call over 16 MiB would hold the interpreter, and with it the event loop, for a blink.
    entries = value.get("entry")
    rest = {name: each for name, each in value.items() if name != "entry"}
    return b"\n".join(map(_written, [rest, *entries])) if isinstance(entries, list) else _written(value)


def _written(value: Any) -> bytes:
    # A decimal becomes an object under a name that no text may hold, so that it equals no text and keeps its digits.
    text = json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
        default=lambda number: {"\x00": str(number)},
    )
    return text.encode("utf-8")


def canonical(body: bytes) -> bytes:
    """One form for one bundle, whatever its blanks, escapes and order of names: for the idempotency HMAC.

    Numbers keep their digits, lists their order. Raises what `read` raises.
    """
    return canonical_of(read(body))
