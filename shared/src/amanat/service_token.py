"""A service's own token: client credentials with `private_key_jwt` (RFC 7523), ES256.

The assertion's audience is the realm's issuer URL, not the token endpoint: one audience, which a server in the middle
of several cannot be made to accept for another.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, ValidationError

from amanat.boottime import boottime as real_boottime

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
EARLY_SECONDS = 30.0
TIMEOUT_SECONDS = 2.0


class TokenUnavailable(Exception):
    """The issuer did not give a token: away, too slow, or refusing this client. Carries no answer of its."""


class _Answer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    access_token: str
    expires_in: float


class ServiceToken:
    """`await token()` → the access token. Kept in memory until 30 s before it expires, fetched once for all who wait.

    `http` is the caller's, who closes it. `now` (seconds since 1970) dates the assertion; `boottime` counts the
    token's life from before it was asked for; `identifier` makes the assertion's `jti`.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_key_jwk: Mapping[str, Any],
        issuer: str,
        audience: str,
        *,
        http: httpx.AsyncClient,
        now: Callable[[], float] = time.time,
        boottime: Callable[[], float] = real_boottime,
        identifier: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """Raises ValueError if `client_key_jwk` is no private P-256 key."""
        self._token_url = token_url
        self._client_id = client_id
        self._issuer = issuer
        self._audience = audience
        self._http = http
        self._now = now
        self._boottime = boottime
        self._identifier = identifier
        self._key = _private_key(client_key_jwk)
        self._key_id = client_key_jwk.get("kid")
        self._token: str | None = None
        self._good_until = -math.inf
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    def from_file(
        cls, token_url: str, client_id: str, client_key_file: str | Path, issuer: str, audience: str, **parts: Any
    ) -> ServiceToken:
        """`client_key_file` holds the private JWK. Raises ValueError, OSError."""
        try:
            jwk: dict[str, Any] = dict(json.loads(Path(client_key_file).read_bytes()))
        except (ValueError, TypeError):
            raise ValueError("the client's key file is no JWK") from None
        return cls(token_url, client_id, jwk, issuer, audience, **parts)

    def __repr__(self) -> str:
        return f"ServiceToken(client_id={self._client_id!r})"

    async def __call__(self) -> str:
        """Raises TokenUnavailable."""
        async with self._one_at_a_time:
            if self._token is None or self._boottime() >= self._good_until:
                self._token = None
                self._token = await self._fetch()
            return self._token

    def forget(self, token: str) -> None:
        """A server answered 401 to this one: the next call fetches another. A newer one already here is kept."""
        if self._token == token:
            self._token = None

    async def _fetch(self) -> str:
        asked_at = self._boottime()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(),
            "audience": self._audience,
        }
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await self._http.post(self._token_url, data=form, headers={"accept": "application/json"})
        except (httpx.HTTPError, TimeoutError):
            raise TokenUnavailable("the issuer does not answer") from None
        if response.status_code != httpx.codes.OK:
            raise TokenUnavailable(f"the issuer refused this client with status {response.status_code}")
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError:
            raise TokenUnavailable("the issuer's answer is no token") from None
        self._good_until = asked_at + answer.expires_in - EARLY_SECONDS
        return answer.access_token

    def _assertion(self) -> str:
        issued = int(self._now())
        header: dict[str, Any] = {"alg": "ES256"}
        if self._key_id is not None:
            header["kid"] = self._key_id
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._issuer,
            "jti": self._identifier(),
            "iat": issued,
            "exp": issued + ASSERTION_SECONDS,
        }
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])


def _private_key(jwk: Mapping[str, Any]) -> ECKey:
    try:
        key = ECKey.import_key(dict(jwk))
    except (JoseError, ValueError, KeyError, TypeError):
        raise ValueError("the client's key is no EC key") from None
    if key.curve_name != "P-256" or not key.is_private:
        raise ValueError("the client's key is no private P-256 key")
    return key
