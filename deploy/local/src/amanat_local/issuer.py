"""The embedded stack's issuer: Keycloak's paths and claims, for one machine. It starts only inside the embedded stack.

Clients prove themselves by `private_key_jwt` (RFC 7523) as at Keycloak. A person's token is granted directly for name
and password, by a grant type that only this issuer has: there is no login page here, so nothing to redirect to.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amanat_local.realm import DESK, REALM, TOKEN_SECONDS, Identity, Realm

PERSON_GRANT = "urn:amanat:embedded:person"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS_AT_MOST = 300
BODY_BYTES_AT_MOST = 65_536


class Denied(Exception):
    """An OAuth refusal (RFC 6749, 5.2): an error code, and nothing of what was sent."""

    status: ClassVar[int] = 401

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True)
class Configuration:
    """`realm.json` of a stack. `client_keys` is client → public JWK, `passwords` user → SHA-256 of the password."""

    issuer: str
    signing_key: dict[str, Any] = field(repr=False)
    identities: tuple[Identity, ...]
    client_keys: dict[str, dict[str, Any]]
    passwords: dict[str, str] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Configuration:
        document = json.loads(path.read_text())
        identities = tuple(
            Identity(**(each | {"roles": tuple(each["roles"]), "cells": tuple(each["cells"])}))
            for each in document.pop("identities")
        )
        return cls(identities=identities, **document)

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


def hashed(password: str) -> str:
    """For random passwords of full entropy alone; a chosen one would need a slow hash."""
    return hashlib.sha256(password.encode()).hexdigest()


class Issuer:
    """Grants tokens; `now` is in epoch seconds, `identifier` makes a token's `jti`."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        now: Callable[[], float] = time.time,
        identifier: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._configuration = configuration
        self._realm = Realm(configuration.identities)
        self._key = ECKey.import_key(configuration.signing_key)
        self._now = now
        self._identifier = identifier
        self._seen: dict[str, float] = {}

    @property
    def issuer(self) -> str:
        return self._configuration.issuer

    def keys(self) -> dict[str, Any]:
        return dict(KeySet([self._key]).as_dict(private=False))

    def grant(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The token endpoint's answer to this form. Raises Denied."""
        kind = form.get("grant_type")
        if kind == "client_credentials":
            identity = self._client(form)
            return self._answer(identity, client=identity.name)
        if kind == PERSON_GRANT:
            return self._answer(self._person(form), client=DESK)
        raise Denied("unsupported_grant_type")

    def _client(self, form: Mapping[str, str]) -> Identity:
        """RFC 7523, 3: signed by the client's own key, issuer and subject itself, this realm as audience, once only."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise Denied("invalid_client")
        name = form.get("client_id", "")
        identity = self._realm.get(name)
        public = self._configuration.client_keys.get(name)
        if identity is None or identity.kind == "person" or public is None:
            raise Denied("invalid_client")
        try:
            key = ECKey.import_key(public)
            claims = jwt.decode(form.get("client_assertion", ""), key, algorithms=["ES256"]).claims
        except (JoseError, ValueError, TypeError):
            raise Denied("invalid_client") from None
        now = self._now()
        audience, expiry, once = claims.get("aud"), claims.get("exp"), claims.get("jti")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != name or claims.get("sub") != name or self.issuer not in audiences:
            raise Denied("invalid_client")
        if not isinstance(expiry, int | float) or not now < expiry <= now + ASSERTION_SECONDS_AT_MOST:
            raise Denied("invalid_client")
        if not isinstance(once, str) or not once or not self._first_time(f"{name} {once}", expiry):
            raise Denied("invalid_client")
        return identity

    def _first_time(self, assertion: str, expiry: float) -> bool:
        now = self._now()
        for seen in [seen for seen, until in self._seen.items() if until <= now]:
            del self._seen[seen]
        if assertion in self._seen:
            return False
        self._seen[assertion] = expiry
        return True

    def _person(self, form: Mapping[str, str]) -> Identity:
        name = form.get("username", "")
        identity = self._realm.get(name)
        # Compared even for an unknown name, so that names cannot be told apart by time.
        expected = self._configuration.passwords.get(name, hashed(secrets.token_hex()))
        held = hmac.compare_digest(hashed(form.get("password", "")), expected)
        if not held or identity is None or identity.kind != "person" or form.get("client_id") != DESK:
            raise Denied("invalid_grant")
        return identity

    def _answer(self, identity: Identity, *, client: str) -> dict[str, Any]:
        issued = int(self._now())
        claims = {
            "iss": self.issuer,
            "aud": identity.audience,
            "iat": issued,
            "exp": issued + TOKEN_SECONDS,
            "jti": self._identifier(),
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.issuer}/{identity.name}")),
            "typ": "Bearer",
            "azp": client,
            **identity.claims(),
        }
        header = {"alg": "ES256", "typ": "JWT", "kid": self._key.kid}
        return {
            "access_token": jwt.encode(header, claims, self._key),
            "expires_in": TOKEN_SECONDS,
            "token_type": "Bearer",
        }


def create_app(issuer: Issuer) -> Starlette:
    base = f"/realms/{REALM}"
    endpoint = f"{issuer.issuer}/protocol/openid-connect"

    async def token(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_AT_MOST:
                return JSONResponse({"error": "invalid_request"}, 413)
        try:
            form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20))
            return JSONResponse(issuer.grant(form), headers={"cache-control": "no-store"})
        except ValueError:
            return JSONResponse({"error": "invalid_request"}, 400)
        except Denied as denied:
            return JSONResponse({"error": denied.error}, Denied.status, headers={"cache-control": "no-store"})

    async def certs(_: Request) -> Response:
        return JSONResponse(issuer.keys())

    async def described(_: Request) -> Response:
        return JSONResponse(
            {
                "issuer": issuer.issuer,
                "token_endpoint": f"{endpoint}/token",
                "jwks_uri": f"{endpoint}/certs",
                "grant_types_supported": ["client_credentials", PERSON_GRANT],
                "response_types_supported": [],
                "subject_types_supported": ["public"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        )

    async def ready(_: Request) -> Response:
        return JSONResponse({"status": "UP"})

    return Starlette(
        routes=[
            Route(f"{base}/protocol/openid-connect/token", token, methods=["POST"]),
            Route(f"{base}/protocol/openid-connect/certs", certs),
            Route(f"{base}/.well-known/openid-configuration", described),
            Route("/readyz", ready),
        ]
    )


def main(configuration: Path, port: int) -> None:
    if os.environ.get("AMANAT_EMBEDDED") != "1":
        sys.exit("The embedded issuer serves the embedded stack alone; anywhere else, use Keycloak.")
    app = create_app(Issuer(Configuration.read(configuration)))
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
