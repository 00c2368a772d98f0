"""The story of `make demo`, compact: two cases from arrival to withdrawal, each step once what it needs is there.

Every step waits until the cell knows of the one before it, so that two tellings leave the same behind them, whatever
stood still for a while in between.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amanat_local.demo import payloads
from amanat_local.demo.receiver import Receiver

from .patient import PATIENCE_S, GaveUp, Patient

BUNDLE = Path(__file__).parents[2] / "examples" / "bundles" / "arrival.json"
CELL = ("intake", "arcc-karachi")
STATION = ("police-link", "station-saddar")
LABORATORY = ("forensics", "lab-karachi")
PARTNER = ("legal-aid", "partner-hamdam")
SYSTEMS = {
    "intake": "arcc-karachi-system",
    "police-link": "station-saddar-system",
    "forensics": "lab-karachi-system",
    "legal-aid": "partner-hamdam-system",
}


class Deliveries(Receiver):
    """The reporting centre's receiver, which counts what it was sent by `webhook-id`."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.attempts = 0
        self._came = threading.Condition()
        super().__init__()

    def wait_for(self, referrals: set[str]) -> None:
        """Returns when each of them was announced. Raises GaveUp."""
        with self._came:
            if not self._came.wait_for(lambda: referrals <= set(self.ids.values()), PATIENCE_S):
                raise GaveUp("the webhooks did not come")

    def _verified(self, body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
        event = super()._verified(body, headers)
        if event is not None and "referral" in event["data"]:
            told = {name.lower(): value for name, value in headers.items()}
            with self._came:
                self.attempts += 1
                self.ids[told["webhook-id"]] = event["data"]["referral"]
                self._came.notify_all()
        return event


@dataclass
class Story:
    """Played once on a running stack. `names` says what each code that came up stands for in any telling.

    `steps` are the requests so far (`steps_played`: at the end), one that is sent or asked again counted once.
    """

    info: dict[str, Any]
    run: str = field(default_factory=lambda: secrets.token_hex(6).upper())
    names: dict[str, str] = field(default_factory=dict)
    subscription: str = ""
    steps: int = 0
    steps_played: int = 0
    took_s: float = 0.0

    def __post_init__(self) -> None:
        self._open = ExitStack()
        self._stepped = threading.Condition()
        self._over = False
        self.barcode = f"KIT-{self.run}"
        self.names |= {self.barcode: "<kit>", self.run: "<run>"}
        self.by = {
            agency: Patient(self.info, name, self.info["services"][agency], self.run, self._step)
            for agency, name in SYSTEMS.items()
        }
        for client in self.by.values():
            self._open.callback(client.close)
        self.receiver = Deliveries()
        self._open.callback(self.receiver.close)
        self.cell, self.station = self.by["intake"], self.by["police-link"]
        self.laboratory, self.partner = self.by["forensics"], self.by["legal-aid"]

    def play(self) -> None:
        """From the arrivals to both withdrawals. Raises GaveUp."""
        began = time.monotonic()
        try:
            self._play()
        finally:
            self.took_s = time.monotonic() - began
            with self._stepped:
                self._over, self.steps_played = True, self.steps
                self._stepped.notify_all()

    def wait_for_step(self, number: int) -> bool:
        """Returns when this step begins: True; or when the story ended without it: False."""
        with self._stepped:
            self._stepped.wait_for(lambda: self._over or self.steps >= number)
            return self.steps >= number

    def _play(self) -> None:
        self.subscribe()
        self.first, self.second = self.first_arrival(), self.second_arrival()
        self.taken_up()
        self.kit_goes_round(self.second)
        self.reported_and_shared(self.second)
        self.withdrawn(self.first)  # before any FIR
        self.withdrawn(self.second)  # after it

    def close(self) -> None:
        """Leaves no subscription and no server behind."""
        with self._open:
            if self.subscription:
                self.station.delete(f"/v1/subscriptions/{self.subscription}")

    def subscribe(self) -> None:
        made = self.station.post("subscribe", "/v1/subscriptions", {"url": self.receiver.url}, 201)
        self.subscription = made["subscription"]
        self.names[self.subscription] = "<subscription>"
        self.receiver.knows(made["secret"])
        path = f"/v1/subscriptions/{self.subscription}"
        self.station.until(path, "", lambda shown: shown["state"] == "active", "the handshake")

    def first_arrival(self) -> dict[str, str]:
        """An adult, by a FHIR bundle."""
        bundle = BUNDLE.read_bytes().replace(b"{run}", self.run.encode())
        self.cell.post("first arrival", "/fhir", bundle, 200, media_type="application/fhir+json")
        found = self.cell.post("search", "/v1/cases/search", {"hospital_record_number": f"HRN-{self.run}"}, 200)
        [code] = found["cases"]
        return self._case("first", code)

    def second_arrival(self) -> dict[str, str]:
        """A child and her mother, by JSON."""
        person = payloads.CHILD["person"] | {"hospital_record_number": f"HRN2-{self.run}"}
        body = payloads.CHILD | {"presented_at": datetime.now(UTC).isoformat(), "person": person}
        return self._case("second", self.cell.post("second arrival", "/v1/cases", body, 201)["case"])

    def taken_up(self) -> None:
        """Announced, pulled, acknowledged."""
        cases = (self.first, self.second)
        self.receiver.wait_for({case["police-link"] for case in cases})
        for case in cases:
            code, which = case["police-link"], self.names[case["case"]]
            self._read(self.station, f"/v1/referrals/{code}", code, {"identity", "incident", "examination"})
            path = f"/v1/referrals/{code}/acknowledgement"
            self.station.post(f"{which} acknowledged", path, payloads.ACKNOWLEDGEMENT, 201)
            self._cell_sees(case, "referral_acknowledged")

    def kit_goes_round(self, case: dict[str, str]) -> None:
        """Cell → station → laboratory, and the report."""
        path = f"/v1/kits/{self.barcode}"
        self.cell.post("kit opened", f"/v1/cases/{case['case']}/kits", {"barcode": self.barcode}, 201)
        self.cell.post("cell released", f"{path}/release", payloads.half(*STATION), 201)
        self.station.until(path, case["police-link"], lambda shown: bool(shown["kits"]), "the kit at the station")
        self.station.post("station received", f"{path}/receipt", payloads.half(*CELL), 201)
        self._halves(case, 2)
        self.station.post("station released", f"{path}/release", payloads.half(*LABORATORY), 201)
        self._halves(case, 3)
        self._read(self.laboratory, path, case["forensics"], {"examination", "incident"})
        received = payloads.half(*STATION, accepted=True)
        self.laboratory.post("laboratory received", f"{path}/receipt", received, 202)
        self._halves(case, 4)
        self.laboratory.post("report", f"{path}/report", payloads.REPORT, 201)
        self._cell_sees(case, "referral_reported")

    def reported_and_shared(self, case: dict[str, str]) -> None:
        """The FIR reaches the laboratory and the partner, who assigns counsel."""
        self.station.post("fir", f"/v1/referrals/{case['police-link']}/fir", payloads.FIR, 201)
        self._cell_sees(case, "referral_fir_registered")
        path = f"/v1/cases/{case['legal-aid']}"
        everything = {"identity", "incident", "investigation", "laboratory"}
        self._read(self.partner, f"{path}/summary", case["legal-aid"], everything)
        self._read(self.laboratory, f"/v1/kits/{self.barcode}", case["forensics"], {"investigation"})
        self.partner.post("assignment", f"{path}/assignment", payloads.ASSIGNMENT, 201)
        self._cell_sees(case, "referral_lawyer_assigned")

    def withdrawn(self, case: dict[str, str]) -> None:
        """`incident`, from the police; confirmed by the agency, and gone from what it reads."""
        path = f"/v1/cases/{case['case']}/consents"
        shown = self.cell.until(path, case["case"], lambda _: True, "the consents")
        [consent] = [each["consent"] for each in shown["consents"] if each["agency"] == "police-link"]
        self.cell.post(f"{case['case']} withdrawn", f"{path}/{consent}/withdrawal", {"categories": ["incident"]}, 200)
        self.cell.until(
            path,
            case["case"],
            lambda shown: bool(shown["endings"]) and all(each["confirmed_at"] for each in shown["endings"]),
            "the confirmation",
        )
        code = case["police-link"]
        shown = self.station.until(f"/v1/referrals/{code}", code, lambda _: True, "the referral after the withdrawal")
        if "incident" in shown["parts"]:
            raise GaveUp("withdrawn, confirmed, and read all the same")

    def views(self) -> dict[str, Any]:
        """What each client is shown at the end."""
        cases = (self.first, self.second)
        views: dict[str, Any] = {}
        for case in cases:
            which, code = self.names[case["case"]], case["case"]
            views[f"{which} at the cell"] = self._shown(self.cell, f"/v1/cases/{code}", code)
            views[f"{which} consents"] = self._shown(self.cell, f"/v1/cases/{code}/consents", code)
            referral, summary = case["police-link"], case["legal-aid"]
            views[f"{which} at the station"] = self._shown(self.station, f"/v1/referrals/{referral}", referral)
            views[f"{which} at the partner"] = self._shown(self.partner, f"/v1/cases/{summary}/summary", summary)
        kit = self._shown(self.laboratory, f"/v1/kits/{self.barcode}", self.second["forensics"])
        return views | {"kit at the laboratory": kit}

    def listed(self) -> Counter[str]:
        """How often each of the story's referrals stands in its agency's feed."""
        found: Counter[str] = Counter()
        for client, path in ((self.station, "/v1/referrals"), (self.partner, "/v1/cases")):
            cursor: str | None = None
            while True:
                page = self._shown(client, path + (f"?cursor={cursor}" if cursor else ""), "")
                found.update(each["referral"] for each in page["items"] if each["referral"] in self.names)
                cursor = page["next"]
                if cursor is None:
                    break
        return found

    def _step(self) -> None:
        with self._stepped:
            self.steps += 1
            self._stepped.notify_all()

    def _case(self, which: str, code: str) -> dict[str, str]:
        shown = self._shown(self.cell, f"/v1/cases/{code}", code)
        case = {"case": code, **{each["agency"]: each["referral"] for each in shown["referrals"]}}
        self.names |= {value: f"<{which} {kind}>" for kind, value in case.items()}
        self.names[code] = f"<{which}>"
        return case

    def _read(self, client: Patient, path: str, of: str, parts: set[str]) -> None:
        client.until(path, of, lambda shown: parts <= set(shown["parts"]), f"{', '.join(sorted(parts))} at {path}")

    def _cell_sees(self, case: dict[str, str], kind: str) -> None:
        path = f"/v1/cases/{case['case']}"
        self.cell.until(path, case["case"], lambda shown: kind in {entry["kind"] for entry in shown["timeline"]}, kind)

    def _halves(self, case: dict[str, str], count: int) -> None:
        path = f"/v1/cases/{case['case']}"
        self.cell.until(
            path, case["case"], lambda shown: len(shown["kits"][0]["halves"]) >= count, f"{count} halves at the cell"
        )

    @staticmethod
    def _shown(client: Patient, path: str, of: str) -> Any:
        return client.until(path, of, lambda _: True, path)
