"""On the whole platform: she sees who looked within a minute, and every lease of keys is accounted for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from amanat_local.demo import payloads
from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack

pytestmark = pytest.mark.stack
WITHIN_S = 60.0
"""DESIGN.md, "Looks"."""
SADDAR = ("police-link", "station-saddar")


def client(stack: Stack, name: str, service: str) -> Client:
    return Client(Teller(), name, stack.info["services"][service], dict(stack.info))


def offices(looks: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """(agency, organisation) → how often it looked."""
    found: dict[tuple[str, str], int] = {}
    for each in looks:
        office = (each["agency"], each["organisation"])
        found[office] = found.get(office, 0) + each["times"]
    return found


def test_within_a_minute_she_sees_every_office_that_looked(stack: Stack) -> None:
    hospital, station = (
        client(stack, "arcc-karachi-system", "intake"),
        client(stack, "station-saddar-system", "police-link"),
    )
    made = hospital.post("/v1/cases", payloads.CHILD, quiet=True).raise_for_status().json()
    code = next(each["referral"] for each in made["referrals"] if each["agency"] == "police-link")
    station.until(f"/v1/referrals/{code}", lambda answer: answer.status_code == 200, "the referral at the station")
    station.get(f"/v1/referrals/{code}", quiet=True).raise_for_status()
    recorded = int(stack.postgres.sql("police_link", f"SELECT count(*) FROM looks WHERE referral = '{code}'"))
    deadline, path = time.monotonic() + WITHIN_S, f"/v1/cases/{made['case']}"
    while (seen := offices(hospital.get(path, quiet=True).json()["looks"])).get(SADDAR, 0) < recorded:
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    assert seen[SADDAR] == recorded >= 2
    assert seen["intake", "arcc-karachi"] >= 1
    leases = stack.postgres.sql("intake", f"SELECT accounted_at IS NOT NULL FROM leases WHERE referral = '{code}'")
    assert set(leases.split()) == {"t"}
    hospital.close()
    station.close()
