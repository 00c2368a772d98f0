"""`amanat stack` and `amanat token` as a user calls them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amanat_local import maven
from amanat_local.missing import Missing
from amanat_local.spawn import family, runs

CALL = [sys.executable, "-m", "amanat_local.commands"]


def amanat(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CALL, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def token_for(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    code = "from amanat_local.commands import token; token()"
    return subprocess.run([sys.executable, "-c", code, name], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Path]:
    started = amanat(tmp_path, "up", "--infrastructure", "--detach")
    assert started.returncode == 0, started.stderr
    yield tmp_path
    amanat(tmp_path, "down")


@pytest.mark.stack
def test_a_detached_stack_is_shown_restarted_and_stopped_without_a_trace(up: Path) -> None:
    told = json.loads((up / ".amanat" / "stack.json").read_text())
    members = family(told["pid"])
    shown = amanat(up, "status")
    assert shown.returncode == 0
    for name in ("postgres", "broker", "issuer", "arcc-karachi-system", "lab-lahore.analyst"):
        assert name in shown.stdout

    assert amanat(up, "restart", "issuer").returncode == 0
    again = json.loads((up / ".amanat" / "stack.json").read_text())
    assert again["processes"]["issuer"]["pid"] != told["processes"]["issuer"]["pid"]
    assert again["issuer"] == told["issuer"]
    unknown = amanat(up, "restart", "nobody")
    assert (unknown.returncode, unknown.stderr.strip()) == (1, "there is no process nobody")

    second = amanat(up, "up", "--infrastructure")
    assert second.returncode == 1
    assert "already runs" in second.stderr

    assert amanat(up, "down").returncode == 0
    assert not any(runs(member) for member in members)
    assert amanat(up, "status").returncode == 1


@pytest.mark.stack
def test_a_client_and_a_person_get_their_token_and_a_stranger_none(up: Path) -> None:
    for name in ("station-saddar-system", "station-saddar.officer", "forensics-service"):
        printed = token_for(up, name)
        assert printed.returncode == 0, printed.stderr
        assert printed.stdout.count(".") == 2
        assert len(printed.stdout.split()) == 1
    stranger = token_for(up, "nobody")
    assert (stranger.returncode, stranger.stdout) == (1, "")


@pytest.mark.stack
def test_what_ends_by_itself_is_started_again(up: Path) -> None:
    told = json.loads((up / ".amanat" / "stack.json").read_text())
    before = told["processes"]["issuer"]["pid"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while json.loads((up / ".amanat" / "stack.json").read_text())["processes"]["issuer"]["pid"] in {before, None}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.stack
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("once_there", ["embedded/kept.json", "embedded/postgres", "stack.json"])
def test_ctrl_c_stops_everything_whether_it_comes_early_or_late(
    tmp_path: Path, how: signal.Signals, once_there: str
) -> None:
    started = subprocess.Popen([*CALL, "up", "--infrastructure"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / ".amanat" / once_there).exists():
        assert started.poll() is None
        time.sleep(0.01)
    members = family(started.pid)
    started.send_signal(how)
    _, said = started.communicate(timeout=30)
    assert started.returncode == 0, said
    assert "Traceback" not in said
    assert not any(runs(member) for member in members)
    assert not (tmp_path / ".amanat" / "stack.json").exists()


def test_without_a_running_stack_each_command_says_how_to_start_one(tmp_path: Path) -> None:
    for words in (("status",), ("restart", "issuer"), ("down",)):
        done = amanat(tmp_path, *words)
        assert "amanat stack up" in done.stderr
        assert done.returncode == (0 if words == ("down",) else 1)
    assert "amanat stack up" in token_for(tmp_path, "station-saddar-system").stderr


def test_the_real_stack_without_java_says_what_to_install(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [*CALL, "up", "--stack", "real"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "apt-get install openjdk-17-jre-headless" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_without_maven_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for download in (maven.download_kafka, maven.download_keycloak):
        with pytest.raises(Missing, match="apt-get install maven"):
            download()
    assert not list((tmp_path / "cache" / "amanat").glob("*keycloak-*"))


def test_a_download_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.jar").write_bytes(b"one")
    pinned = {"one.jar": hashlib.sha256(b"one").hexdigest()}
    maven.verify(tmp_path, pinned)
    with pytest.raises(Missing, match=r"one\.jar is not the pinned file"):
        maven.verify(tmp_path, {"one.jar": hashlib.sha256(b"two").hexdigest()})
    with pytest.raises(Missing, match=r"two\.jar is missing or too many"):
        maven.verify(tmp_path, pinned | {"two.jar": ""})
    (tmp_path / "three.jar").touch()
    with pytest.raises(Missing, match=r"three\.jar is missing or too many"):
        maven.verify(tmp_path, pinned)
