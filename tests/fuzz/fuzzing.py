"""One run of schemathesis against one service of a running stack, with codes and barcodes that exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from amanat_local.demo import payloads
from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller

SEED = 20260112
CLAIMED = 8
RIGHTFUL = ["2xx", 404, 409, 412, 422, 428, 429]
"""Answers to data that fits the schema: 422 is for what a schema cannot say, an unknown recipient for instance."""
HERE = Path(__file__).parent

Values = Mapping[str, Sequence[str | int]]


@dataclass(frozen=True)
class Aim:
    """A service, the client that asks, and which dictionary of `opened()` each parameter draws from.

    `only` are the operations that a person of the cell may call; without it all those that are no person's alone.
    """

    name: str
    service: str
    """Or "gate", for its internal listener."""
    client: str
    operations: int
    parameters: Mapping[str, str]
    only: tuple[str, ...] = ()
    at_most: int = 1_000_000
    """Cases; fewer where each takes seconds."""
    also: tuple[int, ...] = ()
    """Rightful here and nowhere else."""

    def base(self, info: Mapping[str, Any]) -> str:
        """Where it listens."""
        return str(info["gate"] if self.service == "gate" else info["services"][self.service])

    @property
    def filters(self) -> list[str]:
        """How schemathesis is told so."""
        if self.only:
            return [part for name in self.only for part in ("--include-operation-id", name)]
        return [*(part for tag in PEOPLES for part in ("--exclude-tag", tag)), "--exclude-path-regex", PEOPLES_PATHS]


PEOPLES = ("emergencies", "disclosures outside", "court")
"""Tags of operations that refuse every system."""
PEOPLES_PATHS = r"^/v1/(calls|cases/\{case\}/claim)"
"""Other routes that refuse every system; a person's aim below takes each."""
HALVES = {
    "body.counterpart.agency": "agency",
    "body.counterpart.organisation": "organisation",
    "path.barcode": "barcodes",
}
LEDGER = {"path.position": "positions"}
AIMS = (
    Aim(
        "intake",
        "intake",
        "arcc-karachi-system",
        17,
        HALVES
        | LEDGER
        | {
            "path.case": "cases",
            "path.consent": "consents",
            "body.cell": "cell",
            "body.recipient.agency": "agency",
            "body.recipient.organisation": "organisation",
        },
    ),
    Aim(
        "emergencies",
        "intake",
        "arcc-karachi.mlo",
        4,
        {
            "path.case": "cases",
            "path.emergency": "emergencies",
            "body.case": "cases",
            "body.recipient.agency": "agency",
            "body.recipient.organisation": "organisation",
            "body.expires_at": "soon",
            "body.secrecy.review_at": "soon",
        },
        only=("open_emergency", "read_emergency", "ask_for_disclosure", "read_disclosures"),
        also=(410,),  # an emergency that its reviewer, whom another aim plays, found unjustified
    ),
    Aim(
        "approvals",
        "intake",
        "arcc-karachi.superintendent",
        4,  # the list has one form only
        {"path.case": "disclosed", "path.disclosure": "disclosures", "path.emergency": "emergencies"},
        only=("list_emergencies", "read_review", "review_emergency", "approve_disclosure", "refuse_disclosure"),
    ),
    Aim(
        "bundles",
        "intake",
        "arcc-karachi.records",
        2,
        {"path.case": "disclosed", "path.bundle": "bundles"},
        only=("make_bundle", "read_bundle"),
        at_most=60,
    ),
    Aim(
        "claims",
        "intake",
        "arcc-karachi.mlo",
        3,
        {
            "path.case": "claimed",
            "body.call": "calls",
            "body.pin": "pins",
            "body.duress_pin": "pins",
            "body.code_word": "words",
        },
        only=("issue_claim", "end_claim", "undo_withdrawal"),
    ),
    Aim(
        "calls",
        "intake",
        "arcc-karachi.mlo",
        3,
        # Whose claim the other aim ends has nothing to print.
        {"path.case": "printed", "path.call": "calls"},
        only=("print_claim", "list_calls", "finish_call"),
    ),
    Aim(
        "leases",
        "gate",
        "police-link-service",
        1,
        {
            "body.items[*].referral": "police-link",
            "body.items[*].organisation": "organisation",
            "body.items[*].purpose": "purpose",
        },
    ),
    Aim(
        "police-link",
        "police-link",
        "station-saddar-system",
        16,
        HALVES | LEDGER | {"path.code": "police-link", "body.url": "urls"},
    ),
    Aim("forensics", "forensics", "lab-karachi-system", 7, HALVES | LEDGER),
    Aim("legal-aid", "legal-aid", "partner-hamdam-system", 7, {"path.code": "legal-aid"} | LEDGER),
)


