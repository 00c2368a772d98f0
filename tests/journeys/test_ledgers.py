"""On the whole platform: every service witnesses all others, and what an insider rewrites is an alarm at the others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from amanat.schema import background_role
from amanat_local.demo import payloads
from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack

pytestmark = pytest.mark.stack
SERVICES = ("intake", "police-link", "forensics", "legal-aid")
WITHIN_S = 60.0
CUT = (
    "SELECT count(*) FROM ledger_alarms WHERE kind NOT IN ('unheard', 'uncosigned', 'sequencer_waits')"
    " AND acknowledged_at IS NULL"
)
"""Alarms that stop cosigning; the others end by themselves."""


def sql(stack: Stack, service: str, statement: str) -> str:
    """As superuser."""
    return stack.postgres.sql(service.replace("-", "_"), statement).strip()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def cosigners(stack: Stack, service: str) -> int:
    """How many witnesses cosigned the largest checkpoint of the service's ledger that anybody did."""
    return int(
        sql(
            stack,
            service,
            "SELECT count(DISTINCT witness) FROM cosignatures c JOIN ledger_checkpoints p USING (size, root)"
            " WHERE p.size > 0 AND p.size = (SELECT max(size) FROM ledger_checkpoints)",
        )
    )


def amanat(stack: Stack, service: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The operator's command on a service's database."""
    db = service.replace("-", "_")
    url = stack.info["databases"][db]["roles"][background_role(db)]
    return subprocess.run(
        [str(Path(sys.executable).with_name("amanat")), "ledger", *words, "--service", service],
        env={**os.environ, "COLUMNS": "200", "AMANAT_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def told(stack: Stack) -> Stack:
    """A case has been opened and looked at everywhere."""
    hospital = Client(Teller(), "arcc-karachi-system", stack.info["services"]["intake"], dict(stack.info))
    made = hospital.post("/v1/cases", payloads.CHILD, quiet=True).raise_for_status().json()
    hospital.get(f"/v1/cases/{made['case']}", quiet=True).raise_for_status()
    hospital.close()
    until(lambda: all(int(sql(stack, each, "SELECT count(*) FROM ledger_leaves")) > 0 for each in SERVICES[:1]), "leaf")
    return stack


def test_every_ledger_is_cosigned_by_all_other_services(told: Stack) -> None:
    until(lambda: cosigners(told, "intake") == 3, "intake's ledger is not cosigned by all others")
    for service in SERVICES:
        heard = "SELECT count(*) FROM witness_states WHERE stopped_at IS NULL AND size IS NOT NULL"
        until(lambda service=service, heard=heard: int(sql(told, service, heard)) == 3, f"{service} does not hear all")
        assert sql(told, service, CUT) == "0"


def test_an_insider_with_all_rights_on_one_database_is_seen_by_all_others(told: Stack) -> None:
    until(lambda: cosigners(told, "intake") == 3, "nothing is cosigned yet")
    entry = sql(told, "intake", "SELECT entry FROM ledger_leaves WHERE position = 0")
    spoil = f"UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = {entry}"
    kept = sql(told, "intake", f"SELECT encode(commitment, 'hex') FROM ledger_entries WHERE id = {entry}")
    others = SERVICES[1:]
    sql(told, "intake", spoil)
    try:
        for service in others:
            until(lambda service=service: int(sql(told, service, CUT)) > 0, f"{service} saw nothing")
            ready = told.info["workers"][service]
            shown = "fork: amanat.local/intake"
            until(
                lambda ready=ready, shown=shown: shown in httpx.get(f"{ready}/readyz").json().get("alarms", ()),
                f"{service} does not say so in /readyz",
            )
            listed = amanat(told, service, "alarms")
            assert listed.returncode == 1, listed.stderr
            assert "amanat.local/intake" in listed.stdout
            assert "fork" in listed.stdout
    finally:
        sql(told, "intake", f"UPDATE ledger_entries SET commitment = '\\x{kept}' WHERE id = {entry}")
    until(lambda: sql(told, "intake", "SELECT count(*) FROM ledger_alarms") != "0", "intake itself saw nothing")
    for service in SERVICES:
        # Until the checkpoint after the mend is heard, another alarm may follow the one that is closed.
        def quiet(service: str = service) -> bool:
            ticks = "SELECT count(*) FROM ledger_checkpoints"
            last = sql(told, service, "SELECT coalesce(max(id), 0) FROM ledger_alarms")
            amanat(told, service, "acknowledge", "amanat.local/intake", "--through", last, "--reason", "a test")
            seen = int(sql(told, service, ticks))
            until(lambda: int(sql(told, service, ticks)) > seen + 1, "no more ticks")
            return sql(told, service, CUT) == "0"

        until(quiet, f"{service} does not come to rest")
    until(lambda: cosigners(told, "intake") == 3, "cosigning did not go on")
