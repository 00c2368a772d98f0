"""An issuer in the test's own hands: its keys, its tokens, its clocks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey

from amanat.auth import Verifier

MakeApp = Callable[..., FastAPI]
Client = Callable[[FastAPI], httpx.AsyncClient]

ISSUER = "https://issuer.test/realms/amanat"
AUDIENCE = "amanat-police-link"


class Issuer:
    """Signs tokens and serves its keys without a network; `now` and `monotonic` are its test's clocks."""

    def __init__(self) -> None:
        self.keys = [self.new_key("first")]
        self.fetches = 0
        self.away = False
        self.now = time.time()
        self.monotonic = 1000.0

    @staticmethod
    def new_key(kid: str) -> Any:
        return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})

    def serve(self, request: httpx.Request) -> httpx.Response:
        self.fetches += 1
        if self.away:
            raise httpx.ConnectError("away", request=request)
        return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})

    def verifier(self, audience: str = AUDIENCE) -> Verifier:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.serve))
        return Verifier(
            ISSUER, audience, f"{ISSUER}/certs", http, now=lambda: self.now, monotonic=lambda: self.monotonic
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        claims = {
            "iss": ISSUER,
            "aud": [AUDIENCE, "account"],
            "exp": int(self.now) + 300,
            "iat": int(self.now),
            "sub": "station-saddar.officer",
            "azp": "station-saddar-system",
            "jti": str(uuid.uuid4()),
            "agency": "police-link",
            "organisation": "station-saddar",
            "roles": ["police_officer"],
            "cells": [],
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, key: Any = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        signer = key or self.keys[0]
        protected = {"alg": "ES256", "kid": signer.kid, **(header or {})}
        return jwt.encode(protected, self.claims(**changes), signer, algorithms=[protected["alg"]])
