"""The embedded stack with all services: up in one go, and up again whatever is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from amanat_local.process import answers
from amanat_local.services import NAMES
from amanat_local.spawn import family, runs
from amanat_local.stack import Stack
from amanat_local.tokens import token

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack.start("embedded", Path(tmp_path_factory.mktemp("stack")))
    members = [member for name in running.info["processes"] for member in family(running.part(name).pid or 0)]
    assert len(members) >= len(NAMES) + 3
    yield running
    running.stop()
    assert not any(runs(member) for member in members)


def ready(stack: Stack, name: str) -> bool:
    agency = name.rpartition("-")[0]
    if name == "intake-gate":
        address = stack.info["gate"]
    else:
        address = stack.info["services" if name.endswith("-main") else "workers"][agency]
    return answers(httpx.URL(address).port or 0)()


def test_every_process_answers_and_stays_small(stack: Stack) -> None:
    assert stack.ended() == []
    for name in NAMES:
        assert ready(stack, name)
        assert family(stack.part(name).pid or 0)[0].memory_info().rss < 150_000_000


@pytest.mark.parametrize("name", ["intake-main", "intake-gate", "police-link-main", "police-link-worker"])
def test_a_killed_process_comes_back_on_its_address(stack: Stack, name: str) -> None:
    address = dict(stack.info["services"])
    stack.kill(name)
    assert stack.ended() == [name]
    assert not ready(stack, name)
    stack.start_process(name)
    assert ready(stack, name)
    assert stack.info["services"] == address


def test_a_new_broker_is_told_to_all_who_speak_to_it(stack: Stack) -> None:
    before = stack.info["kafka"]["bootstrap"]
    pids = {name: stack.part(name).pid for name in NAMES}
    stack.kill("broker")
    stack.start_process("broker")
    assert stack.info["kafka"]["bootstrap"] != before
    for name in NAMES:
        speaks = name.endswith(("-worker", "-gate"))
        assert (stack.part(name).pid != pids[name]) is speaks
        assert ready(stack, name)


def test_the_services_take_the_issuers_tokens_each_its_own_alone(stack: Stack) -> None:
    held = {
        "intake": "arcc-karachi-system",
        "police-link": "station-saddar-system",
        "forensics": "lab-karachi-system",
        "legal-aid": "partner-hamdam-system",
    }
    unknown = {
        "intake": "/v1/cases/C-0000-0000-0",
        "police-link": "/v1/referrals/P-0000-0000-0",
        "forensics": "/v1/kits/unknown",
        "legal-aid": "/v1/cases/L-0000-0000-0/summary",
    }
    for agency, client in held.items():
        for other, address in stack.info["services"].items():
            headers = {"authorization": f"Bearer {token(stack.info, client)}"}
            answer = httpx.get(f"{address}{unknown[other]}", headers=headers)
            assert (answer.status_code == 401) is (agency != other), (agency, other, answer.status_code)
            assert answer.status_code < 500
