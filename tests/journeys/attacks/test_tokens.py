"""Tokens that must not open anything, at every service and the gate: one clear problem, without a word of the token."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from counting import Count
from joserfc import jwt
from joserfc.jwk import ECKey

from amanat_local import tokens
from amanat_local.stack import Stack

from ..refusing import assert_refused, nothing_stored
from . import forging
from .forging import parts

pytestmark = [pytest.mark.stack, pytest.mark.attack]
OWN = {
    "intake": ("arcc-karachi-system", "/v1/cases/C-0000-0000-0"),
    "police-link": ("station-saddar-system", "/v1/referrals"),
    "forensics": ("lab-karachi-system", "/v1/kits/KIT-0"),
    "legal-aid": ("partner-hamdam-system", "/v1/cases"),
    "gate": ("police-link-service", "/internal/v1/leases"),
}
ASKED = {"items": [{"referral": "P-0000-0000-0", "organisation": "station-saddar", "purpose": "investigation"}]}
"""Of the gate: a lease for nobody's referral, which is answered with none."""
EXPIRY_LEEWAY_S = 5
SERVICES = pytest.mark.parametrize("service", OWN)


def own(stack: Stack, service: str) -> str:
    return tokens.token(stack.info, OWN[service][0])


def ask(stack: Stack, service: str, token: str) -> httpx.Response:
    headers, path = {"Authorization": f"Bearer {token}"}, OWN[service][1]
    if service == "gate":
        return httpx.post(stack.info["gate"] + path, json=ASKED, headers=headers, timeout=30)
    return httpx.get(stack.info["services"][service] + path, headers=headers, timeout=30)


def assert_no_way_in(stack: Stack, service: str, token: str) -> None:
    """401 for this token, as for none; 200 or 404 for the service's own."""
    assert ask(stack, service, own(stack, service)).status_code in {200, 404}
    answer = ask(stack, service, token)
    assert_refused(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="amanat", error="invalid_token"'
    for part in token.split("."):
        assert not part or part not in answer.text + str(answer.headers)


@SERVICES
@pytest.mark.parametrize("forge", forging.FORGERIES, ids=lambda forge: forge.__name__)
def test_a_token_that_the_issuer_did_not_sign_opens_nothing(
    stack: Stack, service: str, forge: forging.Forge, count: Count
) -> None:
    assert_no_way_in(stack, service, forge(forging.Known(own(stack, service), issuer_key(stack))))
    count("forged, stale, swapped and confused tokens", 1)


@SERVICES
def test_a_token_in_another_place_than_its_header_opens_nothing(stack: Stack, service: str, count: Count) -> None:
    token, path = own(stack, service), OWN[service][1]
    base = stack.info["gate"] if service == "gate" else stack.info["services"][service]
    method, body = ("POST", ASKED) if service == "gate" else ("GET", None)
    places: list[dict[str, Any]] = [
        {"params": {"access_token": token}},
        {"headers": {"Cookie": f"access_token={token}"}},
        {"headers": {"Authorization": f"Basic {token}"}},
        {"headers": {"Authorization": token}},
        {"headers": {"Proxy-Authorization": f"Bearer {token}"}},
        {"headers": {"X-Forwarded-Access-Token": token}},
    ]
    for place in places:
        answer = httpx.request(method, base + path, json=body, timeout=30, **place)
        assert_refused(answer, 401)
    count("forged, stale, swapped and confused tokens", len(places))


@SERVICES
def test_a_token_of_another_audience_opens_nothing(stack: Stack, service: str, count: Count) -> None:
    for other in OWN:
        if other != service:
            assert_no_way_in(stack, service, own(stack, other))
            count("forged, stale, swapped and confused tokens", 1)


@SERVICES
def test_an_expired_token_opens_nothing(stack: Stack, service: str, count: Count) -> None:
    assert_no_way_in(stack, service, expired(stack, OWN[service][0]))
    count("forged, stale, swapped and confused tokens", 1)


def test_a_token_of_this_audience_for_another_agency_is_forbidden_and_stores_nothing(stack: Stack) -> None:
    if stack.kind != "embedded":
        return  # Keycloak signs no such token: the realm gives no agency another's audience, which is tested there
    header, claims = parts(own(stack, "intake"))
    claims |= {"agency": "police-link", "organisation": "station-saddar", "roles": ["reporting_centre_system"]}
    for token in (
        signed(stack, header, claims),
        signed(stack, header, claims | {"roles": ["hospital_system"]}),
        signed(stack, header, parts(own(stack, "intake"))[1] | {"roles": ["police_officer"]}),
    ):
        with nothing_stored(stack):
            assert_refused(ask(stack, "intake", token), 403)


def issuer_key(stack: Stack) -> dict[str, Any]:
    """The issuer's public key of its tokens, as anybody can fetch it."""
    keys = (
        httpx.get(f"{stack.info['issuer']}/protocol/openid-connect/certs", timeout=30).raise_for_status().json()["keys"]
    )
    [found] = [each for each in keys if each.get("use") == "sig" and each["kty"] == "EC"]
    return dict(found)


def signed(stack: Stack, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Signed by the embedded issuer's own key, which only a test on the same machine can read."""
    key = ECKey.import_key(json.loads(Path(stack.home, "keys", "issuer.json").read_text()))
    return jwt.encode(header, claims, key)


def expired(stack: Stack, client: str) -> str:
    """A token of the stack's own issuer, right in all but its time."""
    if stack.kind == "embedded":
        header, claims = parts(tokens.token(stack.info, client))
        ended = int(time.time()) - EXPIRY_LEEWAY_S - 1
        return signed(stack, header, claims | {"iat": ended - 300, "exp": ended})
    return _expired_at_keycloak(stack, client)


def _expired_at_keycloak(stack: Stack, client: str) -> str:
    """The client's tokens live a second, for one token; then its few seconds of leeway are waited for."""
    from keycloak import KeycloakAdmin

    server = stack.info["keycloak"]
    admin = KeycloakAdmin(
        server_url=server["url"],
        username=server["admin"],
        password=server["password"],
        realm_name="amanat",
        user_realm_name="master",
    )
    found = admin.get_client_id(client)
    before = admin.get_client(found)
    admin.update_client(found, before | {"attributes": before["attributes"] | {"access.token.lifespan": "1"}})
    try:
        token = tokens.token(stack.info, client)
    finally:
        admin.update_client(found, before | {"attributes": before["attributes"] | {"access.token.lifespan": ""}})
    time.sleep(EXPIRY_LEEWAY_S + 2)
    return token
