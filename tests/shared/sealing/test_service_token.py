"""A service's own token: proved by its key, to its issuer alone, fetched once for all who wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from amanat import service_token
from amanat.service_token import ServiceToken, TokenUnavailable

from .gates import Clock

ISSUER = "https://issuer.test/realms/amanat"
TOKEN_URL = ISSUER + "/protocol/openid-connect/token"
KEY = ECKey.generate_key("P-256")
JWK: Mapping[str, Any] = {**KEY.as_dict(private=True), "kid": "police-link-1"}


class Issuer:
    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.body: dict[str, Any] | None = None
        self.expires_in = 300
        self.failure: Exception | None = None

    async def answer(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == TOKEN_URL
        self.forms.append({name: values[0] for name, values in parse_qs(request.content.decode()).items()})
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        body = self.body or {"access_token": f"access-{len(self.forms)}", "expires_in": self.expires_in}
        return httpx.Response(self.status, json=body)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def token(issuer: Issuer, clock: Clock) -> ServiceToken:
    return ServiceToken(
        TOKEN_URL,
        "police-link-service",
        JWK,
        ISSUER,
        "amanat-gate",
        http=issuer.http(),
        now=lambda: 1_700_000_000.9,
        boottime=clock,
        identifier=lambda: "assertion-1",
    )


async def test_the_assertion_is_signed_with_es256_for_the_issuer_alone(token: ServiceToken, issuer: Issuer) -> None:
    assert await token() == "access-1"
    form = issuer.forms[0]
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert "client_secret" not in form
    assertion = jwt.decode(form["client_assertion"], KEY, algorithms=["ES256"])
    assert assertion.header == {"typ": "JWT", "alg": "ES256", "kid": "police-link-1"}
    assert assertion.claims == {
        "iss": "police-link-service",
        "sub": "police-link-service",
        "aud": ISSUER,
        "jti": "assertion-1",
        "iat": 1_700_000_000,
        "exp": 1_700_000_060,
    }


async def test_a_token_is_kept_until_thirty_seconds_before_it_expires(
    token: ServiceToken, issuer: Issuer, clock: Clock
) -> None:
    await token()
    clock.now = 1269.9
    assert await token() == "access-1"
    clock.now = 1270.0
    assert await token() == "access-2"


async def test_all_who_wait_get_one_token_from_one_request(token: ServiceToken, issuer: Issuer) -> None:
    assert set(await asyncio.gather(*(token() for _ in range(20)))) == {"access-1"}
    assert len(issuer.forms) == 1


async def test_a_refused_token_is_fetched_anew_and_a_newer_one_is_kept(token: ServiceToken, issuer: Issuer) -> None:
    old = await token()
    token.forget(old)
    assert await token() == "access-2"
    token.forget(old)
    assert await token() == "access-2"


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
async def test_an_issuer_that_is_away_gives_no_token_and_the_next_call_tries_again(
    token: ServiceToken, issuer: Issuer, failure: Exception
) -> None:
    issuer.failure = failure
    with pytest.raises(TokenUnavailable):
        await token()
    issuer.failure = None
    assert await token() == "access-2"


async def test_an_issuer_that_takes_too_long_gives_no_token(
    token: ServiceToken, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_token, "TIMEOUT_SECONDS", 0.0)
    with pytest.raises(TokenUnavailable):
        await token()


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, {"error": "SECRET"}), (500, {"x": 1}), (200, {"access_token": 5}), (200, {"token": "SECRET"})],
)
async def test_what_is_no_token_is_refused_without_being_quoted(
    token: ServiceToken, issuer: Issuer, status: int, body: dict[str, Any]
) -> None:
    issuer.status, issuer.body = status, body
    with pytest.raises(TokenUnavailable) as refused:
        await token()
    assert "SECRET" not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_only_a_private_p_256_key_will_do(issuer: Issuer) -> None:
    wrong: list[Mapping[str, Any]] = [
        KEY.as_dict(private=False),
        ECKey.generate_key("P-384").as_dict(private=True),
        OKPKey.generate_key("Ed25519").as_dict(private=True),
        {},
    ]
    for jwk in wrong:
        with pytest.raises(ValueError, match="the client's key is no"):
            ServiceToken(TOKEN_URL, "c", jwk, ISSUER, "amanat-gate", http=issuer.http())


async def test_the_key_is_read_from_its_file_and_never_shown(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "client.jwk"
    path.write_text(json.dumps(JWK))
    token = ServiceToken.from_file(TOKEN_URL, "c", path, ISSUER, "amanat-gate", http=issuer.http())
    assert await token() == "access-1"
    assert repr(token) == "ServiceToken(client_id='c')"
    for text in ("SECRET", "[]", "3", '"SECRET"'):
        path.write_text(text)
        with pytest.raises(ValueError, match="the client's key") as refused:
            ServiceToken.from_file(TOKEN_URL, "c", path, ISSUER, "amanat-gate", http=issuer.http())
        assert "SECRET" not in str(refused.value)
