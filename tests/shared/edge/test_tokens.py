"""Tokens: which are good and which are not, whoever forged them."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from amanat.errors import Unauthenticated

from .issuers import Issuer


async def test_an_audience_may_stand_alone_or_in_a_list(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    assert (await verifier.verify(issuer.token(aud="amanat-police-link"))).organisation == "station-saddar"
    assert (
        await verifier.verify(issuer.token(aud=["account", "amanat-police-link"]))
    ).client == "station-saddar-system"


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "another service's audience": {"aud": "amanat-forensics"},
    "an audience that only begins alike": {"aud": "amanat-police-link-2"},
    "an audience within a longer text": {"aud": {"amanat-police-link": 1}},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://issuer.test/realms/other"},
    "no issuer": {"iss": None},
    "no expiry": {"exp": None},
    "an expiry that is a text": {"exp": "9999999999"},
    "an expiry that is true": {"exp": True},
    "no time of issue": {"iat": None},
    "no subject": {"sub": None},
    "no client": {"azp": None},
    "no token id": {"jti": None},
    "no agency": {"agency": None},
    "no organisation": {"organisation": None},
    "an organisation that would name two tenants": {"organisation": "station-saddar,station-clifton"},
    "roles that are one text": {"roles": "police_officer"},
    "a refresh token": {"typ": "Refresh"},
    "an id token": {"typ": "ID"},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=list(BAD_CLAIMS))
async def test_a_token_with_a_wrong_claim_is_refused(issuer: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await issuer.verifier().verify(issuer.token(**changes))


async def test_an_expired_token_is_refused_within_five_seconds(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    now = int(issuer.now)
    issuer.now = float(now)
    await verifier.verify(issuer.token(exp=now - 4))
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(exp=now - 5))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_an_issuers_clock_may_run_half_a_minute_ahead_and_no_more(issuer: Issuer, claim: str) -> None:
    verifier = issuer.verifier()
    issuer.now = float(int(issuer.now))

    def changed(ahead_s: int) -> dict[str, Any]:
        return {claim: int(issuer.now) + ahead_s}

    await verifier.verify(issuer.token(**changed(30)))
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(**changed(31)))


def _two_parts(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
    )


def _unsigned(issuer: Issuer) -> str:
    return _two_parts({"alg": "none", "kid": "first"}, issuer.claims()) + "."


def _signed_with_the_public_key_as_a_secret(issuer: Issuer) -> str:
    # by hand: the library refuses to make such a token
    signed = _two_parts({"alg": "HS256", "kid": "first"}, issuer.claims())
    mac = hmac.digest(issuer.keys[0].as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _signed_by_a_stranger(issuer: Issuer) -> str:
    return issuer.token(key=issuer.new_key("first"))


def _signed_by_another_kind_of_key(issuer: Issuer) -> str:
    key = RSAKey.generate_key(2048, {"kid": "first"})
    return jwt.encode({"alg": "RS256", "kid": "first"}, issuer.claims(), key, algorithms=["RS256"])


def _without_a_key_id(issuer: Issuer) -> str:
    return jwt.encode({"alg": "ES256"}, issuer.claims(), issuer.keys[0], algorithms=["ES256"])


def _with_its_own_key_inside(issuer: Issuer) -> str:
    key = issuer.new_key("mine")
    header = {"alg": "ES256", "kid": "mine", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, issuer.claims(), key, algorithms=["ES256"])


def _changed_after_signing(issuer: Issuer) -> str:
    head, body, signature = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["organisation"] = "station-clifton"
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.{signature}"


@pytest.mark.parametrize(
    "forge",
    [
        _unsigned,
        _signed_with_the_public_key_as_a_secret,
        _signed_by_a_stranger,
        _signed_by_another_kind_of_key,
        _without_a_key_id,
        _with_its_own_key_inside,
        _changed_after_signing,
        lambda issuer: "not a token",
        lambda issuer: "a.b.c",
        lambda issuer: issuer.token(jti="x" * 17_000),
        lambda issuer: "ٹوکن",
    ],
)
async def test_a_forged_token_is_refused(issuer: Issuer, forge: Any) -> None:
    with pytest.raises(Unauthenticated):
        await issuer.verifier().verify(forge(issuer))


async def test_a_key_that_is_for_encryption_verifies_nothing(issuer: Issuer) -> None:
    signer = issuer.keys[0]
    issuer.keys = [ECKey.import_key({**signer.as_dict(private=True), "use": "enc"})]
    with pytest.raises(Unauthenticated):
        await issuer.verifier().verify(issuer.token(key=signer))


async def test_a_key_verifies_only_by_the_algorithm_it_is_for(issuer: Issuer) -> None:
    signer = RSAKey.generate_key(2048, {"kid": "rsa"})
    issuer.keys = [RSAKey.import_key({**signer.as_dict(private=True), "alg": "PS256"})]
    verifier = issuer.verifier()
    await verifier.verify(issuer.token(key=signer, header={"alg": "PS256"}))
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(key=signer, header={"alg": "RS256"}))
