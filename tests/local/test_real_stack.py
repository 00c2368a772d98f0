"""The real stack's infrastructure: what Keycloak grants, what Kafka and it keep through a kill.

What Kafka refuses stands in tests/faults/test_matrix.py.
"""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from joserfc import jwt
from joserfc.jwk import KeySet
from typer.testing import CliRunner

from amanat_local import commands
from amanat_local.realm import DESK, REDIRECT_URI
from amanat_local.spawn import family
from amanat_local.stack import Stack
from amanat_local.tokens import NoToken, token

pytestmark = [pytest.mark.stack, pytest.mark.real]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack.start("real", Path(tmp_path_factory.mktemp("stack")), services=[]) as running:
        yield running


@pytest.fixture
def kafka(stack: Stack) -> Callable[[str], dict[str, Any]]:
    """aiokafka's connection settings for a user."""
    told = stack.info["kafka"]

    def of(user: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": told["bootstrap"],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": told["users"][user],
        }

    return of


async def test_kafka_keeps_what_was_acknowledged_through_a_kill(
    stack: Stack, kafka: Callable[[str], dict[str, Any]]
) -> None:
    where = TopicPartition("facts.forensics", 3)
    async with AIOKafkaProducer(**kafka("forensics"), enable_idempotence=True, acks="all") as producer:
        sent = await producer.send_and_wait(where.topic, b"kept", partition=where.partition)
    stack.kill("kafka")
    stack.start_process("kafka")
    async with AIOKafkaConsumer(**kafka("intake-gate")) as consumer:
        consumer.assign([where])
        consumer.seek(where, sent.offset)
        assert (await asyncio.wait_for(consumer.getone(), 10)).value == b"kept"


def claims(stack: Stack, name: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(httpx.get(f"{stack.info['issuer']}/protocol/openid-connect/certs").json())
    return dict(jwt.decode(token(stack.info, name), keys, algorithms=["ES256"]).claims)


def test_every_client_and_person_gets_the_claims_of_the_realm_and_no_other_audience(stack: Stack) -> None:
    for each in stack.realm.identities:
        said = claims(stack, each.name)
        assert said["iss"] == stack.info["issuer"]
        assert said["aud"] == each.audience
        assert said["exp"] - said["iat"] == 300
        assert (said["agency"], said["organisation"], sorted(said["roles"])) == (
            each.agency,
            each.organisation,
            sorted(each.roles),
        )
        assert said.get("cells", []) == list(each.cells)
        assert said.get("unit", "") == each.unit
        assert said["azp"] == (DESK if each.kind == "person" else each.name)
        assert said["sub"]
        assert said["jti"]
        assert not {"realm_access", "resource_access", "email", "preferred_username", "name"} & said.keys()


def test_the_desk_gets_no_code_without_pkce_and_nobody_by_password_alone(stack: Stack) -> None:
    asked = {"client_id": DESK, "redirect_uri": REDIRECT_URI, "response_type": "code", "scope": "openid"}
    answer = httpx.get(f"{stack.info['issuer']}/protocol/openid-connect/auth", params=asked)
    assert "error=invalid_request" in answer.headers["location"]
    asked["redirect_uri"] = "http://elsewhere/callback"
    assert httpx.get(f"{stack.info['issuer']}/protocol/openid-connect/auth", params=asked).status_code == 400
    name = "station-saddar.officer"
    form = {"grant_type": "password", "client_id": DESK, "username": name}
    form["password"] = stack.info["users"][name]["password"]
    assert httpx.post(stack.info["token_url"], data=form).status_code in {400, 401}


def test_a_wrong_password_gives_no_token(stack: Stack) -> None:
    name = "lab-karachi.analyst"
    users = stack.info["users"] | {name: stack.info["users"][name] | {"password": "guess"}}
    with pytest.raises(NoToken):
        token(stack.info | {"users": users}, name)


def test_keycloak_comes_back_with_its_realm_and_its_keys(stack: Stack) -> None:
    certs = f"{stack.info['issuer']}/protocol/openid-connect/certs"
    before = {key["kid"] for key in httpx.get(certs).json()["keys"]}
    stack.kill("keycloak")
    stack.start_process("keycloak")
    assert {key["kid"] for key in httpx.get(certs).json()["keys"]} == before
    assert claims(stack, "arcc-karachi-system")["agency"] == "intake"


def test_applying_the_realm_again_changes_no_claim(stack: Stack) -> None:
    names = ("police-link-service", "partner-hamdam.officer")
    before = [claims(stack, name) for name in names]
    done = CliRunner().invoke(commands.realm, ["apply", "--folder", str(stack.folder)])
    assert done.exit_code == 0, done.output
    for said, name in zip(before, names, strict=True):
        again = claims(stack, name)
        for fresh in ("exp", "iat", "jti", "sid", "auth_time"):
            said.pop(fresh, None)
            again.pop(fresh, None)
        assert again == said


def test_everything_listens_on_loopback_alone_and_secrets_are_the_owners(stack: Stack) -> None:
    for part in ("postgres", "kafka", "keycloak"):
        for member in family(stack.part(part).pid or 0):
            for connection in member.net_connections():
                assert connection.laddr.ip.removeprefix("::ffff:") in {"127.0.0.1", "::1"}
    for secret in (stack.folder / "stack.json", stack.home / "kept.json", stack.home / "kafka" / "server.properties"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    secrets = {*stack.info["kafka"]["users"].values(), stack.info["keycloak"]["password"]}
    for log in stack.logs.iterdir():
        assert not any(secret in log.read_text() for secret in secrets)
    assert json.loads((stack.folder / "stack.json").read_text())["kind"] == "real"
