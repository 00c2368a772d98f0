"""Readiness and metrics: what the platform's operators ask."""

from __future__ import annotations

import asyncio

import pytest

from amanat.http import add_check

from .issuers import Client, Issuer, MakeApp
from .routes import NAME, router


async def test_readiness_is_what_the_checks_say(make_app: MakeApp, client: Client, issuer: Issuer) -> None:
    app = make_app(router)
    away = False

    async def database() -> None:
        if away:
            raise ConnectionError(NAME)

    add_check(app, "database", database)
    async with client(app) as http:
        ready = await http.get("/readyz")
        away = True
        not_ready = await http.get("/readyz")
        assert (await http.get("/livez")).status_code == 200
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "checks": {"issuer keys": "ok", "database": "ok"}},
    )
    assert (not_ready.status_code, not_ready.json()["checks"]["database"]) == (503, "failed")
    assert NAME not in not_ready.text


async def test_a_check_that_hangs_is_a_failed_one(
    make_app: MakeApp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amanat.http.CHECK_TIMEOUT_S", 0.05)
    app = make_app(router)
    add_check(app, "slow", lambda: asyncio.sleep(30))
    async with client(app) as http:
        assert (await http.get("/readyz")).json()["checks"]["slow"] == "failed"


async def test_without_the_issuers_keys_it_is_not_ready(make_app: MakeApp, client: Client, issuer: Issuer) -> None:
    issuer.away = True
    async with client(make_app(router)) as http:
        assert (await http.get("/readyz")).status_code == 503


async def test_metrics_know_templates_and_no_addresses(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        await http.get(f"/v1/cases/{NAME}", params={"limit": 3})
        await http.get(f"/v1/{NAME}")
        await http.request(NAME.upper(), "/v1/page")
        text = (await http.get("/metrics")).text
    wanted = (
        'amanat_http_request_seconds_count{method="GET",route="/v1/cases/{code}",service="police-link",status="404"}'
    )
    assert wanted in text
    assert NAME not in text
    assert NAME.upper() not in text
