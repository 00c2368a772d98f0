"""Tokens: which are good, which are not, and what happens while the issuer is away."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from amanat.auth import Principal, require
from amanat.categories import Agency
from amanat.errors import IdentityUnavailable, Unauthenticated
from amanat.settings import ServiceSettings

from .issuers import Client, Issuer, MakeApp

Officer = Annotated[Principal, Depends(require("police_officer", "reporting_centre_system"))]
router = APIRouter()


@router.get("/me")
async def me(principal: Officer) -> dict[str, Any]:
    return {"agency": principal.agency, "organisation": principal.organisation, "tenants": sorted(principal.tenants)}


async def answer_to(token: str | None, make_app: MakeApp, client: Client) -> httpx.Response:
    async with client(make_app(router)) as http:
        return await http.get("/me", headers={"Authorization": f"Bearer {token}"} if token else {})


async def test_a_good_token_says_who_asks_and_for_whom(issuer: Issuer, make_app: MakeApp, client: Client) -> None:
    answer = await answer_to(issuer.token(), make_app, client)
    assert answer.status_code == 200
    assert answer.json() == {
        "agency": "police-link",
        "organisation": "station-saddar",
        "tenants": ["station-saddar"],
    }


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


async def test_without_and_with_a_bad_token_the_body_is_the_same(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    answers = [await answer_to(token, make_app, client) for token in (None, "nonsense", issuer.token(aud="other"))]
    assert [answer.status_code for answer in answers] == [401] * 3
    bodies = [{**answer.json(), "trace_id": ""} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [answer.headers["www-authenticate"] for answer in answers] == [
        'Bearer realm="amanat"',
        'Bearer realm="amanat", error="invalid_token"',
        'Bearer realm="amanat", error="invalid_token"',
    ]


async def test_another_agencys_token_and_a_missing_role_are_refused_alike(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    foreign = await answer_to(issuer.token(agency="forensics"), make_app, client)
    unknown = await answer_to(issuer.token(agency="counselling"), make_app, client)
    without_role = await answer_to(issuer.token(roles=["laboratory_analyst"]), make_app, client)
    for answer in (foreign, unknown, without_role):
        assert answer.status_code == 403
        assert {**answer.json(), "trace_id": ""} == {**foreign.json(), "trace_id": ""}
        assert answer.headers["www-authenticate"] == 'Bearer realm="amanat", error="insufficient_scope"'


async def test_the_gate_takes_every_agencys_service_and_only_where_it_says_so(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    gate = APIRouter()

    @gate.post("/leases")
    async def lease(service: Annotated[Principal, Depends(require("service", any_agency=True))]) -> str:
        return service.agency

    @gate.post("/others")
    async def others(service: Annotated[Principal, Depends(require("service"))]) -> str:
        return service.agency

    token = issuer.token(agency="forensics", roles=["service"])
    async with client(make_app(gate, service="intake-gate")) as http:
        http.headers["Authorization"] = f"Bearer {token}"
        assert (await http.post("/leases")).json() == "forensics"
        assert (await http.post("/others")).status_code == 403
        made_up = issuer.token(agency="counselling", roles=["service"])
        assert (await http.post("/leases", headers={"Authorization": f"Bearer {made_up}"})).status_code == 403


def test_a_route_that_names_no_role_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="at least one role"):
        require()


def test_at_intake_the_tenants_are_the_cells() -> None:
    clerk = Principal(
        agency=Agency.INTAKE,
        organisation="his-karachi",
        roles=frozenset({"cell_staff"}),
        cells=frozenset({"arcc-karachi"}),
        subject="s",
        client="c",
        token_id="t",
    )
    assert clerk.tenants == {"arcc-karachi"}


async def test_with_the_issuer_away_known_keys_go_on(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    issuer.away = True
    issuer.monotonic += 3600
    assert (await verifier.verify(issuer.token())).organisation == "station-saddar"
    await asyncio.sleep(0.01)
    assert issuer.fetches == 2  # it was tried, and nobody waited


async def test_with_the_issuer_away_from_the_start_tokens_cannot_be_checked(
    issuer: Issuer, make_app: MakeApp, client: Client
) -> None:
    issuer.away = True
    with pytest.raises(IdentityUnavailable):
        await issuer.verifier().verify(issuer.token())
    answer = await answer_to(issuer.token(), make_app, client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_new_key_of_the_issuer_is_found(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    issuer.keys.append(issuer.new_key("second"))
    issuer.monotonic += 10
    assert (await verifier.verify(issuer.token(key=issuer.keys[1]))).client == "station-saddar-system"


async def test_a_key_that_the_issuer_withdrew_ends(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    old = issuer.keys[0]
    await verifier.verify(issuer.token(key=old))
    issuer.keys = [issuer.new_key("second")]
    issuer.monotonic += 301
    await verifier.verify(issuer.token(key=old))  # starts the refresh
    await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(key=old))


async def test_made_up_key_ids_do_not_make_it_ask_more_than_every_ten_seconds(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await verifier.verify(issuer.token(key=issuer.new_key(f"made-up-{number}")))
    assert issuer.fetches == 1
    issuer.monotonic += 10
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(key=issuer.new_key("another")))
    assert issuer.fetches == 2


async def test_many_that_come_at_once_wait_for_one_fetch(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    await asyncio.gather(*(verifier.verify(issuer.token()) for _ in range(20)))
    assert issuer.fetches == 1


async def test_a_client_that_asks_too_often_is_told_when_to_come_again(
    issuer: Issuer, make_app: MakeApp, client: Client, settings: ServiceSettings
) -> None:
    slow = settings.model_copy(update={"rate_per_minute": 3})
    async with client(make_app(router, settings=slow)) as http:
        http.headers["Authorization"] = f"Bearer {issuer.token()}"
        answers = [await http.get("/me") for _ in range(4)]
        other = await http.get("/me", headers={"Authorization": f"Bearer {issuer.token(azp='station-clifton-system')}"})
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 120
    assert other.status_code == 200
