"""Who is asking: tokens verified offline, and principals as parameter types.

A route asks for what it needs, and cannot be called without it::

    Officer = Annotated[Principal, Depends(require("police_officer", "reporting_centre_system"))]

    async def read_referral(code: str, principal: Officer) -> ...:

Signatures are checked against pinned algorithms and the issuer's cached keys (RFC 8725); issuer, audience and times
too. While the issuer is away, cached keys go on. No agency's token is good at another agency (law 1).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from amanat.categories import Agency
from amanat.errors import Forbidden, IdentityUnavailable, Unauthenticated
from amanat.principal import Claims, Principal

__all__ = ["Claims", "Principal", "Verifier", "require"]

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA", "Ed25519")
CLOCK_LEEWAY_S = 30  # an issuer's clock may run ahead of ours: for nbf and iat
EXPIRY_LEEWAY_S = 5  # an expired token stays expired
REFETCH_AT_MOST_EVERY_S = 10
REFRESH_AFTER_S = 300
MAX_TOKEN_BYTES = 16_384
REMEMBERED = 1_000  # tokens, by their digests

_log = structlog.get_logger("amanat.auth")
_bearer = HTTPBearer(auto_error=False, scheme_name="token", bearerFormat="JWT")


@dataclass(frozen=True)
class _Signed:
    """What a token says, which was signed with this key."""

    header: Mapping[str, Any]
    key: ECKey | RSAKey | OKPKey
    claims: Mapping[str, Any]


class Verifier:
    """Checks tokens of one issuer for one audience.

    A token's signature is checked once for each set of keys; what it says, its times among it, at each request.

    `http` fetches the key set, at most every 10 s whatever arrives, one fetch at a time. `now` is in epoch seconds.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        jwks_url: str,
        http: httpx.AsyncClient,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._jwks_url = jwks_url
        self._http = http
        self._now = now
        self._monotonic = monotonic
        self._keys: Mapping[str, ECKey | RSAKey | OKPKey] = {}
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._signed: OrderedDict[bytes, _Signed] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """Raises Unauthenticated, the same whatever is wrong; IdentityUnavailable if no key was ever fetched."""
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated(invalid_token=True)
        digest = hashlib.sha256(token.encode()).digest()
        signed = self._signed.get(digest)
        if signed is None or await self._key(signed.header) is not signed.key:
            signed = await self._verified(token)
            self._remember(digest, signed)
        return self._claims(signed.claims)

    async def _verified(self, token: str) -> _Signed:
        try:
            header = _header(token)
            key = await self._key(header)
            return _Signed(header, key, jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise Unauthenticated(invalid_token=True) from None

    def _remember(self, digest: bytes, signed: _Signed) -> None:
        self._signed[digest] = signed
        while len(self._signed) > REMEMBERED:
            self._signed.popitem(last=False)

    async def ready(self) -> None:
        """For `/readyz`: keys are there, or can be had. Raises IdentityUnavailable."""
        if not self._keys:
            await self._refetch()
        if not self._keys:
            raise IdentityUnavailable

    async def _key(self, header: Mapping[str, Any]) -> ECKey | RSAKey | OKPKey:
        kid = header.get("kid")
        if not isinstance(kid, str) or header.get("alg") not in ALGORITHMS:
            raise Unauthenticated(invalid_token=True)
        if kid not in self._keys:
            await self._refetch()
        elif self._monotonic() - self._fetched_at > REFRESH_AFTER_S:
            self._start_fetch()  # a key withdrawn by the issuer ends within minutes; nobody waits for it
        if not self._keys:
            raise IdentityUnavailable
        key = self._keys.get(kid)
        if key is None:
            raise Unauthenticated(invalid_token=True)
        return key  # joserfc holds it to its own `use` and `alg`

    async def _refetch(self) -> None:
        running = self._start_fetch()
        if running is not None:
            await asyncio.shield(running)

    def _start_fetch(self) -> asyncio.Task[None] | None:
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._monotonic() - self._tried_at < REFETCH_AT_MOST_EVERY_S:
            return None
        self._tried_at = self._monotonic()
        self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            answer = await self._http.get(self._jwks_url, timeout=3.0)
            answer.raise_for_status()
            keys = _public_keys(answer.json())
        except (httpx.HTTPError, JoseError, ValueError, TypeError, KeyError) as error:
            _log.warning("issuer keys not fetched", kind=type(error).__name__, cached=len(self._keys))
            return
        if keys:
            self._keys = keys
            self._fetched_at = self._monotonic()

    def _claims(self, claims: Mapping[str, Any]) -> Claims:
        now = self._now()
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        held = (
            claims.get("iss") == self._issuer
            and isinstance(audiences, list)
            and self._audience in audiences
            and claims.get("typ", "Bearer") == "Bearer"  # Keycloak marks refresh and id tokens here
            and _is_time(claims.get("exp"))
            and claims["exp"] > now - EXPIRY_LEEWAY_S
            and _is_time(claims.get("iat"))
            and claims["iat"] <= now + CLOCK_LEEWAY_S
            and ("nbf" not in claims or (_is_time(claims["nbf"]) and claims["nbf"] <= now + CLOCK_LEEWAY_S))
        )
        texts = [claims.get(name) for name in ("sub", "azp", "jti", "agency", "organisation")]
        roles, cells, unit = claims.get("roles"), claims.get("cells", []), claims.get("unit")
        named = all(_is_name(text) for text in texts) and (unit is None or _is_name(unit))
        if not held or not named or not _are_names(roles) or not _are_names(cells):
            raise Unauthenticated(invalid_token=True)
        subject, client, token_id, agency, organisation = (str(text) for text in texts)
        return Claims(
            subject=subject,
            client=client,
            token_id=token_id,
            agency=agency,
            organisation=organisation,
            roles=frozenset(roles or ()),
            cells=frozenset(cells or ()),
            expires_at=float(claims["exp"]),
            unit=unit or "",
        )


def _header(token: str) -> Mapping[str, Any]:
    return jws.extract_compact(token.encode("ascii")).headers()


def _public_keys(document: Any) -> dict[str, ECKey | RSAKey | OKPKey]:
    keys: dict[str, ECKey | RSAKey | OKPKey] = {}
    for entry in document["keys"]:
        # an unknown kind of key beside the known ones (RFC 7517, 5), and a shared secret, are passed over
        if entry.get("kty") not in {"EC", "RSA", "OKP"} or not isinstance(entry.get("kid"), str):
            continue
        try:
            key = JWKRegistry.import_key(entry)
        except (JoseError, ValueError):
            continue
        if isinstance(key, ECKey | RSAKey | OKPKey):
            keys[entry["kid"]] = key
    return keys


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_name(value: object) -> bool:
    # a comma would part one tenant into two where tenants are joined by commas
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() and "," not in value


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(_is_name(item) for item in value)


def require(*roles: str, any_agency: bool = False) -> Callable[..., Awaitable[Principal]]:
    """A dependency that gives the Principal if the token holds one of `roles` at this service's own agency.

    `any_agency` is for the gate's internal listener alone: there the audience keeps others out, and the agency that
    a lease is for comes from the token. Refusals: 401 without a valid token, 403 for another agency or role (one body).
    """
    if not roles:
        raise ValueError("require() needs at least one role: a missing role means no")
    allowed = frozenset(roles)

    async def principal(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Principal:
        if credentials is None:
            raise Unauthenticated(invalid_token="authorization" in request.headers)
        state = request.app.state
        claims: Claims = await state.verifier.verify(credentials.credentials)
        request.scope["amanat.client"] = claims.client
        state.limits.hit(claims.client)
        if not (any_agency or claims.agency == state.agency) or not claims.roles & allowed:
            raise Forbidden
        try:
            agency = Agency(claims.agency)
        except ValueError:
            raise Forbidden from None
        return Principal(
            agency=agency,
            organisation=claims.organisation,
            roles=claims.roles,
            cells=claims.cells,
            subject=claims.subject,
            client=claims.client,
            token_id=claims.token_id,
            unit=claims.unit,
        )

    return principal
