"""One operation asked as one identity: the path filled in, a body that would be taken, the answer made comparable."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from amanat_local.demo import payloads
from amanat_local.realm import GATE_AUDIENCE, Identity

from . import ground
from .ground import HERS, OWNERS, Ground

TABLE = Path(__file__).with_name("who_may.toml")
OF_THE_MOMENT = {"date", "traceparent", "x-request-id"}
PARAMETER = re.compile(r"\{(\w+)\}")
LEFT_OUT = {"trace_id"}
MADE = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Digests, and ids of what a request made."""


@dataclass(frozen=True)
class Operation:
    """One line of the table. `stranger` is the status for one of another organisation; None where there is nothing of
    another's to ask for."""

    service: str
    name: str
    roles: frozenset[str]
    anyone: bool
    stranger: int | None
    last: bool

    @property
    def method(self) -> str:
        return self.name.split(" ")[0]

    @property
    def audience(self) -> str:
        return GATE_AUDIENCE if self.service == "gate" else f"amanat-{self.service}"

    def refusal(self, who: Identity) -> int | None:
        """401, 403, or None for who may, if only of their own."""
        if self.anyone:
            return None
        if who.audience != self.audience:
            return 401
        return None if set(who.roles) & self.roles else 403

    def strange_to(self, who: Identity) -> bool:
        """Whether what is asked for is another organisation's."""
        return self.stranger is not None and who.organisation != OWNERS[self.service]

    def __str__(self) -> str:
        return f"{self.service}: {self.name}"


def operations() -> list[Operation]:
    """The table, with what changes least first."""
    found = [
        Operation(
            service,
            name,
            frozenset(line.get("roles", ())),
            line.get("anyone", False),
            None if line.get("anyone") or line.get("stranger") == "own" else line.get("stranger", 404),
            line.get("last", False),
        )
        for service, lines in tomllib.loads(TABLE.read_text()).items()
        for name, line in lines.items()
    ]
    return sorted(found, key=lambda each: (each.last, each.method != "GET"))


@dataclass(frozen=True)
class Asked:
    """An answer less what is its moment's: names that stood in the request, and ids that were made for it, are taken
    out. `told` are the ground's names that it says and nobody asked with."""

    status: int
    body: Any
    headers: tuple[tuple[str, str], ...]
    told: frozenset[str] = field(compare=False)


def ask(http: httpx.Client, operation: Operation, token: str | None, on: Ground, *, nobodys: bool = False) -> Asked:
    """Asks for the ground's things, or for ones that never were."""
    names = (on.nobodys if nobodys else on.things)[operation.service]
    method, path = operation.name.split(" ")
    path = PARAMETER.sub(lambda found: names[found[1]], path)
    headers = {"Idempotency-Key": uuid4().hex} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = None
    if method == "POST":
        body = _body(operation, names)
        headers["Content-Type"] = "application/fhir+json" if path == "/fhir" else "application/json"
    sent = None if body is None else json.dumps(body)
    answer = http.request(method, on.base(operation.service) + path, content=sent, headers=headers)
    said = f"{answer.text} {answer.headers}"
    told = frozenset(name for name in on.secrets if name in said and name not in f"{path} {sent}")
    return _comparable(answer, [value for name, value in names.items() if name != "position"], told)


def _comparable(answer: httpx.Response, names: Sequence[str], told: frozenset[str]) -> Asked:
    def bare(text: str) -> str:
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, "…")
        return MADE.sub("…", text)

    text = bare(answer.text)
    body = json.loads(text) if text and "json" in answer.headers.get("content-type", "") else text
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in LEFT_OUT}
    headers = sorted((name, bare(value)) for name, value in answer.headers.items() if name.lower() not in OF_THE_MOMENT)
    return Asked(answer.status_code, body, tuple(headers), told)


def _body(operation: Operation, names: Mapping[str, str]) -> Any:
    """A body that its owner could send."""
    at_the_station = payloads.half("police-link", ground.STATION)
    at_the_cell = payloads.half("intake", ground.CELL)
    return {
        "/v1/cases": lambda: ground.adult("MLC-0") | {"cell": names["cell"]},
        "/v1/cases/search": lambda: {"mlc_number": names["mlc"]},
        "/v1/cases/{case}/records": lambda: {"kind": "care_note", "record": {"notes": "invented"}},
        "/v1/cases/{case}/consents": lambda: payloads.consent(
            "police-link", ground.STATION, ["digital"], payloads.SURVIVOR
        ),
        "/v1/cases/{case}/kits": lambda: {"barcode": f"SAK-{uuid4().hex[:8]}"},
        "/v1/cases/{case}/bundles": lambda: payloads.COURT_ORDER,
        "/v1/cases/{case}/disclosures": ground.outside,
        "/v1/cases/{case}/claim": lambda: HERS,
        "/v1/cases/{case}/claim/undo": lambda: {"call": names["call"], "code_word": HERS["code_word"]},
        "/v1/emergencies": lambda: {"reason": "invented", "case": names["case"]},
        "/v1/emergencies/{emergency}/review": lambda: {"finding": "justified", "note": "invented"},
        "/v1/my/sign-ins": lambda: {"code": "M-0000-0000-0", "pin": "000000"},
        "/v1/my/view": lambda: {"session": "invented"},
        "/v1/my/withdrawals": lambda: {"session": "invented"},
        "/fhir": lambda: json.loads(ground.ARRIVAL.read_text().replace("{run}", uuid4().hex[:8])),
        "/v1/referrals/{code}/acknowledgement": lambda: payloads.ACKNOWLEDGEMENT,
        "/v1/referrals/{code}/fir": lambda: payloads.FIR,
        "/v1/subscriptions": lambda: {"url": "http://127.0.0.1:9/"},
        "/v1/kits/{barcode}/release": lambda: at_the_cell if operation.service == "forensics" else at_the_station,
        "/v1/kits/{barcode}/receipt": lambda: (
            at_the_station | ({"accepted": True} if operation.service == "forensics" else {})
        ),
        "/v1/kits/{barcode}/report": lambda: payloads.REPORT,
        "/v1/cases/{code}/assignment": lambda: payloads.ASSIGNMENT,
        "/internal/v1/leases": lambda: {
            "items": [{"referral": names["code"], "organisation": ground.STATION, "purpose": "investigation"}]
        },
        "/v1/cases/{case}/disclosures/{disclosure}/refusal": lambda: {"reason": "invented"},
        "/v1/cases/{case}/disclosures/{disclosure}/ending": lambda: {"reason": "invented"},
    }.get(operation.name.split(" ")[1], dict)()
