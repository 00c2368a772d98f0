"""The fuzzer's own check finds what it is there to find."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from .fuzz_hooks import refusals_never_echo

SENT = "an account in her own words"


def case(path: str = "/v1/cases", **parts: Any) -> Any:
    schema = SimpleNamespace(raw_schema={"properties": {"hospital_record_number": {}}})
    operation = SimpleNamespace(path=path, schema=schema)
    return SimpleNamespace(operation=operation, **({"body": None, "path_parameters": {}, "query": {}} | parts))


def answer(status: int, body: str = "", **headers: str) -> Any:
    return SimpleNamespace(status_code=status, content=body.encode(), headers=headers)


@pytest.mark.parametrize("sent", [{"body": {"history": [SENT]}}, {"body": {SENT: 1}}, {"query": {"q": SENT}}])
def test_a_refusal_that_quotes_what_was_sent_is_found(sent: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="echoes"):
        refusals_never_echo(None, answer(422, f"{SENT} is not acceptable"), case(**sent))
    with pytest.raises(AssertionError, match="echoes"):
        refusals_never_echo(None, answer(400, location=SENT), case(**sent))


def test_declared_names_and_answers_that_are_no_refusals_may_hold_what_was_sent() -> None:
    refusals_never_echo(None, answer(422, "/hospital_record_number"), case(body={"hospital_record_number": 7}))
    refusals_never_echo(None, answer(200, SENT), case(body=SENT))
