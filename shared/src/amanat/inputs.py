"""What was wrong with an input, told without quoting it (law 9).

Pydantic's messages, inputs and contexts never leave: they hold what was sent. An unknown field's name, and a key of a
free mapping, are input too, so pointers stop at the last name that a contract declares.
"""

from __future__ import annotations

import functools
from collections.abc import Container, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from amanat.errors import FieldError, InvalidInput

_MESSAGES = {
    "missing": "is needed",
    "extra_forbidden": "holds a field that is not known here",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "is not in the expected form",
    "enum": "is not one of the known values",
    "literal_error": "is not one of the known values",
    "uuid_parsing": "is not a UUID",
    "timezone_aware": "needs an offset from UTC",
    "value_error": "is not acceptable",
}
_CODES = {"extra_forbidden": "unknown-field", "missing": "missing", "value_error": "not-acceptable"}
_PARAMETERS = {"query", "path", "header", "cookie"}
_KINDS = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "datetime": "a date and time (RFC 3339)",
    "date": "a date (RFC 3339)",
    "time": "a time of day (RFC 3339)",
    "list": "a list",
    "tuple": "a list",
    "dict": "an object",
    "model": "an object",
}


def names_in(schema: Any) -> frozenset[str]:
    """Every field and parameter name that a JSON schema or an OpenAPI document declares."""
    if isinstance(schema, list):
        return frozenset().union(*(names_in(item) for item in schema))
    if not isinstance(schema, dict):
        return frozenset()
    found = frozenset().union(*(names_in(value) for value in schema.values()))
    properties, parameter = schema.get("properties"), schema.get("name")
    if isinstance(properties, dict):
        found |= frozenset(properties)
    return found | {parameter} if isinstance(parameter, str) and "in" in schema else found


@functools.cache
def _names_of(model: type[BaseModel]) -> frozenset[str]:
    return names_in(model.model_json_schema())


def field_errors(faults: Sequence[Mapping[str, Any]], known: Container[str]) -> list[FieldError]:
    """Pydantic's errors without anything of the input; pointers stop before the first name that is not in `known`."""
    found: list[FieldError] = []
    for fault in faults:
        steps = list(fault["loc"])
        if fault["type"] == "extra_forbidden":
            steps = steps[:-1]  # a name that the client made up, even if another contract has the same
        kind = str(fault["type"])
        entry = FieldError(pointer=_pointer(steps, known), code=_code(kind), message=_message(kind))
        if entry not in found:  # two unknown names in one object are one fault to its sender
            found.append(entry)
    return found[:50]


def invalid_input(error: ValidationError, model: type[BaseModel], *, within: str = "") -> InvalidInput:
    """For input that a service validates itself as a `model`; `within` is put before each pointer."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    found = field_errors([dict(fault) for fault in faults], _names_of(model))
    return InvalidInput(
        [FieldError(pointer=within + f["pointer"], code=f["code"], message=f["message"]) for f in found]
    )


def _pointer(steps: Sequence[object], known: Container[str]) -> str:
    kept: list[str] = []
    for position, step in enumerate(steps):
        if position == 0 and step == "body":
            continue
        if not (isinstance(step, int) or step in known or (position == 0 and step in _PARAMETERS)):
            break
        kept.append(str(step).replace("~", "~0").replace("/", "~1"))
    return "".join("/" + step for step in kept)


def _code(kind: str) -> str:
    return _CODES.get(kind, kind.replace("_", "-"))


def _message(kind: str) -> str:
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    kind_of_value = kind.split("_", maxsplit=1)[0]
    if kind_of_value in _KINDS:
        return f"is not {_KINDS[kind_of_value]} that is taken here"
    return "is not acceptable"