@dataclass(frozen=True)
class Report:
    """What schemathesis says of a run; `text` is its own report, for a reader of a failed test."""

    text: str
    cases: int
    failures: tuple[str, ...]
    errors: tuple[str, ...]
    never_accepted: tuple[str, ...]
    forgiven: int
    """Cases that were told to come again, and on the second call were answered."""

    def __str__(self) -> str:
        return f"{self.cases} cases, seed {SEED}, {self.forgiven} answered at the second call"


def opened(info: Mapping[str, Any], cases: int = 40) -> dict[str, list[Any]]:
    """Opens cases with referrals everywhere and a kit each; gives what exists, by the name of a dictionary.

    So many that a refusal finds one on which nobody has acted: each referral takes few acts, and thousands are tried.
    """
    found: dict[str, list[Any]] = {
        # drawn apart, they must fit each other all the same
        "agency": ["police-link"],
        "organisation": ["station-saddar"],
        "purpose": ["investigation"],
        "cell": ["arcc-karachi"],
        "positions": list(range(30)),
        # loopback, where nothing listens: whatever the fuzzer subscribes, no stranger is called
        "urls": ["http://127.0.0.1:9/amanat", "https://127.0.0.1:9/", "https://localhost/amanat"],
        "soon": [(datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds")],
    }
    hospital = Client(Teller(), "arcc-karachi-system", info["services"]["intake"], dict(info))
    for _ in range(cases):
        made = hospital.post("/v1/cases", payloads.CHILD, quiet=True).raise_for_status().json()
        found.setdefault("cases", []).append(made["case"])
        for referral in made["referrals"]:
            found.setdefault(referral["agency"], []).append(referral["referral"])
        barcode = f"FUZZ-{uuid4().hex[:8]}"
        hospital.post(f"/v1/cases/{made['case']}/kits", {"barcode": barcode}, quiet=True).raise_for_status()
        found.setdefault("barcodes", []).append(barcode)
        given = hospital.get(f"/v1/cases/{made['case']}/consents", quiet=True).json()["consents"]
        found.setdefault("consents", []).extend(consent["consent"] for consent in given)
    hospital.close()
    _break_the_glass(info, found)
    _take_back_from_afar(info, found)
    return found


def _take_back_from_afar(info: Mapping[str, Any], found: dict[str, list[Any]]) -> None:
    """Cases of adults, each with her claim and a call that the cell owes her. Few: case and call are drawn apart, and
    a case hears five wrong code words a day."""
    base = info["services"]["intake"]
    hospital, desk = (Client(Teller(), f"arcc-karachi{who}", base, dict(info)) for who in ("-system", ".mlo"))
    found["pins"], found["words"] = [str(number) for number in range(481516, 481536)], ["Blue Heron"]
    chosen = {"pin": found["pins"][0], "code_word": found["words"][0]}
    hers = payloads.consent("police-link", "station-saddar", ["identity"], payloads.SURVIVOR)
    adult = {"person": payloads.CHILD["person"] | {"birth_date": "1999-02-03"}, "consents": [hers]}
    for _ in range(CLAIMED):
        made = hospital.post("/v1/cases", adult, quiet=True).raise_for_status().json()
        found.setdefault("claimed", []).append(made["case"])
        claim = desk.post(f"/v1/cases/{made['case']}/claim", chosen, quiet=True).raise_for_status().json()
        signed_in = {"code": claim["code"], "pin": chosen["pin"]}
        with httpx.Client(base_url=base, timeout=60) as her:
            opened_page = her.post("/v1/my/sign-ins", json=signed_in).raise_for_status().json()
            taken = her.post("/v1/my/withdrawals", json={"session": opened_page["session"]}).raise_for_status().json()
        found.setdefault("calls", []).append(taken["call"])
    found["printed"] = [found["claimed"].pop()]
    hospital.close()
    desk.close()


def _break_the_glass(info: Mapping[str, Any], found: dict[str, list[Any]]) -> None:
    """An emergency at every case; and as many disclosures of one, since a case and its disclosure are drawn apart."""
    base = info["services"]["intake"]
    clinician, records = (Client(Teller(), f"arcc-karachi.{who}", base, dict(info)) for who in ("mlo", "records"))
    found["disclosed"] = found["cases"][:1]
    asked = {
        "recipient": {"agency": found["agency"][0], "organisation": found["organisation"][0]},
        "categories": ["incident"],
        "basis": "court_order",
        "reference": "Order 1",
        "expires_at": found["soon"][0],
    }
    for case in found["cases"]:
        opened_one = clinician.post("/v1/emergencies", {"reason": "invented", "case": case}, quiet=True)
        found.setdefault("emergencies", []).append(opened_one.raise_for_status().json()["emergency"])
        told = records.post(f"/v1/cases/{found['disclosed'][0]}/disclosures", asked, quiet=True)
        found.setdefault("disclosures", []).append(told.raise_for_status().json()["disclosure"])
    found["bundles"] = [_bundle(records, found["disclosed"][0])]
    clinician.close()
    records.close()


def _bundle(records: Client, case: str) -> str:
    """A court bundle, made once another service has cosigned a checkpoint."""
    deadline = time.monotonic() + 60
    while True:
        made = records.post(f"/v1/cases/{case}/bundles", payloads.COURT_ORDER, quiet=True)
        if made.status_code != httpx.codes.CONFLICT or time.monotonic() > deadline:
            return str(made.raise_for_status().json()["bundle"])
        time.sleep(0.5)


def fuzz(
    info: Mapping[str, Any], stack_file: Path, aim: Aim, values: Values, folder: Path, *, cases: int, coverage: bool
) -> Report:
    """Runs every check with the pinned seed on at least so many cases, spread over the service's operations.

    `coverage` adds schemathesis's own tour of the schema's edges, which takes as long again.
    """
    configuration = folder / "schemathesis.toml"
    configuration.write_text(_toml(aim, values, -(-cases // aim.operations), coverage))
    report, forgiven = folder / "report.json", folder / "forgiven"
    forgiven.touch()
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"]
    program += [f"{aim.base(info)}/openapi.json", "--checks", "all", "--no-color"]
    program += aim.filters
    program += ["--report", "json", "--report-json-path", str(report)]
    environment = {
        "FUZZ_STACK": str(stack_file),
        "FUZZ_CLIENT": aim.client,
        "FUZZ_RUN": uuid4().hex[:8],
        "FUZZ_FORGIVEN": str(forgiven),
        "PYTHONPATH": str(HERE),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(program, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if "urls" in aim.parameters.values():
        _unsubscribe(info, aim)
    text = done.stdout + done.stderr
    assert report.exists(), text
    return _read(json.loads(report.read_text()), text, len(set(forgiven.read_text().split())))


def _unsubscribe(info: Mapping[str, Any], aim: Aim) -> None:
    """An organisation may have few subscriptions, and whoever comes next on this stack needs one."""
    centre = Client(Teller(), aim.client, info["services"][aim.service], dict(info))
    while items := centre.get("/v1/subscriptions", quiet=True).raise_for_status().json()["items"]:
        for each in items:
            centre.delete(f"/v1/subscriptions/{each['subscription']}").raise_for_status()
    centre.close()


def _read(report: Mapping[str, Any], text: str, forgiven: int) -> Report:
    rates = report["valid_rates"]
    never = [name for name, phases in rates.items() if not any(phase["accepted"] for phase in phases.values())]
    assert report["complete"], text
    return Report(
        text=text,
        cases=report["test_cases"]["generated"],
        failures=tuple(f"{each['title']}: {', '.join(each['operations'])}" for each in report["failures"]),
        errors=tuple(str(each) for each in report["errors"]),
        never_accepted=tuple(never),
        forgiven=forgiven,
    )


def _toml(aim: Aim, values: Values, examples: int, coverage: bool) -> str:
    used = sorted(set(aim.parameters.values()))
    lines = [f"seed = {SEED}", 'hooks = "fuzz_hooks"', "warnings = false", "continue-on-failure = true"]
    lines += ["request-timeout = 60", "[cache]", "enabled = false", "[output.sanitization]", "enabled = false"]
    lines += ["[generation]", f"max-examples = {examples}", 'database = "none"']
    lines += ["with-security-parameters = false"]  # the token is right; `ignored_auth` tries without it and with others
    lines += [f"[phases.coverage]\nenabled = {str(coverage).lower()}"]
    lines += [f"[phases.stateful.generation]\nmax-examples = {max(5, examples // 10)}"]
    lines += ["[checks.positive_data_acceptance]", f"expected-statuses = {json.dumps([*RIGHTFUL, *aim.also])}"]
    lines += [f'[dictionaries."{name}"]\nvalues = {json.dumps(list(values[name]))}' for name in used]
    # an address of a stranger must never come out of the fuzzer: for these the dictionary is all there is
    lines += ["[parameters]"]
    for parameter, name in aim.parameters.items():
        probability = 1.0 if name == "urls" else 0.8
        lines.append(f'"{parameter}" = {{ dictionary = "{name}", probability = {probability} }}')
    return "\n".join(lines) + "\n"
