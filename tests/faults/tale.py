"""Canaries through every public door: two cases with all their parts, every record, fact and custody half, withdrawals,
and requests that are refused. What came later (her page, breaking the glass, the court) is told in `later_doors.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from amanat.contracts.records import RECORDS, Acknowledgement, Assignment, Decline, Fir, LaboratoryReport, Refusal
from amanat.custody import NewHalf, NewReceiptAtLaboratory
from amanat_local.stack import Stack

from .callers import Caller, Heard
from .canaries import Flock
from .later_doors import LaterDoors

PARTS = {
    "person": "person",
    "contact": "safe_contact",
    "incident": "incident",
    "examination": "examination",
    "care": "care_note",
    "counselling": "counselling_note",
}
LISTS = {"digital": "digital_item", "images": "image"}
BUNDLE = Path(__file__).parents[2] / "examples/bundles/arrival.json"
TO_POLICE = ["identity", "contact", "incident", "examination", "digital", "imagery", "laboratory", "representation"]
TO_LABORATORY = ["incident", "examination", "digital", "investigation"]
TO_PARTNER = ["identity", "contact", "incident", "examination", "digital", "investigation", "laboratory"]
NUMBERS = {"cnic": "#####-#######-#", "phone": "0###-########"}
"""Systems of FHIR's identifiers and telecoms → the shape of their values."""
SYSTEMS = {
    "cell": "arcc-karachi-system",
    "station": "station-saddar-system",
    "laboratory": "lab-karachi-system",
    "partner": "partner-hamdam-system",
    "stranger": "station-clifton-system",
}


TOLD: Mapping[str, frozenset[str]] = {
    role: frozenset(fields.split())
    for role, fields in {
        "station": "full_name code_word history opinion url custody_place findings hearing_dates fir_number",
        "laboratory": "examination_request site acts fir_number io_name seal_number report_number",
        "partner": "full_name code_word history opinion fir_number findings counsel_name reason",
    }.items()
}
"""Fields that each reader must come to see, from every agency that may tell it something."""


