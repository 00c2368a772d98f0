"""The examples run as their READMEs say, as programs of their own, against the running stack."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from amanat_local import tokens
from amanat_local.stack import Stack

pytestmark = pytest.mark.stack
EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT_S = 20.0


def run(program: str, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / program), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def output(program: str, *arguments: str, cwd: Path | None = None, **environment: str) -> str:
    done = run(program, *arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ask():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s"
        time.sleep(0.2)


@pytest.fixture
def stack_file(stack: Stack) -> str:
    return str(stack.folder / "stack.json")


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    """The hospital's example, as of another survivor each time."""
    body = (EXAMPLES / "hospital" / "case.json").read_text().replace("0099", uuid4().hex[:8])
    file = tmp_path / "case.json"
    file.write_text(body)
    return file


def test_a_hospital_opens_a_case_and_is_told_of_each_referral(stack_file: str, case_file: Path) -> None:
    told = output("hospital/post_case.py", "--stack", stack_file, "--client", "arcc-karachi-system", str(case_file))
    code, *referrals = told.splitlines()
    assert code.startswith("C-")
    assert referrals == [
        "  lab-karachi: waiting_for_consent, shares nothing; still missing: consent",
        "  partner-hamdam: open, shares contact, identity, incident",
        "  station-saddar: open, shares identity, incident",
    ]
    assert "C-7KQ2-M4XD-3\n" + "\n".join(referrals) in (EXAMPLES / "hospital" / "README.md").read_text()


def test_a_hospital_is_told_where_its_case_is_wrong(stack: Stack, case_file: Path) -> None:
    case_file.write_text(json.dumps({"person": {"birth_date": "2150-01-01"}}))
    plain = ["--intake", stack.info["services"]["intake"], "--issuer", stack.info["issuer"]]
    key = stack.info["clients"]["arcc-karachi-system"]["key_file"]
    done = run("hospital/post_case.py", *plain, "--client", "arcc-karachi-system", "--key-file", key, str(case_file))
    assert done.returncode == 1
    assert "/person/birth_date" in done.stderr
    assert "422 invalid-input" in done.stderr


def test_a_partner_pulls_each_summary_once(stack_file: str, case_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "feed.cursor"
    pull = ["legal_aid_partner/pull_summaries.py", "--stack", stack_file, "--client", "partner-hamdam-system"]
    pull += ["--state", str(state)]
    output(*pull)
    output("hospital/post_case.py", "--stack", stack_file, "--client", "arcc-karachi-system", str(case_file))
    pulled: list[dict[str, object]] = []

    def arrived() -> bool:
        pulled.extend(json.loads(line) for line in output(*pull).splitlines())
        return bool(pulled)

    until(arrived)
    [summary] = pulled
    assert str(summary["referral"]).startswith("L-")
    assert isinstance(summary["parts"], dict)
    assert set(summary["parts"]) <= {"identity", "incident", "contact"}
    assert output(*pull) == ""


def test_a_station_subscribes_reads_its_feed_and_acknowledges(
    stack: Stack, stack_file: str, case_file: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    receiver = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "police_station" / "receiver.py"), "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    told = {
        "AMANAT_TOKEN": tokens.token(stack.info, "station-saddar-system"),
        "AMANAT_POLICE_LINK": stack.info["services"]["police-link"],
    }

    def station(*arguments: str) -> str:
        return output("police_station/client.py", *arguments, cwd=tmp_path, **told)

    made = None
    try:
        until(lambda: _listens(port))
        made = json.loads(station("subscribe", f"http://127.0.0.1:{port}/"))["subscription"]
        until(lambda: json.loads(station("subscription", made))["state"] == "active")
        before = set(station("feed").splitlines())
        output("hospital/post_case.py", "--stack", stack_file, "--client", "arcc-karachi-system", str(case_file))
        new: list[str] = []

        def arrived() -> bool:
            new[:] = sorted(set(station("feed").splitlines()) - before)
            return bool(new)

        until(arrived)
        code = json.loads(new[0])["referral"]
        assert "identity" in json.loads(station("read", code))["parts"]
        assert json.loads(station("acknowledge", code))["referral"] == code
    finally:
        receiver.terminate()
        receiver.wait(10)
        if made:  # so that later tests' events do not go to nobody
            headers = {"Authorization": f"Bearer {told['AMANAT_TOKEN']}"}
            httpx.delete(f"{told['AMANAT_POLICE_LINK']}/v1/subscriptions/{made}", headers=headers)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
