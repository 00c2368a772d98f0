"""What comes after: her own page, and the court's file with its verifier."""

from __future__ import annotations

import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx

import amanat.verify
from amanat_local.demo import payloads
from amanat_local.demo.clients import Client, NotAsTold
from amanat_local.demo.telling import Teller

PIN, DURESS = "481516", "902375"
PARTNER = {"agency": "legal-aid", "organisation": "partner-hamdam"}
WITNESSES = 3
LOOKING = {"station-saddar", "lab-karachi", "partner-hamdam"}
TOLD_WITHIN_S = 60.0
"""DESIGN.md, "Looks"."""


class Afterwards:
    """The last two chapters of a case, by the cell's people and by herself. `folder` is where the court's file goes."""

    def __init__(self, teller: Teller, info: dict[str, Any], partner: Client) -> None:
        self.teller = teller
        self.folder = Path(info["folder"])
        self.partner = partner
        base = info["services"]["intake"]
        self.desk = Client(teller, "arcc-karachi.mlo", base, info)
        self.records = Client(teller, "arcc-karachi.records", base, info)
        self.herself = httpx.Client(base_url=base, timeout=20)

    def close(self) -> None:
        """Closes all connections."""
        for each in (self.desk, self.records, self.herself):
            each.close()

    def her_own_page(self, case: dict[str, Any]) -> None:
        """A claim at the cell; a sign-in, an impostor, and a withdrawal from afar."""
        self.teller.chapter("11. On her own page she sees who looked, and takes all back from the partner, from home")
        with self.teller.timed("until the agencies had told of their looks, which they do each minute at the latest"):
            self.desk.until(f"/v1/cases/{case['case']}", _is_looked_at, "who looked", within_s=TOLD_WITHIN_S)
        chosen = {"pin": PIN, "duress_pin": DURESS, "code_word": "blue heron", "language": "ur"}
        code = self._made(self.desk.post(f"/v1/cases/{case['case']}/claim", chosen))["code"]
        opened = self._hers("sign-ins", code=code, pin=PIN)
        for seen in opened["case"]["looks"]:
            parts = ", ".join(part["name"] for part in seen["parts"])
            self.teller.say(f"{seen['name']}: {parts or 'its own papers'}; {seen['purpose']}; {seen['times']} times")
        offices = {seen["name"] for seen in opened["case"]["looks"]}
        self.teller.claim(
            {"Reporting Centre Saddar, Karachi", "Hamdam Legal Aid, Karachi"} <= offices, "by office, never by officer"
        )
        others = [self._hers("sign-ins", code=code, pin=pin) for pin in ("111222", DURESS)]
        self.teller.claim(
            all(each["case"] is None and each["article"] == others[0]["article"] for each in others),
            "a wrong number and the one that she may be forced to tell open one same page, about clean water",
        )
        taken = self._hers("withdrawals", session=opened["session"], **PARTNER)
        self.teller.claim(bool(taken["ended"]) and taken["call"] is not None, "all is taken back from the partner")
        summary = self.partner.until(
            f"/v1/cases/{case['legal-aid']}/summary", lambda answer: not answer.json().get("parts"), "the end of it"
        )
        self.teller.claim(bool(summary.json()["own"]), "the partner has left what it wrote itself, and no more")
        self.teller.claim(taken["call"] in self._calls_owed(), "the cell is asked to call her safely")

    def _calls_owed(self) -> set[str]:
        """All of them, page after page: on a platform that has run for a while there are many."""
        owed: set[str] = set()
        cursor: str | None = None
        while True:
            page = self.desk.get("/v1/calls?limit=100" + (f"&cursor={cursor}" if cursor else "")).json()
            owed |= {each["call"] for each in page["items"]}
            cursor = page["next"]
            if cursor is None:
                return owed

    def court_file(self, case: dict[str, Any]) -> None:
        """The court's file; it verifies offline, and with any byte changed it does not."""
        self.teller.chapter("12. A court orders the file: one zip, verified offline by one Python file")
        path = f"/v1/cases/{case['case']}/bundles"
        before = self.desk.get("/v1/ledger/checkpoint", quiet=True).json().get("published_at")
        with self.teller.timed("until all other services had cosigned the ledger's next checkpoint"):
            self.desk.until("/v1/ledger/checkpoint", partial(_is_newer, before), "a cosigned checkpoint")
        made = self._made(self.records.post(path, payloads.COURT_ORDER))
        answer = self.records.get(f"{path}/{made['bundle']}")
        file = self.folder / "court-file.zip"
        file.write_bytes(answer.content)
        said = self._verify(file)
        self.teller.claim(
            said.returncode == 0, f"proven: {made['entries']} entries of the ledger, {len(answer.content)} bytes"
        )
        changed = bytearray(answer.content)
        changed[secrets.randbelow(len(changed))] ^= 1
        file.write_bytes(changed)
        self.teller.claim(self._verify(file).returncode == 1, "one bit changed anywhere: rejected")
        file.write_bytes(answer.content)
        self.teller.say(
            f"It stays at {file}; `.venv/bin/amanat verify {file}` says what it proves and what it does not."
        )

    def _verify(self, file: Path) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-I", str(amanat.verify.__file__), str(file)]
        program += ["--keys", str(self.folder / "directory.json")]
        return subprocess.run(program, capture_output=True, text=True, check=False)

    def _hers(self, what: str, **body: Any) -> dict[str, Any]:
        """A POST of hers: no token, no cookie."""
        answer = self.herself.post(f"/v1/my/{what}", json=body)
        self.teller.call("herself", "POST", f"/v1/my/{what}", answer.status_code, answer.elapsed.total_seconds() * 1000)
        return self._made(answer)

    @staticmethod
    def _made(answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code not in {200, 201}:
            raise NotAsTold(f"{answer.request.method} {answer.request.url.path}: {answer.status_code}")
        found: dict[str, Any] = answer.json()
        return found


def _is_newer(before: str | None, answer: httpx.Response) -> bool:
    """Whether it was published later, and all others have cosigned it. A quiet ledger's note stays the same."""
    found = answer.json()
    return found.get("published_at") not in {None, before} and len(found["cosignatures"]) == WITNESSES


def _is_looked_at(case: httpx.Response) -> bool:
    """Whether all three offices have told of a look at it."""
    return {each["organisation"] for each in case.json()["looks"]} >= LOOKING
