"""The embedded issuer, without a network: what it grants, and to whom it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from amanat_local.directory import template
from amanat_local.issuer import ASSERTION_TYPE, PERSON_GRANT, Configuration, Issuer, create_app, hashed
from amanat_local.realm import DESK, realm_of

ISSUER = "http://127.0.0.1:1/realms/amanat"
TOKEN = "/realms/amanat/protocol/openid-connect/token"
CLIENT = "station-saddar-system"
NOW = 1_800_000_000.0
KEY = ECKey.generate_key("P-256", auto_kid=True)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http(clock: Clock) -> httpx.AsyncClient:
    realm = realm_of(template())
    configuration = Configuration(
        issuer=ISSUER,
        signing_key=dict(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)),
        identities=realm.identities,
        client_keys={client.name: dict(KEY.as_dict(private=False)) for client in realm.clients},
        passwords={person.name: hashed(f"password of {person.name}") for person in realm.people},
    )
    transport = httpx.ASGITransport(create_app(Issuer(configuration, now=clock)))
    return httpx.AsyncClient(transport=transport, base_url="http://issuer")


def form(key: ECKey = KEY, **changes: Any) -> dict[str, str]:
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "jti": "one", "iat": NOW, "exp": NOW + 60} | changes
    assertion = jwt.encode({"alg": "ES256"}, {name: v for name, v in claims.items() if v is not None}, key)
    return {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }


async def claims_of(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    keys = (await http.get("/realms/amanat/protocol/openid-connect/certs")).json()
    assert all("d" not in key for key in keys["keys"])
    return dict(jwt.decode(token, ECKey.import_key(keys["keys"][0]), algorithms=["ES256"]).claims)


async def test_a_system_that_signs_gets_a_token_for_its_own_agency_and_organisation(http: httpx.AsyncClient) -> None:
    answer = await http.post(TOKEN, data=form())
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 300
    claims = await claims_of(http, answer.json()["access_token"])
    assert claims["jti"]
    assert claims["sub"]
    assert {name: claims[name] for name in claims.keys() - {"jti", "sub"}} == {
        "iss": ISSUER,
        "aud": "amanat-police-link",
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        "typ": "Bearer",
        "azp": CLIENT,
        "agency": "police-link",
        "organisation": "station-saddar",
        "roles": ["reporting_centre_system"],
        "cells": [],
    }


async def test_a_token_of_a_cell_names_the_cell(http: httpx.AsyncClient) -> None:
    name = "arcc-karachi.mlo"
    sent = {"grant_type": PERSON_GRANT, "client_id": DESK, "username": name, "password": f"password of {name}"}
    claims = await claims_of(http, (await http.post(TOKEN, data=sent)).json()["access_token"])
    assert (claims["cells"], claims["azp"]) == (["arcc-karachi"], DESK)
    assert (claims["roles"], claims["unit"]) == (["cell_staff", "cell_clinician"], "medico-legal")


async def test_an_assertion_is_good_once(http: httpx.AsyncClient, clock: Clock) -> None:
    assert (await http.post(TOKEN, data=form())).status_code == 200
    clock.now += 30
    assert (await http.post(TOKEN, data=form())).status_code == 401
    assert (await http.post(TOKEN, data=form(jti="two"))).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"key": ECKey.generate_key("P-256")}, id="signed by another key"),
        pytest.param({"iss": "station-clifton-system"}, id="issued by another client"),
        pytest.param({"sub": "station-clifton-system"}, id="about another client"),
        pytest.param({"aud": "http://elsewhere/realms/amanat"}, id="meant for another realm"),
        pytest.param({"aud": None}, id="meant for nobody"),
        pytest.param({"exp": NOW}, id="expired"),
        pytest.param({"exp": NOW + 301}, id="good for too long"),
        pytest.param({"exp": None}, id="good for ever"),
        pytest.param({"exp": "soon"}, id="with a time that is none"),
        pytest.param({"jti": None}, id="without an id"),
    ],
)
async def test_an_assertion_is_refused_when(http: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await http.post(TOKEN, data=form(**changes))
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": "station-saddar.officer"},
        {"client_id": "station-clifton-system"},
        {"client_assertion": "ey.ey.ey"},
        {"client_assertion": ""},
        {"client_assertion_type": "none"},
        {"grant_type": "password"},
        {"grant_type": ""},
    ],
)
async def test_a_bad_form_is_refused_and_not_echoed(http: httpx.AsyncClient, changes: dict[str, str]) -> None:
    answer = await http.post(TOKEN, data=form() | changes)
    assert answer.status_code == 401
    assert set(answer.json()) == {"error"}


async def test_an_unsigned_assertion_is_refused(http: httpx.AsyncClient) -> None:
    signed = form()
    header, claims, _ = signed["client_assertion"].split(".")
    none = "eyJhbGciOiJub25lIn0"
    for assertion in (f"{none}.{claims}.", f"{header}.{claims}."):
        assert (await http.post(TOKEN, data=signed | {"client_assertion": assertion})).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "guess"},
        {"username": "nobody"},
        {"username": CLIENT},
        {"client_id": "station-saddar-system"},
    ],
)
async def test_a_person_is_refused_without_their_password(http: httpx.AsyncClient, changes: dict[str, str]) -> None:
    name = "station-saddar.officer"
    sent = {"grant_type": PERSON_GRANT, "client_id": DESK, "username": name, "password": f"password of {name}"}
    assert (await http.post(TOKEN, data=sent)).status_code == 200
    answer = await http.post(TOKEN, data=sent | changes)
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_grant"})


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&".join(b"a=b" for _ in range(1000)), b"x" * 70_000])
async def test_what_is_no_form_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post(TOKEN, content=body)
    assert answer.status_code in {400, 401, 413}


def test_it_does_not_start_outside_the_embedded_stack(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "amanat_local.issuer", str(tmp_path / "realm.json"), "1"],
        env={name: value for name, value in os.environ.items() if name != "AMANAT_EMBEDDED"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "use Keycloak" in done.stderr
