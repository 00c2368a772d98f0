"""Apps around a test's routes, and a database with the platform's tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from amanat.db import Database
from amanat.http import create_app
from amanat.schema.v1 import create_platform
from amanat.settings import ServiceSettings
from amanat_local.postgres import Postgres

from .issuers import AUDIENCE, ISSUER, Client, Issuer, MakeApp


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def settings() -> ServiceSettings:
    nowhere = Path("/nonexistent")
    return ServiceSettings(
        database_url="postgresql+asyncpg://nobody@127.0.0.1/none",
        issuer=ISSUER,
        audience=AUDIENCE,
        directory_file=nowhere,
        at_rest_key_file=nowhere,
        index_key_file=nowhere,
    )


@pytest.fixture
def make_app(issuer: Issuer, settings: ServiceSettings) -> MakeApp:
    """`make_app(router, **more)`: police-link's app around one router."""

    def make(router: APIRouter, **more: Any) -> FastAPI:
        options: dict[str, Any] = {"title": "Test", "service": "police-link", "settings": settings, **more}
        return create_app(routers=[router], verifier=issuer.verifier(), **options)

    return make


@pytest.fixture
def client() -> Client:
    """Talks to an app in this process; an exception that leaves the app fails the test."""

    def make(app: FastAPI) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test")

    return make


@pytest.fixture(scope="session")
def edge_postgres(postgres: Postgres) -> Postgres:
    """The database `edge`, made as a service's: its roles cross no tenant."""
    roles = ("edge_migrator", "edge_api", "edge_worker")
    postgres.passwords.update(dict.fromkeys(roles, "only-for-tests"))
    postgres.sql(
        "postgres",
        *(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'only-for-tests'" for role in roles),
        "CREATE DATABASE edge OWNER edge_migrator",
    )
    statements: list[str] = ["SET ROLE edge_migrator"]

    class Collected:
        def execute(self, sqltext: str, /) -> None:
            statements.append(sqltext)

    create_platform(Collected(), "edge", "worker")
    statements += [
        "CREATE TABLE things (tenant text NOT NULL, code text NOT NULL, told text NOT NULL)",
        "CREATE UNIQUE INDEX things_once ON things (tenant, code)",
        "GRANT SELECT, INSERT, UPDATE ON things TO edge_api",
    ]
    postgres.sql("edge", *statements)
    return postgres


@pytest.fixture
async def database(edge_postgres: Postgres) -> AsyncIterator[Database]:
    """As the api role, on empty tables."""
    edge_postgres.sql("edge", "TRUNCATE looks, ledger_entries, idempotency, things RESTART IDENTITY")
    made = Database(edge_postgres.url("edge_api", "edge"), application_name="edge-tests")
    yield made
    await made.dispose()
