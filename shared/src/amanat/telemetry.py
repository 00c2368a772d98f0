"""Logs, traces and metrics that carry names of types and ids only (law 9).

Logs are JSON lines. An exception is logged as its class and the places it came through: no message (a database's
quotes the row), no frame locals. Spans are made by the HTTP edge itself, of route templates, because the general
instrumentors record paths, query strings and exception messages. OTLP leaves the process only when
OTEL_EXPORTER_OTLP_ENDPOINT is set. Trace context is always there, with or without an exporter: `trace_id()` and
OpenTelemetry's propagators see the same.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Histogram

REQUESTS = Histogram(
    "amanat_http_request_seconds",
    "Time to answer a request, by route template",
    ["service", "method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FAULTS = Counter("amanat_faults_total", "Unexpected exceptions at the HTTP edge, by class", ["service", "kind"])

_PROPAGATOR = TraceContextTextMapPropagator()


def trace_id() -> str:
    """32 hex digits of the current trace; zeros outside any request or event."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def traceparent() -> str | None:
    """The current context as a W3C traceparent, to be carried through outbox and Kafka; None outside any."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span(name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A span under `parent` (a traceparent; None: under the current one), valid even when nothing records it."""
    above = _PROPAGATOR.extract({"traceparent": parent}) if parent else None
    made = trace.get_tracer("amanat").start_span(name, context=above, kind=kind)
    known = made.get_span_context()
    if not made.is_recording():
        # without an exporter the parent's own context comes back: keep its trace, be a span of one's own in it
        same = known.trace_id if known.is_valid else secrets.randbits(128) or 1
        flags = known.trace_flags if known.is_valid else TraceFlags(0)
        made = NonRecordingSpan(SpanContext(same, secrets.randbits(64) or 1, is_remote=False, trace_flags=flags))
    token = context.attach(trace.set_span_in_context(made))
    try:
        yield made
    finally:
        context.detach(token)
        made.end()


def shape(error: BaseException) -> list[dict[str, object]]:
    """An exception and its causes as classes and places, fit to be logged: no message, no locals."""
    shapes: list[dict[str, object]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(shapes) < 8:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)[-20:]
        places = [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        sqlstate = getattr(current, "sqlstate", None)
        found: dict[str, object] = {"class": type(current).__qualname__, "through": places}
        if isinstance(sqlstate, str):
            found["sqlstate"] = sqlstate
        shapes.append(found)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return shapes


def _without_messages(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else None)
    if info is True:
        error = sys.exc_info()[1]
    if error is not None:
        event["fault"] = shape(error)
    event.pop("stack_info", None)
    return event


def _with_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    known = trace.get_current_span().get_span_context()
    if known.is_valid:
        event.setdefault("trace_id", f"{known.trace_id:032x}")
    return event


class _NoExceptionText(logging.Filter):
    """Stops stdlib handlers from rendering a cached traceback text, message and all."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_text = None
        if record.name == "asyncio":
            # below its first line, and after these words, it quotes tasks, arguments and exceptions
            record.msg, record.args = str(record.msg).split("\n", 1)[0].split(" in callback", 1)[0], ()
        record.args = tuple(_named(arg) for arg in record.args) if isinstance(record.args, tuple) else record.args
        return True


def _named(argument: object) -> object:
    # libraries log `"… failed: %s", error`: the class says enough, the text may quote a row or a message
    return type(argument).__qualname__ if isinstance(argument, BaseException) else argument


def configure_logging(service: str, level: str = "INFO") -> None:
    """JSON lines on standard output, for structlog and for the standard library's loggers alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_trace,
        _without_messages,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

    def named(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["service"] = service
        return event

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            named,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    handler.addFilter(_NoExceptionText())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "httpx", "httpcore"):  # full addresses, with query strings
        logging.getLogger(noisy).setLevel(logging.WARNING)


def configure_tracing(service: str) -> bool:
    """Sends spans by OTLP/HTTP if OTEL_EXPORTER_OTLP_ENDPOINT is set; says whether it does."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", service)}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    instrumentor: Any = AsyncPGInstrumentor  # untyped
    instrumentor(capture_parameters=False).instrument()
    return True
