"""What attackers come for: one case of one cell, and one of everything that can hang on a case."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from amanat.categories import Agency
from amanat.codes import PREFIX, new_code
from amanat_local.demo import payloads
from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack

CELL, STATION, LABORATORY, PARTNER = "arcc-karachi", "station-saddar", "lab-karachi", "partner-hamdam"
OWNERS = {
    "intake": CELL,
    "police-link": STATION,
    "forensics": LABORATORY,
    "legal-aid": PARTNER,
    "gate": "police-link",
}
"""Service → the organisation that the things asked for belong to."""
HERS = {"code_word": "Blue Heron", "pin": "481516"}
ARRIVAL = Path(__file__).parents[3] / "examples" / "bundles" / "arrival.json"
WITHIN_S = 60.0


def _no_code(agency: Agency) -> str:
    return new_code(PREFIX[agency], lambda n: uuid4().bytes[:n])


@dataclass(frozen=True)
class Ground:
    """`things` are what there is, by service and the name of a path's parameter."""

    info: Mapping[str, Any]
    mlc: str
    things: Mapping[str, Mapping[str, str]]

    @cached_property
    def nobodys(self) -> Mapping[str, Mapping[str, str]]:
        """Names for all of it that never were."""
        made = {
            "case": _no_code(Agency.INTAKE),
            "barcode": f"SAK-{uuid4().hex[:8]}",
            "cell": "arcc-nowhere",
            "mlc": f"MLC-{uuid4().hex[:8]}",
            "position": str(2**40),
        }
        codes = {"police-link": _no_code(Agency.POLICE_LINK), "legal-aid": _no_code(Agency.LEGAL_AID)}
        codes["gate"] = codes["police-link"]
        return {
            service: {name: codes[service] if name == "code" else made.get(name, str(uuid4())) for name in things}
            for service, things in self.things.items()
        }

    @property
    def secrets(self) -> frozenset[str]:
        """Every name of it, none of which a stranger may be told."""
        return frozenset(
            value
            for things in self.things.values()
            for name, value in things.items()
            if name not in {"position", "cell"}
        )

    def base(self, service: str) -> str:
        """Where a service listens."""
        return str(self.info["gate"] if service == "gate" else self.info["services"][service])


@contextmanager
def client(info: Mapping[str, Any], service: str, name: str) -> Iterator[Client]:
    """One who may."""
    base = info["gate"] if service == "gate" else info["services"][service]
    made = Client(Teller(), name, base, dict(info))
    try:
        yield made
    finally:
        made.close()


def prepare(stack: Stack) -> Ground:
    """Opens the case, and waits until every agency has its part."""
    info, mlc, barcode = stack.info, f"MLC-{uuid4().hex[:8]}", f"SAK-{uuid4().hex[:8]}"
    with client(info, "intake", f"{CELL}-system") as hospital:
        opened = _made(hospital.post("/v1/cases", adult(mlc), quiet=True))
        case = opened["case"]
        _made(hospital.post(f"/v1/cases/{case}/kits", {"barcode": barcode}, quiet=True))
        consents = hospital.get(f"/v1/cases/{case}/consents", quiet=True).json()["consents"]
    codes = {each["agency"]: each["referral"] for each in opened["referrals"]}
    things = {
        "intake": {"case": case, "barcode": barcode, "cell": CELL, "mlc": mlc, "consent": consents[0]["consent"]}
        | _by_people(info, case),
        "police-link": {"code": codes["police-link"], "barcode": barcode, "subscription": _subscription(info)},
        "forensics": {"barcode": barcode},
        "legal-aid": {"code": codes["legal-aid"]},
        "gate": {"code": codes["police-link"]},
    }
    _until_told(info, things)
    for service in ("intake", "police-link", "forensics", "legal-aid"):
        things[service]["position"] = _a_leaf(stack, service)
    return Ground(info, mlc, things)