@dataclass
class Tale:
    """Tells it on a running stack. `flock` holds every canary that was let out; `shown` what rightful readers saw."""

    stack: Stack
    barcode: str
    flock: Flock = field(default_factory=Flock)
    heard: Heard = field(default_factory=Heard)
    shown: dict[str, str] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    """Where canaries stand that no reader need see: refused, or said of a record rather than in one."""

    def __post_init__(self) -> None:
        self._open = ExitStack()
        self.by = {role: Caller(self.stack.info, name, self.heard) for role, name in SYSTEMS.items()}
        for caller in self.by.values():
            self._open.callback(caller.close)

    def tell(self, announced: Callable[[str], None]) -> None:
        """From the intake to the withdrawals; each step is known to have worked before the next. `announced` returns
        when the reporting centre's webhook has named a referral: a withdrawal would purge what still waits.
        """
        with self._open:
            case = self.open_case("case")
            announced(case["police-link"])
            self.add_records(case["case"])
            self.police_reads_and_reports(case)
            self.kit_goes_round(case)
            self.partner_reads_and_reports(case)
            self.read_by_all(case)
            self.withdraw(case)
            self.bundle()
            with LaterDoors(self.stack.info, self.flock, self.heard, self.stale) as later:
                later.tell(case["case"], case["police-link"], self.by["station"])
            self.bad_requests(case)

    def open_case(self, where: str) -> dict[str, str]:
        """An intake with every part twice where it may be; its code and its referrals'."""
        body: dict[str, Any] = {name: self.body(RECORDS[kind], f"{where}.{kind}") for name, kind in PARTS.items()}
        for name, kind in LISTS.items():
            body[name] = [self.body(RECORDS[kind], f"{where}.{kind}[{number}]") for number in range(2)]
        body["consents"] = [
            self.consent("police-link", "station-saddar", TO_POLICE),
            self.consent("forensics", "lab-karachi", TO_LABORATORY),
            self.consent("legal-aid", "partner-hamdam", TO_PARTNER),
        ]
        opened = self.by["cell"].post("/v1/cases", body, expect=201).json()
        assert {referral["state"] for referral in opened["referrals"]} == {"open"}, opened
        return {"case": opened["case"], **{each["agency"]: each["referral"] for each in opened["referrals"]}}

    def add_records(self, case: str) -> None:
        """One more of each kind, and a correction with its reason."""
        cell, path = self.by["cell"], f"/v1/cases/{case}/records"
        for kind in (*PARTS.values(), *LISTS.values()):
            added = cell.post(path, {"kind": kind, "record": self.body(RECORDS[kind], f"added.{kind}")}, expect=201)
        correction = {
            "kind": "image",
            "record": self.body(RECORDS["image"], "corrected.image"),
            "corrects": added.json()["record"],
            "reason": self.said("correction.reason"),
        }
        for _ in range(5):  # the gate may note an overdue clock in between
            etag = cell.get(f"/v1/cases/{case}").headers["etag"]
            if cell.post(path, correction, If_Match=etag).status_code == 201:
                return
        raise AssertionError("the correction was not taken")

    def police_reads_and_reports(self, case: Mapping[str, str]) -> None:
        """Acknowledged, refused, and registered after all."""
        station, path = self.by["station"], f"/v1/referrals/{case['police-link']}"
        station.until(path, lambda answer: len(answer.json().get("parts", ())) == 6)
        for act, record in (("acknowledgement", Acknowledgement), ("refusal", Refusal), ("fir", Fir)):
            station.post(f"{path}/{act}", self.body(record, act), expect=201)

    def kit_goes_round(self, case: Mapping[str, str]) -> None:
        """Cell → station → laboratory → station, and the report."""
        cell, station, laboratory = (self.by[role] for role in ("cell", "station", "laboratory"))
        of_cell = {"agency": "intake", "organisation": "arcc-karachi"}
        of_station = {"agency": "police-link", "organisation": "station-saddar"}
        of_laboratory = {"agency": "forensics", "organisation": "lab-karachi"}
        cell.post(f"/v1/cases/{case['case']}/kits", {"barcode": self.barcode}, expect=201)
        path = f"/v1/kits/{self.barcode}"
        cell.post(f"{path}/release", self.half("release.cell", of_station), expect=201)
        station.until(path, lambda answer: answer.status_code == 200)
        station.post(f"{path}/receipt", self.half("receipt.station", of_cell), expect=201)
        station.post(f"{path}/release", self.half("release.station", of_laboratory), expect=201)
        laboratory.until(path, lambda answer: answer.status_code == 200)
        rejected = self.half("rejection.laboratory", of_station, NewReceiptAtLaboratory) | {"accepted": False}
        laboratory.post(f"{path}/receipt", rejected, expect=202)
        accepted = self.half("receipt.laboratory", of_station, NewReceiptAtLaboratory)
        laboratory.post(f"{path}/receipt", accepted, expect=202)
        laboratory.post(f"{path}/report", self.body(LaboratoryReport, "report"), expect=201)
        laboratory.post(f"{path}/release", self.half("release.laboratory", of_station), expect=201)
        # A parcel that no kit explains is kept as well.
        stray = self.half("stray.laboratory", of_station, NewReceiptAtLaboratory)
        self.stale |= {where for where in self.flock.values if where.startswith("stray.")}
        laboratory.post(f"/v1/kits/{self.barcode}-STRAY/receipt", stray, expect=202)

    def partner_reads_and_reports(self, case: Mapping[str, str]) -> None:
        """Declined, and taken up after all."""
        partner, path = self.by["partner"], f"/v1/cases/{case['legal-aid']}"
        partner.until(f"{path}/summary", lambda answer: answer.status_code == 200)
        partner.post(f"{path}/decline", self.body(Decline, "decline"), expect=201)
        partner.post(f"{path}/assignment", self.body(Assignment, "assignment"), expect=201)

    def read_by_all(self, case: Mapping[str, str]) -> None:
        """Everybody reads what is theirs, until the last fact has come through the gate."""
        done = ("referral_fir_registered", "referral_reported", "referral_lawyer_assigned")
        path = f"/v1/cases/{case['case']}"
        self.by["cell"].until(
            path, lambda answer: all(kind in answer.text for kind in done) and _halves(answer.json()) == 6
        )
        self.shown["cell"] = self.by["cell"].get(path).text  # its timeline may be a moment younger than its records
        for number in ("cnic", "mlc_number", "hospital_record_number"):
            found = self.by["cell"].post("/v1/cases/search", {number: self.flock.values[f"case.person.{number}"]})
            assert found.json()["cases"] == [case["case"]]
        paths = {
            "station": f"/v1/referrals/{case['police-link']}",
            "laboratory": f"/v1/kits/{self.barcode}",
            "partner": f"/v1/cases/{case['legal-aid']}/summary",
        }
        for role, path in paths.items():
            named = [f'"{field}":' for field in TOLD[role]]
            there = self.by[role].until(path, lambda answer, named=named: all(each in answer.text for each in named))
            self.shown[role] = there.text

    def withdraw(self, case: Mapping[str, str]) -> None:
        """One category, then a whole consent; a new consent in its place."""
        cell, path = self.by["cell"], f"/v1/cases/{case['case']}/consents"
        consents = {each["agency"]: each["consent"] for each in cell.get(path).json()["consents"]}
        cell.post(f"{path}/{consents['police-link']}/withdrawal", {"categories": ["incident"]}, expect=200)
        cell.post(f"{path}/{consents['legal-aid']}/withdrawal", b"", expect=200)
        cell.until(path, lambda answer: all(each["confirmed_at"] for each in answer.json()["endings"]))
        cell.post(path, self.consent("police-link", "station-saddar", ["incident"]), expect=201)

    def bundle(self) -> None:
        """The same door for FHIR: every free text, number and address of the example bundle is a canary."""
        bundle = self._replaced(json.loads(BUNDLE.read_text().replace("{run}", self.barcode)))
        sent = json.dumps(bundle, ensure_ascii=False).encode()
        self.by["cell"].post("/fhir", sent, expect=200, Content_Type="application/fhir+json")
        found = self.by["cell"].post("/v1/cases/search", {"hospital_record_number": f"HRN-{self.barcode}"})
        told = self.by["cell"].get(f"/v1/cases/{found.json()['cases'][0]}").text
        texts = [value for where, value in self.flock.values.items() if where.startswith("fhir")]
        assert sum(text in told for text in texts) > len(texts) / 2
        for kind in ("cnic", "phone", "line"):
            assert any(value in told for where, value in self.flock.values.items() if where.endswith(f".{kind}"))

    def _replaced(self, part: Any, within: str = "") -> Any:
        where = f"fhir {len(self.flock.values)}.{within}"
        if isinstance(part, str):
            if (shape := NUMBERS.get(within)) is not None:
                self.stale.add(where)
                return self.flock.digits(where, shape)
            return self.said(where) if within in ("text", "valueString", "line", "city") else part
        if isinstance(part, list):
            return [self._replaced(each, within) for each in part]
        if not isinstance(part, dict):
            return part
        system = str(part.get("system", "")).rpartition("/")[2]
        return {name: self._replaced(value, system if name == "value" else name) for name, value in part.items()}

    def bad_requests(self, case: Mapping[str, str]) -> None:
        """Refusals of every kind, each of a request full of canaries."""
        cell, station, stranger = self.by["cell"], self.by["station"], self.by["stranger"]
        word = self.said("refused")
        person = self.body(RECORDS["person"], "refused.person")
        self.stale |= {where for where in self.flock.values if where.startswith("refused")}
        bodies: list[Any] = [
            {"person": person | {"cnic": word}},
            {"person": person | {"birth_date": "2199-01-01"}},
            {"person": person | {"full_name": f"\u202e{word}"}},
            {"person": person | {word: word}},
            {word: person},
            {"person": word, "consents": [word]},
            {"person": person, "consents": [self.consent("police-link", "station-nowhere", ["identity"])]},
            json.dumps({"person": person}).encode()[:-1],
            json.dumps({"person": person}, ensure_ascii=False).encode().replace(b"{", b"{\xff", 1),
            (json.dumps(person) * 4000).encode(),
            (b"[" * 2000) + json.dumps(word).encode(),
        ]
        for body in bodies:
            assert 400 <= cell.post("/v1/cases", body).status_code < 500
        for content_type in ("text/plain", f"application/{self.flock.latin}", "application/fhir+json"):
            for path in ("/v1/cases", "/fhir"):
                assert 400 <= cell.post(path, json.dumps(person).encode(), Content_Type=content_type).status_code < 500
        bundle = {"resourceType": "Bundle", "type": word, "entry": [{"resource": {"resourceType": word, "id": word}}]}
        assert 400 <= cell.post("/fhir", bundle, Content_Type="application/fhir+json").status_code < 500
        for path in (f"/v1/cases/{quote(word)}", f"/v1/cases?name={quote(word)}", f"/{quote(word)}"):
            assert 400 <= cell.get(path).status_code < 500
        for path in (
            f"/v1/referrals/{quote(word)}",
            f"/v1/kits/{self.flock.latin}",
            f"/v1/referrals?cursor={quote(word)}",
        ):
            assert 400 <= station.get(path).status_code < 500
        assert 400 <= cell.http.request(self.flock.latin.upper(), "/v1/cases").status_code < 500
        code = case["police-link"]
        for body in ({"fir_number": word} | {word: word}, {}, {"registered_at": word, "fir_number": word}, [word]):
            assert 400 <= station.post(f"/v1/referrals/{code}/fir", body).status_code < 500
        again = self.body(Fir, "refused.fir")
        assert station.post(f"/v1/referrals/{code}/fir", again).status_code == 409
        assert stranger.post(f"/v1/referrals/{code}/fir", again).status_code == 404
        assert stranger.post(f"/v1/kits/{self.barcode}/release", self.half("refused.half", None)).status_code == 422
        headers = {"traceparent": word, "tracestate": f"k={word}", "baggage": f"k={word}", "if-none-match": f'"{word}"'}
        safe = {name: quote(value) for name, value in headers.items()}
        for known in (code, "P-0000-0000-0"):
            station.get(f"/v1/referrals/{known}", **safe)
        assert cell.http.get("/v1/cases", headers={"Authorization": f"Bearer {self.flock.latin}"}).status_code in {
            401,
            405,
        }
        assert 400 <= cell.post("/v1/cases", {}, Idempotency_Key=f"{self.flock.latin} {'k' * 300}").status_code < 500
        once = {"Idempotency_Key": "told-once-" + self.barcode}
        cell.post("/v1/cases", {"person": person}, expect=201, **once)
        assert cell.post("/v1/cases", {"person": person | {"full_name": word}}, **once).status_code == 422
        self.stale |= {where for where in self.flock.values if where.startswith("refused")}

    def body(self, model: type[BaseModel], where: str) -> dict[str, Any]:
        """A record with a canary in every field."""
        return self.flock.filled(model, where, without=("counterpart", "attestation"))

    def half(self, where: str, counterpart: dict[str, str] | None, model: type[NewHalf] = NewHalf) -> dict[str, Any]:
        """One half's body."""
        return self.flock.filled(model, where, without=("counterpart",)) | {"counterpart": counterpart}

    def said(self, where: str) -> str:
        """A word that stands beside records, not in one."""
        self.stale.add(where)
        return self.flock.text(where)

    def consent(self, agency: str, organisation: str, categories: list[str]) -> dict[str, Any]:
        """A consent whose every free text is a canary."""
        number = len(self.flock.values)
        texts = ("name", "relationship", "authority_reference", "basis_reference", "language", "taken_by", "witness")
        told = {name: self.said(f"consent {number}.{name}") for name in (*texts, "reason")}
        decider = {name: told[name] for name in ("name", "relationship", "authority_reference")}
        return {
            "recipient": {"agency": agency, "organisation": organisation},
            "categories": categories,
            "basis": "consent",
            "deciders": [{"role": "survivor", "decision": "consent", **decider}],
            "safety_finding": {"guardian_unsafe": False, "reason": told["reason"]},
            "age_basis": "document",
            **{name: told[name] for name in ("basis_reference", "language", "taken_by", "witness")},
        }


def _halves(case: dict[str, Any]) -> int:
    return sum(len(kit["halves"]) for kit in case["kits"])
