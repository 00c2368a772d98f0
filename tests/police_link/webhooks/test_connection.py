"""A POST goes to the address that was checked, and a receiver's answer cannot hurt."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

import httpcore
import pytest

from police_link.webhooks.addresses import Address
from police_link.webhooks.connection import MAX_BODY, Caller, Unsent

from .receivers import Answer, Receiver, Request, always, certificate, receiver

pytestmark = pytest.mark.attack

NAME = "hooks.station.example"
PUBLIC, PUBLIC_6, LOOPBACK = "93.184.216.34", "2606:4700::1111", "127.0.0.1"


class Resolver:
    """Answers one list after another, and notes what it was asked for."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append((host, port))
        return [ip_address(each) for each in self.answers[len(self.asked) - 1]]


class Wire(httpcore.AsyncNetworkBackend):
    """Leads every address to one port of this machine, and notes where a connection would have gone."""

    def __init__(self, port: int, *, dead: Sequence[str] = ()) -> None:
        self.port = port
        self.dead = dead
        self.went: list[tuple[str, int]] = []
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.went.append((host, port))
        if host in self.dead:
            raise httpcore.ConnectError
        return await self._real.connect_tcp(LOOPBACK, self.port, timeout=timeout)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate(Path(tmp_path_factory.mktemp("tls")), NAME)


@pytest.fixture
async def secure(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Receiver]:
    async with receiver(tls[0]) as listening:
        listening.behave = always(200, b"ok")
        yield listening


@pytest.fixture
async def plain() -> AsyncIterator[Receiver]:
    async with receiver() as listening:
        yield listening


def calling(timeout_s: float = 5.0) -> Caller:
    return Caller(allow_private=True, timeout_s=timeout_s)


async def test_a_name_that_turns_private_after_the_check_is_not_looked_up_again(
    secure: Receiver, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    resolver, wire = Resolver([PUBLIC], [LOOPBACK]), Wire(secure.port)
    caller = Caller(allow_private=False, resolve=resolver, tls=tls[1], network=wire)
    reply = await caller.post(f"https://{NAME}/hook?a=b", {}, b"{}")
    assert (reply.status, reply.body) == (200, b"ok")
    assert resolver.asked == [(NAME, 443)]
    assert wire.went == [(PUBLIC, 443)]
    (request,) = secure.got
    assert request.server_name == NAME
    assert request.headers["host"] == NAME
    assert request.target == "/hook?a=b"

    with pytest.raises(Unsent) as unsent:
        await caller.post(f"https://{NAME}/hook", {}, b"{}")
    assert unsent.value.reason == "address-refused"
    assert wire.went == [(PUBLIC, 443)]


@pytest.mark.parametrize("bad", [LOOPBACK, "10.0.0.7", "169.254.169.254", "::1", "::ffff:10.0.0.7", "64:ff9b::7f00:1"])
async def test_nothing_is_sent_when_one_of_several_addresses_is_bad(secure: Receiver, bad: str) -> None:
    wire = Wire(secure.port)
    with pytest.raises(Unsent) as unsent:
        await Caller(allow_private=False, resolve=Resolver([PUBLIC, bad]), network=wire).post(
            f"https://{NAME}/", {}, b"{}"
        )
    assert unsent.value.reason == "address-refused"
    assert (wire.went, secure.got) == ([], [])


async def test_the_next_checked_address_is_tried_when_the_first_does_not_answer(
    secure: Receiver, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    wire = Wire(secure.port, dead=[PUBLIC_6])
    caller = Caller(allow_private=False, resolve=Resolver([PUBLIC_6, PUBLIC]), tls=tls[1], network=wire)
    assert (await caller.post(f"https://{NAME}:8443/", {}, b"{}")).status == 200
    assert wire.went == [(PUBLIC_6, 8443), (PUBLIC, 8443)]


async def test_a_certificate_of_another_name_ends_the_attempt(
    secure: Receiver, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    caller = Caller(allow_private=False, resolve=Resolver([PUBLIC]), tls=tls[1], network=Wire(secure.port))
    with pytest.raises(Unsent) as unsent:
        await caller.post("https://other.station.example/", {}, b"{}")
    assert unsent.value.reason == "connection"
    assert secure.got == []


async def test_environment_proxies_are_not_used(plain: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await calling().post(plain.url(), {}, b'{"type":"x"}')).status == 204


async def test_a_redirect_is_an_answer_and_is_not_followed(plain: Receiver) -> None:
    plain.behave = always(307, location=plain.url("/elsewhere"))
    assert (await calling().post(plain.url(), {}, b"{}")).status == 307
    assert [request.target for request in plain.got] == ["/hook"]


async def test_of_a_huge_body_four_kilobytes_are_read(plain: Receiver) -> None:
    plain.behave = always(200, b"x" * 50_000_000)
    began = time.monotonic()
    reply = await calling().post(plain.url(), {}, b"{}")
    assert (len(reply.body), reply.cut) == (MAX_BODY, True)
    assert time.monotonic() - began < 2


async def test_an_answer_that_takes_too_long_is_not_waited_for(plain: Receiver) -> None:
    async def slow(_: Request) -> Answer:
        await asyncio.sleep(30)
        return Answer()

    plain.behave = slow
    began = time.monotonic()
    with pytest.raises(Unsent) as unsent:
        await calling(timeout_s=0.3).post(plain.url(), {}, b"{}")
    assert unsent.value.reason == "timeout"
    assert time.monotonic() - began < 1.5


async def test_a_name_server_that_never_answers_counts_against_the_same_time() -> None:
    async def never(_: str, __: int) -> list[Address]:
        await asyncio.sleep(30)
        return []

    with pytest.raises(Unsent) as unsent:
        await Caller(allow_private=False, resolve=never, timeout_s=0.2).post(f"https://{NAME}/", {}, b"{}")
    assert unsent.value.reason == "timeout"


async def test_a_name_that_does_not_resolve_is_told_apart() -> None:
    async def unknown(_: str, __: int) -> list[Address]:
        raise OSError

    with pytest.raises(Unsent) as unsent:
        await Caller(allow_private=False, resolve=unknown).post(f"https://{NAME}/", {}, b"{}")
    assert unsent.value.reason == "unresolved"


async def test_a_closed_port_and_an_answer_that_is_not_http_are_failures_without_detail() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01 what?\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(2):
        with pytest.raises(Unsent) as unsent:
            await calling().post(f"http://{LOOPBACK}:{port}/", {}, b"{}")
        assert unsent.value.reason == "connection"
        server.close()
        await server.wait_closed()


async def test_where_private_networks_are_refused_loopback_is_not_reached(plain: Receiver) -> None:
    for url in (plain.url(), plain.url(scheme="https"), f"https://localhost:{plain.port}/"):
        with pytest.raises(Unsent) as unsent:
            await Caller(allow_private=False).post(url, {}, b"{}")
        assert unsent.value.reason == "url-refused"
    assert plain.got == []
