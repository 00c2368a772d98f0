"""Addresses that try to reach inside: none becomes a subscription, and no name that leads there is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from uuid import uuid4

import httpcore
import pytest
from counting import Count

from amanat.agency.testing import World
from amanat.categories import Agency
from amanat_local.postgres import Postgres
from police_link.webhooks.connection import Caller

from .conftest import SADDAR, Station
from .receivers import receiver

pytestmark = pytest.mark.attack
Serve = Callable[..., Awaitable[World]]
INSIDE = ("127.0.0.1", "10.0.0.8", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0")
LEAST = 80
PUBLIC = "93.184.216.34"


def writings(dotted: str) -> Iterator[str]:
    """The ways in which some resolver, library or browser reads this address."""
    number, octets = int(IPv4Address(dotted)), [int(each) for each in dotted.split(".")]
    yield from (dotted, f"{dotted}.", f"[::ffff:{dotted}]", f"[64:ff9b::{dotted}]", f"[::{dotted}]")
    yield f"[{IPv6Address((0x2002 << 112) | (number << 80))}]"
    yield from (str(number), hex(number), f"0{number:o}", str(number + 2**32))
    yield from (".".join(hex(each) for each in octets), ".".join(f"0{each:o}" for each in octets))
    yield from (f"{octets[0]}.{number & 0xFFFFFF}", f"{octets[0]}.{octets[1]}.{number & 0xFFFF}")
    yield from (dotted.replace(".", "%2e"), dotted.replace(".", "。"), f"{octets[0]:03d}.{dotted.partition('.')[2]}")


URLS = [
    *(f"https://{host}/hook" for each in INSIDE for host in writings(each)),
    *(f"https://{host}/" for host in ("[::1]", "[::]", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]", "[ff02::1]")),
    *(f"https://{host}/" for host in ("localhost", "LOCALHOST", "localhost.", "a.localhost", "kafka", "postgres")),
    "http://station.example/",
    "https://station.example@127.0.0.1/",
    "https://127.0.0.1#@station.example/",
    "https://station.example\\@127.0.0.1/",
    "https://station.example:5432/",
    "https://station.example:443@127.0.0.1/",
    "https:127.0.0.1/",
    "https:///127.0.0.1/",
    "//127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:9092/_x",
    "unix:///run/postgresql",
    "https://station.example/\r\nHost: 127.0.0.1",
]
"""Each refused at the door."""
BEHIND_A_NAME = [
    *INSIDE,
    *("127.1.2.3", "10.255.255.255", "172.31.255.255", "192.0.0.8", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
    *("2002:7f00:1::", "2001:0:a00:1::", "2001:db8::1", "64:ff9b:1::a00:1", "::127.0.0.1", "100::1"),
]
"""Each the answer of a name server to a name that looks like anybody's."""


class NoWire(httpcore.AsyncNetworkBackend):
    """Notes where a connection would have gone, and makes none."""

    def __init__(self) -> None:
        self.went: list[str] = []

    async def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        self.went.append(host)
        raise httpcore.ConnectError


@pytest.fixture
async def careful(serve: Serve, postgres: Postgres) -> Station:
    """A station as it is deployed: no private networks."""
    made = await serve(Agency.POLICE_LINK, role="reporting_centre_system")
    async with receiver() as nobody:
        return Station(made, nobody, postgres, Caller(allow_private=False))


async def test_no_writing_of_an_address_inside_becomes_a_subscription(careful: Station, count: Count) -> None:
    taken = []
    async with careful.world.client(SADDAR) as client:
        for url in URLS:
            answer = await client.post("/v1/subscriptions", json={"url": url}, headers={"Idempotency-Key": uuid4().hex})
            if (answer.status_code, url in answer.text) != (422, False):
                taken.append((url, answer.status_code))
    assert taken == []
    assert careful.rows("SELECT count(*) FROM webhook_subscriptions") == ["0"]
    assert len(URLS) >= LEAST
    count("webhook addresses that reach inside", len(URLS))


@pytest.mark.parametrize("good_first", [False, True])
async def test_no_name_that_leads_inside_is_called(careful: Station, good_first: bool, count: Count) -> None:
    wire, answers = NoWire(), iter([*BEHIND_A_NAME, PUBLIC])

    async def resolve(host: str, port: int) -> list[IPv4Address | IPv6Address]:
        bad = next(answers)
        found: list[IPv4Address | IPv6Address] = [IPv6Address(bad) if ":" in bad else IPv4Address(bad)]
        return [IPv4Address(PUBLIC), *found] if good_first else found

    careful.caller = Caller(allow_private=False, resolve=resolve, network=wire)
    careful.sending = careful.worker()
    careful.world.desk = replace(careful.world.desk, clock=lambda: datetime.now(UTC))

    async def subscribe_and_send(number: int) -> str:
        made = await careful.subscribe(url=f"https://station-{number}.example/hook")
        assert await careful.send() == 1
        async with careful.world.client(SADDAR) as client:
            shown = await client.get(f"/v1/subscriptions/{made['subscription']}")
            await client.delete(f"/v1/subscriptions/{made['subscription']}")
        return str(shown.json()["state"])

    assert {await subscribe_and_send(number) for number in range(len(BEHIND_A_NAME))} == {"pending"}
    assert wire.went == []
    await subscribe_and_send(0)
    assert set(wire.went) == {PUBLIC}
    count("webhook names that lead inside", len(BEHIND_A_NAME))