def adult(mlc: str) -> dict[str, Any]:
    """A case that all three agencies have a part of."""
    shared = {"police-link": STATION, "forensics": LABORATORY, "legal-aid": PARTNER}
    return {
        "person": {"full_name": "Invented Person", "birth_date": "1990-01-01", "mlc_number": mlc},
        "incident": {"history": "invented"},
        "examination": {"opinion": "invented", "examination_request": "invented"},
        "care": {"notes": "invented"},
        "consents": [
            payloads.consent(agency, organisation, ["identity", "incident", "examination"], payloads.SURVIVOR)
            for agency, organisation in shared.items()
        ],
    }


def soon() -> str:
    """In a month."""
    return (datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds")


def outside() -> dict[str, Any]:
    """A disclosure that a court ordered."""
    return {
        "recipient": {"agency": "police-link", "organisation": STATION},
        "categories": ["incident"],
        "basis": "court_order",
        "reference": "Order 1",
        "expires_at": soon(),
    }


def _by_people(info: Mapping[str, Any], case: str) -> dict[str, str]:
    with client(info, "intake", f"{CELL}.mlo") as clinician, client(info, "intake", f"{CELL}.records") as records:
        emergency = _made(clinician.post("/v1/emergencies", {"reason": "invented", "case": case}, quiet=True))
        disclosure = _made(records.post(f"/v1/cases/{case}/disclosures", outside(), quiet=True))
        claim = _made(clinician.post(f"/v1/cases/{case}/claim", HERS, quiet=True))
        bundle = _bundle(records, case)
    with httpx.Client(base_url=info["services"]["intake"], timeout=60) as her:
        visit = _made(her.post("/v1/my/sign-ins", json={"code": claim["code"], "pin": HERS["pin"]}))["session"]
        back = {"session": visit, "agency": "legal-aid", "organisation": PARTNER, "category": "examination"}
        call = _made(her.post("/v1/my/withdrawals", json=back))["call"]
    return {
        "emergency": emergency["emergency"],
        "disclosure": disclosure["disclosure"],
        "bundle": bundle,
        "call": call,
    }


def _bundle(records: Client, case: str) -> str:
    """Made once another service has cosigned a checkpoint."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        made = records.post(f"/v1/cases/{case}/bundles", payloads.COURT_ORDER, quiet=True)
        if made.status_code != httpx.codes.CONFLICT or time.monotonic() > deadline:
            return str(_made(made)["bundle"])
        time.sleep(0.5)


def _subscription(info: Mapping[str, Any]) -> str:
    # Loopback, where nothing listens: it is never verified, and nothing is sent there.
    with client(info, "police-link", f"{STATION}-system") as centre:
        return str(_made(centre.post("/v1/subscriptions", {"url": "http://127.0.0.1:9/"}, quiet=True))["subscription"])


def _until_told(info: Mapping[str, Any], things: Mapping[str, Mapping[str, str]]) -> None:
    paths = {
        "police-link": (f"{STATION}-system", f"/v1/kits/{things['police-link']['barcode']}"),
        "forensics": (f"{LABORATORY}-system", f"/v1/kits/{things['forensics']['barcode']}"),
        "legal-aid": (f"{PARTNER}-system", f"/v1/cases/{things['legal-aid']['code']}/summary"),
    }
    for service, (name, path) in paths.items():
        with client(info, service, name) as asker:
            asker.until(path, lambda answer: answer.status_code == httpx.codes.OK, f"{service} is told", WITHIN_S)


def _a_leaf(stack: Stack, service: str) -> str:
    """Where an entry of the owner's stands in its service's published tree. (As superuser: the cell's own clients learn
    positions from bundles only.)"""
    assert stack.postgres is not None
    asked = (
        "SELECT min(l.position) FROM ledger_leaves l JOIN ledger_entries e ON e.id = l.entry"
        f" WHERE e.tenant = '{OWNERS[service]}' AND l.position < (SELECT max(size) FROM ledger_checkpoints)"
    )
    deadline = time.monotonic() + WITHIN_S
    while not (found := stack.postgres.sql(service.replace("-", "_"), asked).strip()):
        assert time.monotonic() < deadline, f"{service}: no checkpoint holds an entry of {OWNERS[service]}"
        time.sleep(0.5)
    return found


def _made(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.raise_for_status().json()
    return found
