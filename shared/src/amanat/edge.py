"""What happens around each request: trace context, headers, access log, metrics, and the last resort for exceptions.

The access log has the method, the route's *template*, the status, the duration, the client's id and the trace id;
never an address, a query or a body (law 9). Unexpected exceptions end here: if they went on, the server would log
their messages, and a database's message quotes the row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amanat import problems, telemetry
from amanat.errors import Busy, Refused, Unavailable

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_LOCK_NOT_AVAILABLE = "55P03"
_PASSING = ("08", "40", "53", "57P")  # connection, rollback by a rival, resources, shutdown: try again
_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_PAGE_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_log = structlog.get_logger("amanat.http")


class Edge:
    """ASGI middleware, outermost."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service
        self._templates: dict[int, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message))
            await send(message)

        with telemetry.span(f"HTTP {method}", parent=headers.get("traceparent"), kind=SpanKind.SERVER) as span:
            try:
                await self._app(scope, receive, answer)
            except Exception as error:
                refused = of_exception(error)
                if refused.status >= 500:
                    telemetry.FAULTS.labels(self._service, type(error).__name__).inc()
                    _log.error("request failed", fault=telemetry.shape(error))
                if status == 0:
                    await problems.render(scope, refused)(scope, receive, answer)
                # else the server ends the connection, so that the client sees an answer cut short
            finally:
                took = time.perf_counter() - began
                route = self._template(scope)
                span.update_name(f"{method} {route}")
                span.set_attributes(
                    {"http.request.method": method, "http.route": route, "http.response.status_code": status}
                )
                if status >= 500:
                    span.set_status(StatusCode.ERROR)
                telemetry.REQUESTS.labels(self._service, method, route, str(status)).observe(took)
                _log.info(
                    "request",
                    method=method,
                    route=route,
                    status=status,
                    duration_ms=round(took * 1000, 1),
                    client=scope.get("amanat.client"),
                )

    def _template(self, scope: Scope) -> str:
        route = scope.get("route")
        if route is None:
            return "unmatched"
        if not self._templates:
            self._templates = _templates(scope["app"])
        return self._templates.get(id(route)) or str(getattr(route, "path", "unmatched"))


def _templates(app: FastAPI) -> dict[int, str]:
    return {id(context.original_route): context.path or "" for context in iter_route_contexts(app.routes)}


def _add_headers(headers: MutableHeaders) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("content-security-policy", _PAGE_POLICY)


def of_exception(error: Exception) -> Refused:
    """The refusal for an exception that no route expected. A database that is away or busy is 503 or 409, not 500."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, PoolTimeout) or _is_of_the_network(error):
        return Unavailable()
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        if state == _LOCK_NOT_AVAILABLE:
            return Busy()
        if error.connection_invalidated or state.startswith(_PASSING):
            return Unavailable(retry_after=1)
    return problems.ServerFault()


def _is_of_the_network(error: Exception) -> bool:
    # A host that is not found, not reached or silent is a plain OSError. One that names a file is a fault of ours.
    return isinstance(error, OSError) and error.filename is None
