"""What a contract takes it takes again, at the edges too: a row that its own contract refuses could never be opened."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from amanat.consent import ConsentEvent
from amanat.contracts.export import contracts
from amanat.contracts.records import Acknowledgement, Fir, Incident
from amanat.contracts.values import Base64, Celsius, Cnic, Count, Day, Line, Moment, Paragraph, Years

_EVENT: TypeAdapter[ConsentEvent] = TypeAdapter(ConsentEvent)
_EDGES = [
    datetime(*day, hour, tzinfo=UTC)
    for day in ((1, 1, 2), (1899, 12, 31), (1900, 1, 1), (2026, 3, 1), (2199, 12, 31), (2200, 1, 1), (9999, 12, 30))
    for hour in (0, 23)
]


@st.composite
def _moments(draw: st.DrawFn) -> str:
    """Moments around each edge, as somebody anywhere on earth writes them."""
    offset = timezone(timedelta(minutes=draw(st.integers(-14 * 60, 14 * 60))))
    near = draw(st.sampled_from(_EDGES)) + timedelta(minutes=draw(st.integers(-24 * 60, 24 * 60)))
    return near.replace(microsecond=draw(st.sampled_from([0, 1, 999_999])), tzinfo=offset).isoformat()


_DAYS = st.one_of(
    st.sampled_from(["1899-12-31", "1900-01-01", "2199-12-31", "2200-01-01", "2024-02-29"]),
    st.dates(date(1890, 1, 1), date(2210, 1, 1)).map(date.isoformat),
)
_TEXTS = st.one_of(
    st.text(max_size=40), st.sampled_from(["", "\u200c", "a" * 500, "😀" * 500, "ک\u200dی\u200e", "\x7f"])
)


def _written(schema: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What somebody may write into a field of this schema: at its edges, and just past them."""
    if "$ref" in schema:
        return st.deferred(lambda: _written(defs[schema["$ref"].rsplit("/", 1)[-1]], defs))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return st.one_of([_written(each, defs) for each in schema[union]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema.get("type"):
        case "object":
            names, wanted = schema.get("properties", {}), set(schema.get("required", ()))
            return st.fixed_dictionaries(
                {name: _written(each, defs) for name, each in names.items() if name in wanted},
                optional={name: _written(each, defs) for name, each in names.items() if name not in wanted},
            )
        case "array":
            return st.lists(_written(schema["items"], defs), min_size=schema.get("minItems", 0), max_size=3)
        case "string":
            return _string(schema)
        case "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 2**53)
            return st.one_of(st.integers(low, high), st.sampled_from([low, high, high + 1]))
        case "number":
            return st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([-273.15, -0.0, 200.0]))
        case "boolean":
            return st.booleans()
    return st.none()


def _string(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    match schema.get("format"):
        case "date-time":
            return _moments()
        case "date":
            return _DAYS
        case "uuid":
            return st.uuids().map(str)
    if schema.get("contentEncoding") == "base64":
        return st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())
    return st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else _TEXTS


_CONTRACTS = contracts()
_few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def _of_contract(name: str) -> st.SearchStrategy[Any]:
    schema = _CONTRACTS[name].model_json_schema()
    return _written(schema, schema.get("$defs", {}))


@cache
def _events() -> st.SearchStrategy[Any]:
    schema = _EVENT.json_schema()
    return _written(schema, schema["$defs"])


@pytest.mark.parametrize("name", _CONTRACTS)
@_few
@given(data=st.data())
def test_what_a_contract_takes_it_reads_again_as_the_same(name: str, data: st.DataObject) -> None:
    contract = _CONTRACTS[name]
    try:
        taken = contract.parse(json.dumps(data.draw(_of_contract(name))))
    except ValidationError:
        return
    again = contract.parse(taken.body())
    assert again == taken
    assert again.body() == taken.body()


@_few
@given(data=st.data())
def test_a_consent_event_that_is_taken_is_opened_again_as_the_same(data: st.DataObject) -> None:
    try:
        taken = _EVENT.validate_json(json.dumps(data.draw(_events())))
    except ValidationError:
        return
    assert _EVENT.validate_json(_EVENT.dump_json(taken)) == taken


@pytest.mark.parametrize("value", [Moment, Day, Cnic, Line, Paragraph, Count, Years, Celsius, Base64], ids=str)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_value_that_is_taken_is_taken_again(value: Any, data: st.DataObject) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(value)
    try:
        taken = adapter.validate_json(json.dumps(data.draw(_written(adapter.json_schema(), {}))))
    except ValidationError:
        return
    assert adapter.validate_json(adapter.dump_json(taken)) == taken


@pytest.mark.parametrize(
    "written",
    [
        "1900-01-01T00:00:00+05:00",  # SQL Server's empty date, in Pakistan's time
        "2199-12-31T23:59:00-01:00",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_a_year_counts_as_it_will_be_read_again(written: str) -> None:
    for contract, field in ((Incident, "occurred_at"), (Fir, "registered_at"), (Acknowledgement, "at")):
        assert field in contract.model_fields
        with pytest.raises(ValidationError) as refused:
            contract.model_validate({field: written})
        [error] = refused.value.errors()
        assert error["msg"] == "Value error, a year between 1900 and 2199 is expected"
        assert written[:10] not in str(refused.value)


@pytest.mark.parametrize("written", ["1900-01-01T05:00:00+05:00", "2200-01-01T04:59:59+05:00"])
def test_the_first_and_the_last_instant_are_taken_wherever_they_are_written(written: str) -> None:
    occurred = Incident.model_validate({"occurred_at": written}).occurred_at
    assert occurred is not None
    assert (occurred.tzinfo, occurred.year) == (UTC, 1900 if written.startswith("1900") else 2199)
