"""The embedded stack without services: what it starts, tells, survives and leaves behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from aiokafka import AIOKafkaProducer

from amanat_local.process import Process, answers, environment, python
from amanat_local.spawn import NotReady, family, free_port, runs
from amanat_local.stack import Stack

pytestmark = pytest.mark.stack

SERVER = """
import asyncio, signal, sys
async def app(reader, writer):
    await reader.readline()
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
    writer.close()
async def main():
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("serving", flush=True)
    async with await asyncio.start_server(app, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""


def server(folder: Path, *words: str, port: int | None = None) -> Process:
    port = port or free_port()
    return Process(
        name="server",
        argv=[sys.executable, "-c", SERVER, str(port), *words],
        env=environment({}),
        log=folder / "server.log",
        ready=answers(port),
        within_s=10,
        stop_within_s=0.5,
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack.start("embedded", Path(tmp_path_factory.mktemp("stack")), services=[]) as running:
        yield running


def test_a_process_is_ready_when_it_answers_and_gone_when_it_is_killed(tmp_path: Path) -> None:
    process = server(tmp_path)
    for _ in range(2):
        process.start()
        process.wait()
        assert process.pid
        members = family(process.pid)
        process.kill()
        assert process.pid is None
        assert not any(runs(member) for member in members)
    assert process.log.read_text() == "serving\n" * 2
    assert stat.S_IMODE(process.log.stat().st_mode) == 0o600


def test_a_process_that_does_not_drain_is_killed_in_time(tmp_path: Path) -> None:
    process = server(tmp_path, "stubborn")
    process.start()
    process.wait()
    began = time.monotonic()
    process.stop()
    assert 0.4 < time.monotonic() - began < 5
    assert process.pid is None


def test_a_process_that_fails_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process("failing", python("no_such_module"), environment({}), tmp_path / "log", ready=lambda: False)
    process.start()
    with pytest.raises(NotReady, match=r"failing ended with 1[\s\S]*No module named no_such_module"):
        process.wait()


def test_a_process_gets_no_setting_of_ours_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMANAT_DATABASE_URL", "another's")
    monkeypatch.setenv("PGPASSWORD", "another's")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "kept")
    assert "another's" not in environment({}).values()
    assert environment({})["OTEL_SERVICE_NAME"] == "kept"


def test_when_the_supervisor_is_killed_nothing_of_the_stack_is_left(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from amanat_local.stack import Stack\n"
        "Stack.start('embedded', Path(sys.argv[1]), services=[]); print('up', flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout
    assert supervisor.stdout.readline() == "up\n"
    members = family(supervisor.pid)
    assert len(members) > 4
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + 15
    while [member for member in members if runs(member)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stack_json_says_all_and_is_its_owners_alone(stack: Stack) -> None:
    file = stack.folder / "stack.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(file.read_text())
    assert told == stack.info
    assert told["kind"] == "embedded"
    assert set(told["services"]) == {"intake", "police-link", "forensics", "legal-aid"}
    assert set(told["databases"]) == {"intake", "police_link", "forensics", "legal_aid"}
    assert "arcc-karachi-system" in told["clients"]
    assert "arcc-karachi.mlo" in told["users"]
    assert all(told["processes"][name]["pid"] for name in ("postgres", "broker", "issuer"))
    assert set(told["environments"]) == told["processes"].keys() - {"postgres", "broker", "issuer"}


def listening(member: psutil.Process) -> set[str]:
    """The addresses of a process's sockets; none of one that ends meanwhile, as PostgreSQL's workers come and go."""
    try:
        return {connection.laddr.ip for connection in member.net_connections()}
    except psutil.NoSuchProcess:
        return set()
    except psutil.AccessDenied:  # of one's own, one that is just ending
        member.wait(timeout=30)
        return set()


def test_everything_listens_on_loopback_alone(stack: Stack) -> None:
    for part in ("postgres", "broker", "issuer"):
        heard: set[str] = set()
        for member in family(stack.part(part).pid or 0):
            heard |= listening(member)
        assert heard
        assert heard <= {"127.0.0.1", "::1"}


def test_the_issuer_comes_back_with_the_same_keys(stack: Stack) -> None:
    certs = f"{stack.info['issuer']}/protocol/openid-connect/certs"
    before = httpx.get(certs).json()
    stack.kill("issuer")
    with pytest.raises(httpx.ConnectError):
        httpx.get(certs)
    stack.start_process("issuer")
    assert httpx.get(certs).json() == before


def test_postgresql_comes_back_on_its_port_with_its_data(stack: Stack) -> None:
    assert stack.postgres
    stack.postgres.sql("intake", "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)")
    stack.kill("postgres")
    assert stack.ended() == ["postgres"]
    stack.start_process("postgres")
    assert stack.postgres.sql("intake", "SELECT id FROM kept") == "7\n"
    assert stack.ended() == []


async def test_the_broker_comes_back_empty_and_says_where(stack: Stack) -> None:
    stack.kill("broker")
    stack.start_process("broker")
    told = json.loads((stack.folder / "stack.json").read_text())
    async with AIOKafkaProducer(bootstrap_servers=told["kafka"]["bootstrap"]) as producer:
        assert (await producer.send_and_wait("facts.forensics", b"body")).offset == 0


def test_a_second_start_in_the_same_folder_keeps_addresses_passwords_and_data(tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        with Stack.start("embedded", tmp_path, services=[]) as running:
            told.append(running.info)
        assert not (tmp_path / "stack.json").exists()
    first, second = told
    for same in ("services", "gate", "issuer", "databases", "clients", "users"):
        assert first[same] == second[same]


def test_a_start_that_fails_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {member.pid for member in family(os.getpid())}
    monkeypatch.setattr("amanat_local.stack.ROLES", {"no such database": ("a", "b")})
    with pytest.raises(KeyError):
        Stack.start("embedded", tmp_path, services=[])
    assert {member.pid for member in family(os.getpid()) if runs(member)} <= before
