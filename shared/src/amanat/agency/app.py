"""An agency's HTTP process, built from its settings."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI

from amanat.agency.desk import Desk
from amanat.agency.instruments import Instruments
from amanat.categories import Agency
from amanat.db import Database, ready
from amanat.http import add_check, create_app
from amanat.leases import LeaseClient
from amanat.pages import Cursors
from amanat.service_token import ServiceToken
from amanat.settings import AgencySettings

GATE_AUDIENCE = "amanat-gate"


def build(agency: Agency, *, title: str, settings: AgencySettings, routers: Sequence[APIRouter]) -> FastAPI:
    """The app of `agency` with everything it has; `app.state.desk` is its `Desk`. Raises what a missing file raises."""
    database = Database(settings.database_url, application_name=f"{agency}-main")
    instruments = Instruments.from_settings(agency, settings, secrets.token_bytes)
    http = httpx.AsyncClient(verify=ssl.create_default_context(), trust_env=False, follow_redirects=False)
    token = ServiceToken.from_file(
        settings.token_url, settings.client_id, settings.client_key_file, settings.issuer, GATE_AUDIENCE, http=http
    )
    leases = LeaseClient(settings.gate_url, token, agency, http)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with http:
            yield
            await leases.aclose()
        await database.dispose()

    app = create_app(title=title, service=agency, settings=settings, routers=routers, lifespan=lifespan)
    app.state.desk = Desk(database, leases, instruments, Cursors(instruments.macs))
    add_check(app, "database", lambda: ready(database))
    return app
