"""The story: two intakes, what each agency sees, custody hand to hand, withdrawals and their proof, what follows."""

from __future__ import annotations

import queue
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amanat_local.demo import payloads, proof
from amanat_local.demo.afterwards import Afterwards
from amanat_local.demo.clients import WAIT_S, Client, NotAsTold, whole
from amanat_local.demo.receiver import Receiver
from amanat_local.demo.telling import Teller

BUNDLE = Path("examples/bundles/arrival.json")
BARCODE = "KIT-{:06d}"
STRANGERS = {
    "arcc-lahore-system": "a second hospital",
    "station-clifton-system": "a second station",
    "partner-sahara-system": "a second partner",
}


class Story:
    """Plays on a running stack, described by `info` (stack.json). `restart(name)` restarts one of its processes."""

    def __init__(self, teller: Teller, info: dict[str, Any], restart: Any) -> None:
        self.teller = teller
        self.info = info
        self.restart = restart
        self.barcode = BARCODE.format(int(datetime.now(UTC).timestamp()) % 1_000_000)
        self.webhooks: dict[str, tuple[float, dict[str, Any]]] = {}
        self._open = ExitStack()
        services = info["services"]
        self.hospital = self._client("arcc-karachi-system", services["intake"])
        self.station = self._client("station-saddar-system", services["police-link"])
        self.laboratory = self._client("lab-karachi-system", services["forensics"])
        self.partner = self._client("partner-hamdam-system", services["legal-aid"])
        self.strangers = {name: self._client(name, services[info["clients"][name]["agency"]]) for name in STRANGERS}
        self.afterwards = Afterwards(teller, info, self.partner)
        self._open.callback(self.afterwards.close)
        self.receiver = Receiver()
        self._open.callback(self.receiver.close)

    def play(self) -> None:
        """Tells it all. Raises NotAsTold when it cannot go on; lesser differences are counted by the teller."""
        with self._open:
            self.subscribe()
            first = self.first_intake()
            second = self.second_intake()
            self.police_take_up(first)
            self.police_take_up(second)
            self.kit(second)
            self.legal_aid(second)
            self.others_see_nothing(second)
            self.withdraw_before_fir(first)
            self.withdraw_after_fir(second)
            self.back_at_the_cell(second)
            self.afterwards.her_own_page(second)
            self.afterwards.court_file(second)

    def subscribe(self) -> None:
        """The station's developer subscribes a webhook and proves that the address is the station's own."""
        self.teller.chapter("1. The reporting centre at Saddar subscribes to its referrals")
        made = self.station.post("/v1/subscriptions", {"url": self.receiver.url})
        self._expect(made.status_code == 201, "the subscription is accepted, pending proof of ownership")
        self.receiver.knows(made.json()["secret"])
        self.station.until(
            f"/v1/subscriptions/{made.json()['subscription']}",
            lambda answer: answer.json().get("state") == "active",
            "the handshake",
        )
        self.teller.claim(True, "the endpoint echoed the signed challenge: it is active")

    def first_intake(self) -> dict[str, Any]:
        """A hospital system posts a FHIR bundle."""
        self.teller.chapter("2. A hospital system posts a FHIR R4 bundle: an adult, who consents for herself")
        bundle = BUNDLE.read_bytes().replace(b"{run}", self.barcode.encode())
        answer = self.hospital.post("/fhir", bundle, content_type="application/fhir+json")
        accepted = time.monotonic()
        self._expect(answer.status_code == 200, "the bundle is stored; what was not needed is named")
        entries = answer.json()["entry"]
        stored = [entry for entry in entries if "location" in entry["response"]]
        self.teller.say(f"{len(stored)} of {len(entries)} entries stored; the others carry a not-supported warning")
        found = self.hospital.post("/v1/cases/search", {"hospital_record_number": f"HRN-{self.barcode}"})
        return self._case(found.json()["cases"][0], accepted)

    def second_intake(self) -> dict[str, Any]:
        """A desk posts JSON: a child of thirteen with her mother."""
        self.teller.chapter("3. The same cell posts JSON: a child of thirteen, with her mother and her written assent")
        body = payloads.CHILD | {"presented_at": datetime.now(UTC).isoformat()}
        answer = self.hospital.post("/v1/cases", body)
        accepted = time.monotonic()
        self._expect(answer.status_code == 201, "the case is open")
        referrals = answer.json()["referrals"]
        self.teller.claim(
            {referral["state"] for referral in referrals} == {"open"}, "three referrals open under valid consents"
        )
        return self._case(answer.json()["case"], accepted)

    def police_take_up(self, case: dict[str, Any]) -> None:
        """Webhook, pull, acknowledgement."""
        code = case["police-link"]
        self.teller.chapter(f"4. The webhook arrives, the station pulls {code} and acknowledges")
        arrived, event = self._webhook(code)
        self.teller.say(f"the webhook came {(arrived - case['opened']) * 1000:.0f} ms after the intake was accepted")
        self.teller.claim(
            set(event["data"]) == {"referral", "url"}, "it verified, and holds a referral code and a link, nothing more"
        )
        shown = self.station.get(f"/v1/referrals/{code}")
        self._expect(shown.status_code == 200, "the referral opens with leased keys")
        self._parts(shown.json(), {"identity", "incident", "examination"}, "the station")
        self.teller.claim("care" not in shown.text and "PEP" not in shown.text, "nothing of her treatment is there")
        done = self.station.post(f"/v1/referrals/{code}/acknowledgement", payloads.ACKNOWLEDGEMENT)
        self.teller.claim(done.status_code == 201, "acknowledged")
        self._cell_sees(case, "referral_acknowledged")

    def kit(self, case: dict[str, Any]) -> None:
        """A kit goes hand to hand to the laboratory, which reports."""
        self.teller.chapter(f"5. Kit {self.barcode}: opened, handed over, received, reported")
        opened = self.hospital.post(f"/v1/cases/{case['case']}/kits", {"barcode": self.barcode})
        self._expect(opened.status_code == 201, "the kit is open")
        path = f"/v1/kits/{self.barcode}"
        police, laboratory = ("police-link", "station-saddar"), ("forensics", "lab-karachi")
        cell = ("intake", "arcc-karachi")
        self.hospital.post(f"{path}/release", payloads.half(*police))
        self.station.until(
            f"/v1/referrals/{case['police-link']}",
            lambda answer: self.barcode in answer.json().get("kits", ()),
            "the kit at the station",
        )
        self.station.post(f"{path}/receipt", payloads.half(*cell))
        self.station.post(f"{path}/release", payloads.half(*laboratory, road_certificate="RC 21/26"))
        self.laboratory.until(path, lambda answer: answer.status_code == 200, "the kit at the laboratory")
        received = self.laboratory.post(f"{path}/receipt", payloads.half(*police, accepted=True))
        self.teller.claim(received.status_code in {201, 202}, "the laboratory verified the seal and accepted the kit")
        shown = self.laboratory.get(path).json()
        self._parts(shown, {"examination", "incident"}, "the laboratory")
        self.teller.claim("Mahnoor" not in str(shown), "her name is nowhere in it")
        reported = self.laboratory.post(f"{path}/report", payloads.REPORT)
        self.teller.claim(reported.status_code == 201, "the report is on its way to the cell")
        self._cell_sees(case, "referral_reported")
        kit = self.hospital.get(f"/v1/cases/{case['case']}").json()["kits"][0]
        self.teller.claim(
            len(kit["halves"]) == 4 and kit["gaps"] == [], "four halves, each attested, matched, without a gap"
        )

    def legal_aid(self, case: dict[str, Any]) -> None:
        """The partner pulls the summary; the FIR and the report are in it by consent."""
        self.teller.chapter("6. The FIR is registered; the legal aid partner pulls the case summary")
        fir = self.station.post(f"/v1/referrals/{case['police-link']}/fir", payloads.FIR)
        self.teller.claim(fir.status_code == 201, "the FIR is registered")
        path = f"/v1/cases/{case['legal-aid']}/summary"
        summary = self.partner.until(path, whole, "the FIR, the report and the kit's whole way in the summary")
        self._parts(summary.json(), {"identity", "incident", "investigation", "laboratory"}, "the partner")
        again = self.partner.get(path, If_None_Match=summary.headers["etag"])
        self.teller.claim(again.status_code == 304, "unchanged since: 304, and no look")
        assigned = self.partner.post(f"/v1/cases/{case['legal-aid']}/assignment", payloads.ASSIGNMENT)
        self.teller.claim(assigned.status_code == 201, "counsel is assigned")
        self._cell_sees(case, "referral_lawyer_assigned")

    def others_see_nothing(self, case: dict[str, Any]) -> None:
        """Other organisations of the same agencies ask for the same and get what a code that never was gets."""
        self.teller.chapter("7. A second hospital, station and partner try the same")
        asked = {
            "arcc-lahore-system": (f"/v1/cases/{case['case']}", "/v1/cases/C-0000-0000-0"),
            "station-clifton-system": (f"/v1/referrals/{case['police-link']}", "/v1/referrals/P-0000-0000-0"),
            "partner-sahara-system": (
                f"/v1/cases/{case['legal-aid']}/summary",
                "/v1/cases/L-0000-0000-0/summary",
            ),
        }
        for name, (theirs, never) in asked.items():
            real, unknown = self.strangers[name].get(theirs), self.strangers[name].get(never, quiet=True)
            same = {**real.json(), "trace_id": ""} == {**unknown.json(), "trace_id": ""}
            self.teller.claim(
                real.status_code == 404 and same, f"{STRANGERS[name]}: 404, the same as for a code that never was"
            )

    def withdraw_before_fir(self, case: dict[str, Any]) -> None:
        """She takes `incident` back from the police before any FIR; proved on the raw copies."""
        code = case["police-link"]
        self.teller.chapter("8. Before any FIR she withdraws `incident` from the police")
        copies = [*proof.raw_rows(self.info, code), *proof.raw_records(self.info, code)]
        keys = proof.lease(self.info, code, "station-saddar")
        opened = {(copy.where, copy.category) for copy in copies if self._any_opens(copy, code, keys)}
        self._expect(
            {("police-link's row", "incident"), ("the Kafka record", "incident")} <= opened,
            "before: the raw row in police-link's table and the raw Kafka record open with the leased key",
        )
        self._withdraw(case, "incident")
        gone = [copy for copy in copies if copy.category == "incident"]
        self.teller.claim(
            proof.wraps(self.info, [copy.key_id for copy in gone]) == 0, "after: the gate has no wrap of that key"
        )
        shown = self.station.get(f"/v1/referrals/{code}")
        self._parts(shown.json(), {"identity", "examination"}, "the station")
        self._stays_shut(code, gone, "with police-link's own credentials")
        self.restart("police-link-main")
        shown = self.station.get(f"/v1/referrals/{code}")
        self._parts(shown.json(), {"identity", "examination"}, "the station, from a restarted police-link,")
        # Read again: whatever was written since must stay shut too.
        copies = [*copies, *proof.raw_rows(self.info, code), *proof.raw_records(self.info, code)]
        gone = [copy for copy in copies if copy.category == "incident"]
        keys = self._stays_shut(code, gone, "after its restart")
        identity = [copy for copy in copies if copy.category == "identity"]
        self.teller.claim(
            bool(identity) and all(self._any_opens(copy, code, keys) for copy in identity), "identity opens"
        )
        self.teller.say("A key copied out of memory, or a page already read, cannot be recalled.")

    def _stays_shut(self, code: str, gone: list[proof.Copy], when: str) -> dict[str, bytes]:
        keys = proof.lease(self.info, code, "station-saddar")
        self.teller.claim(
            not any(self._any_opens(copy, code, keys) for copy in gone),
            f"{when}: all {len(keys)} keys that the gate still leases were tried on row and record; incident is shut",
        )
        return keys

    def withdraw_after_fir(self, case: dict[str, Any]) -> None:
        """The same after the FIR: copies end, the act stands."""
        code = case["police-link"]
        self.teller.chapter("9. In the second case she withdraws `incident` after the FIR")
        self._withdraw(case, "incident")
        shown = self.station.get(f"/v1/referrals/{code}").json()
        self._parts(shown, {"identity", "examination"}, "the station")
        firs = [entry["fields"].get("fir_number") for entry in shown["own"] if entry["record"] == "fir"]
        self.teller.claim(firs == [payloads.FIR["fir_number"]], "the FIR that it registered stays readable to it")

    def back_at_the_cell(self, case: dict[str, Any]) -> None:
        """One timeline of all that happened."""
        self.teller.chapter("10. The cell's timeline of the second case")
        timeline = self.hospital.get(f"/v1/cases/{case['case']}").json()["timeline"]
        for entry in timeline:
            self.teller.say(f"{entry['at'][11:19]}  {entry['kind']:<26} {entry['organisation'] or ''}")

    def _withdraw(self, case: dict[str, Any], category: str) -> None:
        consents = self.hospital.get(f"/v1/cases/{case['case']}/consents", quiet=True).json()["consents"]
        [consent] = [c["consent"] for c in consents if c["agency"] == "police-link" and category in c["categories"]]
        path = f"/v1/cases/{case['case']}/consents"
        with self.teller.timed("from the withdrawal to the agency's own confirmation"):
            done = self.hospital.post(f"{path}/{consent}/withdrawal", {"categories": [category]})
            self._expect(done.status_code == 200, f"{category} is withdrawn")
            self.hospital.until(
                path,
                lambda answer: any(
                    e["category"] == category and e["agency"] == "police-link" and e["confirmed_at"]
                    for e in answer.json()["endings"]
                ),
                "the agency's confirmation",
            )

    def _case(self, code: str, accepted: float) -> dict[str, Any]:
        shown = self.hospital.get(f"/v1/cases/{code}", quiet=True).json()
        return {"case": code, "opened": accepted, **{r["agency"]: r["referral"] for r in shown["referrals"]}}

    def _cell_sees(self, case: dict[str, Any], kind: str) -> None:
        with self.teller.timed(f"until the cell's timeline shows {kind}"):
            self.hospital.until(
                f"/v1/cases/{case['case']}",
                lambda answer: any(entry["kind"] == kind for entry in answer.json()["timeline"]),
                kind,
            )

    def _parts(self, shown: dict[str, Any], wanted: set[str], who: str) -> None:
        parts = set(shown["parts"])
        self.teller.claim(parts == wanted, f"{who} sees: {', '.join(sorted(parts)) or 'nothing'}")

    def _webhook(self, code: str) -> tuple[float, dict[str, Any]]:
        deadline = time.monotonic() + WAIT_S
        while code not in self.webhooks:
            try:
                arrived, event = self.receiver.arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise NotAsTold("the webhook did not arrive") from None
            self.webhooks[event["data"]["referral"]] = (arrived, event)
        return self.webhooks[code]

    def _expect(self, held: bool, text: str) -> None:
        self.teller.claim(held, text)
        if not held:
            raise NotAsTold(text)

    def _client(self, name: str, base: str) -> Client:
        client = Client(self.teller, name, base, self.info)
        self._open.callback(client.close)
        return client

    @staticmethod
    def _any_opens(copy: proof.Copy, referral: str, keys: dict[str, bytes]) -> bool:
        return any(copy.opens(referral, key) for key in keys.values())
