"""A time stamp by an authority: over this checkpoint, or not at all."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from amanat import verify
from amanat_local.postgres import Postgres
from intake.service import court_stamp

from .court import Court, codes, forged, story
from .world import World

CONFIG = """
[tsa]
default_tsa = t
[t]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
NEW_KEY = {"rsa": ["-newkey", "rsa:2048"], "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}
pytestmark = pytest.mark.needs("openssl")  # the authority here


@dataclass
class Authority:
    """One on loopback: `openssl ts`, behind as much HTTP as it takes."""

    folder: Path
    answers: str = "well"
    url: str = ""

    def make(self, kind: str, usage: str = "critical,timeStamping") -> None:
        (self.folder / "ts.cnf").write_text(CONFIG.format(folder=self.folder))
        (self.folder / "serial").write_text("01\n")
        self._openssl(
            "req", "-x509", *NEW_KEY[kind], "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
            "-subj", "/CN=Invented Time Authority", "-addext", f"extendedKeyUsage={usage}", "-days", "30",
        )  # fmt: skip

    def stamp(self, query: bytes) -> bytes:
        (self.folder / "q.tsq").write_bytes(query)
        self._openssl(
            "ts", "-reply", "-config", "ts.cnf", "-section", "t", "-queryfile", "q.tsq", "-signer", "cert.pem",
            "-inkey", "key.pem", "-out", "a.tsr",
        )  # fmt: skip
        return (self.folder / "a.tsr").read_bytes()

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        query = await reader.readexactly(length)
        if self.answers == "another":
            query = query[:24] + bytes(32) + query[56:]
        answer = b"no" if self.answers == "nonsense" else await asyncio.to_thread(self.stamp, query)
        status = b"500 No" if self.answers == "badly" else b"200 OK"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(answer), answer)
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[Authority]:
    made = Authority(tmp_path)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield made


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres], authority: Authority) -> AsyncIterator[Court]:
    state = world.main_app.state
    desk = state.desk
    told = await story(world, migrated("intake", "intake"))
    state.desk = replace(desk, instruments=replace(desk.instruments, timestamp_url=authority.url))
    yield told
    state.desk = desk


@pytest.mark.parametrize("kind", sorted(NEW_KEY))
async def test_a_stamped_bundle_says_when_and_that_the_authority_is_not_judged(
    court: Court, authority: Authority, kind: str
) -> None:
    authority.make(kind)
    answer = await court.ask()
    assert answer.json()["wrong"] == []
    packed = await court.read(answer.headers["Location"])
    verdict = verify.verify(packed, court.trusted)
    assert verdict.proven
    [said] = [each for each in verdict.proved if each.code == "timestamp"]
    assert said.told["name"] == "CN=Invented Time Authority"
    assert "timestamp_authority" in codes(verdict.not_proved)
    assert "no_timestamps" not in codes(verdict.not_proved)
    assert await court.read(answer.headers["Location"]) == packed


async def test_a_stamp_over_something_else_is_rejected(court: Court, authority: Authority) -> None:
    authority.make("ec")
    _, packed = await court.made()
    signer = court.world.instruments.bundle_signer
    assert signer is not None
    unpacked = verify.unpack(packed)
    good = authority.stamp(court_stamp.query(unpacked[verify.CHECKPOINT]))
    version = good.index(bytes.fromhex("a003020102")) + 4
    for other in (
        authority.stamp(court_stamp.query(b"another checkpoint")),
        good[:version] + b"\x05" + good[version + 1 :],  # a certificate of a version that there is not
        b"",
        b"\x30\x03\x02\x01\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30" * 5000,
    ):
        told = forged(packed, lambda files, put=other: files.update({verify.STAMP: put}), signer)  # type: ignore[misc]  # a default holds the loop's value
        assert codes(verify.verify(told, court.trusted).wrong) == ["timestamp_false"]


@pytest.mark.parametrize("answers", ["badly", "nonsense", "another"])
async def test_an_authority_that_fails_keeps_no_bundle_from_being_made(
    court: Court, authority: Authority, answers: str
) -> None:
    authority.make("ec")
    authority.answers = answers
    _, packed = await court.made()
    assert verify.STAMP not in verify.unpack(packed)
    assert "no_timestamps" in codes(verify.verify(packed, court.trusted).not_proved)


async def test_a_certificate_for_anything_else_stamps_nothing(court: Court, authority: Authority) -> None:
    authority.make("ec")
    honest = authority.stamp(court_stamp.query(b"told"))
    assert verify.read_stamp(honest, b"told").by == "CN=Invented Time Authority"
    with pytest.raises(ValueError, match="not what it must be"):
        verify.read_stamp(honest, b"other")
    usage = bytes.fromhex("2b06010505070308")  # timeStamping
    changed = honest.replace(usage, usage[:-1] + b"\3")  # codeSigning
    assert changed != honest
    with pytest.raises(ValueError, match="no certificate"):
        verify.read_stamp(changed, b"told")


async def test_an_authority_that_is_away_keeps_no_bundle_from_being_made(court: Court) -> None:
    state = court.world.main_app.state
    state.desk = replace(state.desk, instruments=replace(state.desk.instruments, timestamp_url="http://127.0.0.1:1/"))
    _, packed = await court.made()
    assert verify.verify(packed, court.trusted).proven
