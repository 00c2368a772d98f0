"""RFC 9457 problems: `application/problem+json` with an absolute `type`, a stable code and a trace id, never input.

Body: `{type, title, status, code, trace_id, detail?, errors?: [{pointer, code, message}]}`. The title is English, or
Urdu when Accept-Language prefers it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from amanat import errors, telemetry
from amanat.errors import InvalidInput, MalformedBody, Refused
from amanat.inputs import field_errors, names_in

TYPE_BASE = "https://amanat.pk/problems/"
MEDIA_TYPE = "application/problem+json"

Renderer = Callable[[Refused, str], Response]
"""Takes the refusal and the Accept-Language header; for clients that know another form (FHIR's OperationOutcome)."""


class ServerFault(Refused):
    status, code = 500, "server-fault"
    title, title_ur = "Something failed here; it was recorded", "یہاں کوئی خرابی ہوئی؛ اسے درج کر لیا گیا ہے"


BY_STATUS: dict[int, type[Refused]] = {
    400: errors.BadRequest,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.NotAcceptable,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
    415: errors.WrongContentType,
    422: errors.InvalidInput,
    428: errors.PreconditionRequired,
    429: errors.TooManyRequests,
    500: ServerFault,
    503: errors.Unavailable,
}


class ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: documents these statuses as problems."""
    return {
        status: {
            "description": BY_STATUS[status].title if status in BY_STATUS else "Refused",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details. Never quotes what was sent.",
    "type": "object",
    "required": ["type", "title", "status", "code", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "trace_id": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body, or /query/…, /path/…"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def prefers_urdu(accept_language: str) -> bool:
    """Whether Urdu stands before English in an Accept-Language header (RFC 9110, 12.5.4)."""
    weights = {"ur": 0.0, "en": 0.0}
    for part in accept_language[:500].split(","):
        tag, _, parameters = part.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        if language not in weights:
            continue
        try:
            weight = float(parameters.strip().removeprefix("q=")) if parameters else 1.0
        except ValueError:
            weight = 0.0
        weights[language] = max(weights[language], weight)
    return weights["ur"] > weights["en"]


def response(refused: Refused, accept_language: str = "") -> ProblemResponse:
    """The refusal as a response. `refused` must hold constant texts only, as every Refused does."""
    urdu = prefers_urdu(accept_language)
    body: dict[str, Any] = {
        "type": TYPE_BASE + refused.code,
        "title": refused.title_ur if urdu else refused.title,
        "status": refused.status,
        "code": refused.code,
        "trace_id": telemetry.trace_id(),
    }
    if refused.detail:
        body["detail"] = refused.detail
    if refused.errors:
        body["errors"] = list(refused.errors)
    headers = {**refused.headers, "Content-Language": "ur" if urdu else "en"}
    return ProblemResponse(body, status_code=refused.status, headers=headers)


def of_validation(error: RequestValidationError, known: Container[str]) -> Refused:
    faults: Sequence[Mapping[str, Any]] = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return MalformedBody()
    return InvalidInput(field_errors(faults, known))


def of_http(error: HTTPException) -> Refused:
    """Starlette's own refusals (404, 405, 400 …). Their details may quote input and are dropped; headers are kept."""
    refused = _with_status(error.status_code)
    refused.headers.update(error.headers or {})
    return refused


def _with_status(status: int) -> Refused:
    if status == 401:
        return errors.Unauthenticated()
    if status == 429:
        return errors.TooManyRequests(retry_after=1)
    if status in BY_STATUS:
        return BY_STATUS[status]()
    base = ServerFault if status >= 500 else Refused
    other: type[Refused] = type("OtherRefusal", (base,), {"status": status, "code": f"http-{status}"})
    return other()


def render(scope: Scope, refused: Refused) -> Response:
    """The refusal as this address shows refusals: a problem, or what `create_app(renderers=…)` says for its prefix."""
    accept_language = Headers(scope=scope).get("accept-language", "")
    renderers: Mapping[str, Renderer] = scope["app"].state.renderers
    for prefix, renderer in renderers.items():
        if scope["path"] == prefix or scope["path"].startswith(prefix + "/"):
            return renderer(refused, accept_language)
    return response(refused, accept_language)


async def on_refused(request: Request, error: Exception) -> Response:
    refused: Refused
    if isinstance(error, Refused):
        refused = error
    elif isinstance(error, RequestValidationError):
        refused = of_validation(error, _known_names(request))
    elif isinstance(error, HTTPException):
        refused = of_http(error)
    else:
        refused = ServerFault()
    return render(request.scope, refused)


def _known_names(request: Request) -> frozenset[str]:
    state = request.app.state
    if not hasattr(state, "known_names"):
        state.known_names = names_in(request.app.openapi())
    known: frozenset[str] = state.known_names
    return known
