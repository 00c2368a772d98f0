"""The HTTP edge that every service shares: an app is its routers; the rest is here.

    app = create_app(title="Police link", service="police-link", settings=settings, routers=[router], lifespan=lifespan)
    serve(app, settings)

What it does for each request is in `edge.py`, for each body in `body.py`, for each refusal in `problems.py`, and what
it documents in `openapi.py`. `/livez`, `/readyz` and `/metrics` hold no personal data and take no token.
"""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from importlib.metadata import version
from typing import Any

import httpx
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from amanat import openapi, problems, telemetry
from amanat.auth import Verifier
from amanat.body import BodyGuard, BodyRule
from amanat.categories import Agency
from amanat.edge import Edge
from amanat.errors import Refused
from amanat.limits import ClientLimits
from amanat.settings import ServiceSettings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]
Check = Callable[[], Awaitable[object]]
CHECK_TIMEOUT_S = 3.0
DRAIN_S = 25
"""How long requests may take to end after SIGTERM; Kubernetes kills after 30 s."""

_log = structlog.get_logger("amanat.http")


def create_app(
    *,
    title: str,
    service: str,
    settings: ServiceSettings,
    routers: Sequence[APIRouter],
    lifespan: Lifespan | None = None,
    bodies: Mapping[str, BodyRule] | None = None,
    body_limit: int = BodyRule().limit,
    renderers: Mapping[str, problems.Renderer] | None = None,
    verifier: Verifier | None = None,
) -> FastAPI:
    """The service's app.

    `service` is an agency's name, whose tokens alone `require` then accepts, or another name (`intake-gate`), for
    which only `require(..., any_agency=True)` opens a route. `bodies` maps path prefixes to what they take
    (`{"/fhir": body.FHIR}`); everything else takes JSON up to `body_limit` bytes. `renderers`
    maps path prefixes to another form of refusals (FHIR's OperationOutcome). `app.state` gets `settings`,
    `verifier`, `limits`, `agency`, `service` and `checks` before `lifespan` runs.
    """
    keys = httpx.AsyncClient(verify=ssl.create_default_context(), trust_env=False, follow_redirects=False)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[Any]:
        async with keys, lifespan(app) if lifespan else nullcontext() as state:
            yield state

    app = FastAPI(
        title=title,
        version=version("amanat"),
        docs_url=None,  # they load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=running,
        # FastAPI's own telemetry records exception messages and bodies' faults; ours is in edge.py
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        middleware=[
            Middleware(Edge, service=service),
            Middleware(BodyGuard, rules=dict(bodies or {}), default=BodyRule(limit=body_limit)),
        ],
        exception_handlers={
            Refused: problems.on_refused,
            RequestValidationError: problems.on_refused,
            HTTPException: _on_http,
        },
    )
    app.state.renderers = dict(renderers or {})
    app.state.settings = settings
    app.state.service = service
    app.state.agency = Agency(service) if service in set(Agency) else None
    app.state.verifier = verifier or Verifier(settings.issuer, settings.audience, settings.jwks_url, keys)
    app.state.limits = ClientLimits(settings.rate_per_minute)
    app.state.checks = {"issuer keys": app.state.verifier.ready}
    app.state.alarms = tuple
    app.include_router(_operations())
    for router in routers:
        app.include_router(router)
    openapi.install(app)
    return app


async def _on_http(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        # the router names the methods of the first route that fits; RFC 9110 (15.5.6) wants all of them
        allowed = ", ".join(_methods_at(request.app, request.scope["path"]))
        error = HTTPException(405, headers={**(error.headers or {}), "Allow": allowed})
    return await problems.on_refused(request, error)


def _methods_at(app: FastAPI, path: str) -> list[str]:
    exact: set[str] = set()
    found: set[str] = set()
    for context in iter_route_contexts(app.routes):
        pattern: Any = getattr(context, "path_regex", None)
        if context.methods and pattern is not None and pattern.match(path):
            (exact if context.path == path else found).update(context.methods)
    return sorted(exact or found)  # "/v1/cases/search" is documented as itself, and not as a case of that name


def add_check(app: FastAPI, name: str, check: Check) -> None:
    """`/readyz` runs it; any exception, or more than 3 s, means not ready. `name` is shown, the exception is not."""
    app.state.checks[name] = check


def _operations() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/readyz")
    async def readyz(request: Request) -> JSONResponse:
        checks: dict[str, Check] = request.app.state.checks
        held = await asyncio.gather(*(_holds(name, check) for name, check in checks.items()))
        ready = all(held)
        results = {name: "ok" if ok else "failed" for name, ok in zip(checks, held, strict=True)}
        found: dict[str, Any] = {"status": "ready" if ready else "not ready", "checks": results}
        alarms = request.app.state.alarms()
        if alarms:
            found["alarms"] = list(alarms)
        return JSONResponse(found, 200 if ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _holds(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as error:
        _log.warning("not ready", check=name, kind=type(error).__name__)
        return False
    return True


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What was loaded for good is not gone through for garbage again: a full collection held up every request.
        gc.collect()
        gc.freeze()


def server(app: FastAPI, settings: ServiceSettings) -> uvicorn.Server:
    """For a process that runs its own loop (the gate): `await server(app, settings).serve()`."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here trusts an address
        timeout_graceful_shutdown=DRAIN_S,
    )
    return _Server(config)


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Listens on HOST:PORT until SIGTERM or SIGINT, then lets running requests end. TLS ends in front of it."""
    telemetry.configure_logging(app.state.service, settings.log_level)
    telemetry.configure_tracing(app.state.service)
    server(app, settings).run()
