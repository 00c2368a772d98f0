"""Tokens that must not open anything, at every service and the gate: one clear problem, without a word of the token."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from amanat_local import tokens
from amanat_local.stack import Stack

from .refusing import CANARY, assert_refused, nothing_stored

pytestmark = pytest.mark.stack
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


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims, unverified."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))  # type: ignore[return-value]


def unpadded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


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


def other_key(header: dict[str, Any], claims: dict[str, Any]) -> str:
    key = ECKey.generate_key("P-256", {"kid": header["kid"], "use": "sig", "alg": "ES256"})
    return jwt.encode({"alg": "ES256", "kid": header["kid"], "typ": "JWT"}, claims, key)


def unknown_key(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return other_key(header | {"kid": CANARY}, claims)


def key_of_its_own(header: dict[str, Any], claims: dict[str, Any]) -> str:
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"})
    sent = {"alg": "ES256", "kid": header["kid"], "jwk": key.as_dict(private=False)}
    return jwt.encode(sent, claims, key)


def without_signature(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{unpadded(header | {'alg': 'none'})}.{unpadded(claims)}."


def no_token(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{CANARY}.{CANARY}.{CANARY}"


FORGERIES = [other_key, unknown_key, key_of_its_own, without_signature, no_token]


@SERVICES
@pytest.mark.parametrize("forge", FORGERIES)
def test_a_token_that_the_issuer_did_not_sign_opens_nothing(
    stack: Stack, service: str, forge: Callable[[dict[str, Any], dict[str, Any]], str]
) -> None:
    assert_no_way_in(stack, service, forge(*parts(own(stack, service))))


@SERVICES
def test_a_token_whose_claims_were_changed_opens_nothing(stack: Stack, service: str) -> None:
    token = own(stack, service)
    header, _, signature = token.split(".")
    changed = parts(token)[1] | {"organisation": CANARY}
    assert_no_way_in(stack, service, f"{header}.{unpadded(changed)}.{signature}")


@SERVICES
def test_a_token_of_another_audience_opens_nothing(stack: Stack, service: str) -> None:
    for other in OWN:
        if other != service:
            assert_no_way_in(stack, service, own(stack, other))


@SERVICES
def test_an_expired_token_opens_nothing(stack: Stack, service: str) -> None:
    assert_no_way_in(stack, service, expired(stack, OWN[service][0]))


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
