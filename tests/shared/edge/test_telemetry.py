"""Logs are JSON lines without persons in them; trace context is always there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import propagate

from amanat import telemetry

NAME = "Zarina"
_PROGRAM = f"""
import asyncio, logging, structlog
from amanat import telemetry
telemetry.configure_logging("police-link", "INFO")
log = structlog.get_logger("test")
def inner(secret):
    raise ValueError(f"{{secret}} in a message")
try:
    try:
        inner("{NAME}")
    except ValueError as error:
        raise RuntimeError("{NAME}") from error
except RuntimeError as error:
    with telemetry.span("work", parent="00-{"a" * 32}-{"b" * 16}-01"):
        log.exception("failed")
        log.error("failed", exc_info=error)
    logging.getLogger("library").exception("library failed: %s", error)
    logging.getLogger("library").error("library failed: %s", error, exc_info=error)
async def forgotten():
    raise KeyError("{NAME}")
async def main():
    asyncio.get_running_loop().create_task(forgotten())
    asyncio.get_running_loop().call_soon(inner, "{NAME}")
    await asyncio.sleep(0.01)
    import gc; gc.collect()
asyncio.run(main())
logging.getLogger("httpx").info("GET https://x.test/?name={NAME}")
log.info("done", count=1)
"""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert NAME not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_is_json_with_its_service_level_and_time(lines: list[dict[str, Any]]) -> None:
    assert len(lines) == 7
    assert {line["service"] for line in lines} == {"police-link"}
    assert all({"level", "timestamp", "event", "logger"} <= set(line) for line in lines)
    assert lines[-1]["event"] == "done"
    assert lines[-1]["count"] == 1


def test_an_exception_is_logged_as_its_classes_and_places(lines: list[dict[str, Any]]) -> None:
    for line in lines[:4]:
        assert [fault["class"] for fault in line["fault"]] == ["RuntimeError", "ValueError"]
        assert line["fault"][1]["through"][-1].endswith(" inner")
        assert "exception" not in line


def test_a_librarys_message_with_an_exception_in_it_keeps_the_class_only(lines: list[dict[str, Any]]) -> None:
    assert [line["event"] for line in lines[2:4]] == ["library failed: RuntimeError"] * 2


def test_a_forgotten_task_and_a_failed_callback_are_told_without_their_arguments(lines: list[dict[str, Any]]) -> None:
    forgotten = [line for line in lines if line["logger"] == "asyncio"]
    assert {line["event"] for line in forgotten} == {"Task exception was never retrieved", "Exception"}


def test_lines_within_a_span_name_its_trace(lines: list[dict[str, Any]]) -> None:
    assert [line.get("trace_id") for line in lines[:3]] == ["a" * 32, "a" * 32, None]


@pytest.fixture
def no_context() -> Iterator[None]:
    assert telemetry.traceparent() is None
    yield
    assert telemetry.traceparent() is None


@pytest.mark.usefixtures("no_context")
def test_a_span_continues_the_trace_it_is_given() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    with telemetry.span("handle", parent=parent):
        assert telemetry.trace_id() == "a" * 32
        own = telemetry.traceparent()
        assert own is not None
        assert own != parent
        carrier: dict[str, str] = {}
        propagate.inject(carrier)  # what an outbox row carries on
        assert carrier["traceparent"] == own


@pytest.mark.usefixtures("no_context")
def test_a_span_without_a_parent_starts_a_trace_and_its_children_stay_in_it() -> None:
    with telemetry.span("outer"):
        outer = telemetry.trace_id()
        assert int(outer, 16) != 0
        with telemetry.span("inner"):
            assert telemetry.trace_id() == outer
    assert telemetry.trace_id() == "0" * 32


def test_nothing_leaves_by_otlp_unless_told_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert telemetry.configure_tracing("police-link") is False


def test_exceptions_that_cause_each_other_end() -> None:
    first, second = ValueError(NAME), KeyError(NAME)
    first.__cause__, second.__cause__ = second, first
    assert [fault["class"] for fault in telemetry.shape(first)] == ["ValueError", "KeyError"]
    assert logging.getLogger("amanat").handlers == []
    assert structlog.get_logger() is not None
