"""Canaries through the doors of her page, of breaking the glass and of the court, and their refusals: PINs, code words
and claim codes; reasons, notes and references; the reference and the recipient of a bundle.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

import httpx

from .callers import WAIT_S, Caller, Heard
from .canaries import URDU_DIGITS, Flock

PEOPLE = {"desk": "arcc-karachi.mlo", "supervisor": "arcc-karachi.superintendent", "keeper": "arcc-karachi.records"}
_FORM = re.compile(r'name="form" value="([^"]+)"')
_RECIPIENT = {"agency": "police-link", "organisation": "station-saddar"}


class LaterDoors:
    """The cell's people and she herself, at a case that the tale has told. `stale` takes where canaries stand that no
    reader of a record sees."""

    def __init__(self, info: dict[str, Any], flock: Flock, heard: Heard, stale: set[str]) -> None:
        self.flock, self._stale = flock, stale
        self._open = ExitStack()
        self._by = {who: Caller(info, name, heard) for who, name in PEOPLE.items()} | {"her": Caller(info, None, heard)}
        for caller in self._by.values():
            self._open.callback(caller.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def tell(self, case: str, referral: str, station: Caller) -> None:
        """All of it; `station` is who reads `referral` when something is shared anew."""
        path = f"/v1/referrals/{referral}"
        self.her_page(case)
        station.until(path, lambda answer: "incident" in answer.json().get("parts", ()))
        self.emergencies(case)
        order = self.orders(case)
        station.until(path, lambda answer: "digital" in answer.json().get("parts", ()))
        self.lifted(case, order)
        self.court_file(case)
        self.refused(case)

    def her_page(self, case: str) -> None:
        """A claim; her PIN in two scripts, the one for duress and a wrong one; a withdrawal from afar, undone by her
        word; the claim's end."""
        desk, her, claim = self._by["desk"], self._by["her"], f"/v1/cases/{case}/claim"
        pin, duress, wrong = (self._digits(f"her.{which} pin") for which in ("own", "duress", "wrong"))
        word = self.said("her.code word")
        chosen = {"pin": pin, "duress_pin": duress, "code_word": word, "language": "ur"}
        code = self.flock.by_itself("her.claim code", desk.post(claim, chosen, expect=201).json()["code"])
        self._stale.add("her.claim code")
        assert code in desk.post(f"{claim}/paper", {"language": "en"}, expect=200).text
        for typed, opens in ((duress, False), (wrong, False), (pin.translate(URDU_DIGITS), True)):
            opened = her.post("/v1/my/sign-ins", {"code": code, "pin": typed}, expect=200).json()
            assert (opened["case"] is not None) is opens
        her.post("/v1/my/view", {"session": opened["session"], "language": "ur"}, expect=200)
        self._by_browser(code, pin)
        taken = her.post("/v1/my/withdrawals", {"session": opened["session"], **_RECIPIENT}, expect=200).json()
        undone = {"call": taken["call"], "deciders": [self._decider()]}
        undone |= {name: self.said(f"undo.{name}") for name in ("language", "taken_by", "witness")}
        desk.post(f"{claim}/undo", undone | {"code_word": self.said("undo.wrong word")}, expect=409)
        desk.post(f"{claim}/undo", undone | {"code_word": word}, expect=200)
        assert taken["call"] in desk.get("/v1/calls").text
        desk.post(f"/v1/calls/{taken['call']}/done", {}, expect=200)
        desk.post(f"{claim}/ending", {}, expect=200)

    def _by_browser(self, code: str, pin: str) -> None:
        http = self._by["her"].http
        form = _FORM.search(http.get("/my/en").text)
        assert form is not None
        page = http.post("/my/en", data={"form": form[1], "code": code, "pin": pin, "do": "enter"})
        assert page.status_code == 200
        assert 'name="session"' in page.text

    def _decider(self) -> dict[str, str]:
        told = {name: self.said(f"undo.decider.{name}") for name in ("name", "relationship", "authority_reference")}
        return {"role": "survivor", "decision": "consent", **told}

    def emergencies(self, case: str) -> None:
        """By the case's code and by an identifier; each reviewed."""
        for number, named in enumerate(({"case": case}, {"cnic": self.flock.values["case.person.cnic"]})):
            asked = {"reason": self.said(f"emergency {number}.reason"), **named}
            opened = self._by["desk"].post("/v1/emergencies", asked, expect=201).json()
            path = f"/v1/emergencies/{opened['emergency']}"
            assert self._by["desk"].get(path).status_code == 200
            note = self.said(f"emergency {number}.note")
            self._by["supervisor"].post(f"{path}/review", {"finding": "justified", "note": note}, expect=200)
            assert note in self._by["supervisor"].get(f"{path}/review").text

    def orders(self, case: str) -> str:
        """A court's order with secrecy, approved, whose id is returned; and a duty, refused with a reason."""
        path = f"/v1/cases/{case}/disclosures"
        soon = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        order = {"recipient": _RECIPIENT, "categories": ["digital"], "basis": "court_order", "expires_at": soon}
        order["reference"] = self.said("order.reference")
        secrecy = {"reference": self.said("order.secrecy.reference"), "review_at": soon}
        asked = self._by["keeper"].post(path, order | {"secrecy": secrecy}, expect=201).json()
        approved: str = asked["disclosure"]
        self._by["supervisor"].post(f"{path}/{approved}/approval", {}, expect=200)
        duty = order | {"basis": "statutory_duty", "reference": self.said("duty.reference")}
        asked = self._by["keeper"].post(path, duty, expect=201).json()
        reason = {"reason": self.said("duty.reason")}
        self._by["supervisor"].post(f"{path}/{asked['disclosure']}/refusal", reason, expect=200)
        shown = self._by["desk"].get(path).text
        assert all(self.flock.values[where] in shown for where in ("order.secrecy.reference", "duty.reason"))
        return approved

    def lifted(self, case: str, order: str) -> None:
        """The order ends before its time, with a reason."""
        path = f"/v1/cases/{case}/disclosures"
        reason = {"reason": self.said("order.ending.reason")}
        self._by["supervisor"].post(f"{path}/{order}/ending", reason, expect=200)
        assert reason["reason"] in self._by["desk"].get(path).text

    def court_file(self, case: str) -> None:
        """A bundle, once another service has cosigned a checkpoint with the case's last entry."""
        asked = {"basis": "court_order", "looks": True}
        asked |= {name: self.said(f"bundle.{name}") for name in ("reference", "recipient")}
        deadline = time.monotonic() + 2 * WAIT_S
        while (made := self._by["keeper"].post(f"/v1/cases/{case}/bundles", asked)).status_code == httpx.codes.CONFLICT:
            assert time.monotonic() < deadline, made.text
            time.sleep(0.5)
        assert made.status_code == 201, made.text
        assert self._by["keeper"].get(made.headers["location"]).content.startswith(b"PK")

    def refused(self, case: str) -> None:
        """What is wrong with a request, full of canaries, at each of these doors."""
        word, pin, of = self.said("refused.later"), self._digits("refused.later pin"), f"/v1/cases/{case}"
        desk, supervisor, keeper, her = (self._by[who] for who in ("desk", "supervisor", "keeper", "her"))
        claim = {"pin": pin, "code_word": word}
        asks: list[tuple[Caller, str, Mapping[str, Any]]] = [
            (desk, f"{of}/claim", claim | {"pin": word}),
            (desk, f"{of}/claim", claim | {"pin": pin[:5]}),
            (desk, f"{of}/claim", claim | {"pin": pin * 10}),
            (desk, f"{of}/claim", claim | {"duress_pin": pin}),
            (desk, f"{of}/claim", claim | {"code_word": word * 10}),
            (desk, f"{of}/claim", claim | {"language": word}),
            (desk, f"{of}/claim", claim | {word: pin}),
            (desk, f"{of}/claim/undo", {"call": word, "code_word": word}),
            (desk, f"/v1/calls/{quote(word)}/done", {}),
            (her, "/v1/my/sign-ins", {"code": word, "pin": [pin]}),
            (her, "/v1/my/sign-ins", {"code": word, "pin": pin * 10}),
            (her, "/v1/my/sign-ins", {"code": word, "pin": pin, word: pin}),
            (her, "/v1/my/view", {"session": word}),
            (her, "/v1/my/withdrawals", {"session": word, "category": word}),
            (desk, "/v1/emergencies", {"reason": word}),
            (desk, "/v1/emergencies", {"reason": word, "cnic": word, "mlc_number": word}),
            (desk, "/v1/emergencies", {"reason": word, "cnic": pin}),
            (desk, "/v1/emergencies", {"reason": word * 200, "case": case}),
            (supervisor, f"/v1/emergencies/{quote(word)}/review", {"finding": word, "note": word}),
            (keeper, f"{of}/disclosures", {"reference": word, "basis": word, "secrecy": {"reference": word}}),
            (supervisor, f"{of}/disclosures/{quote(word)}/ending", {"reason": word}),
            (supervisor, f"{of}/disclosures/{quote(word)}/ending", {"reason": word * 200, word: word}),
            (keeper, f"{of}/bundles", {"basis": word, "reference": word, "recipient": word}),
            (keeper, f"{of}/bundles", {"basis": "consent", "reference": word, "recipient": word, "looks": True}),
        ]
        for caller, path, body in asks:
            assert 400 <= caller.post(path, body).status_code < 500, path
        for path in (f"/my/{quote(word)}", f"/my/en/{pin}", f"/v1/my/{pin}", f"/v1/emergencies/{quote(word)}"):
            assert 400 <= her.get(path).status_code < 500, path
        assert her.get(f"/my/en?code={quote(word)}&pin={pin}").status_code == 200
        cut_off = f"do=enter&code={quote(word)}&pin={pin}".encode()
        assert her.post(f"/my/{pin}", cut_off, Content_Type="application/x-www-form-urlencoded").status_code >= 400

    def said(self, where: str) -> str:
        """A canary for a free text."""
        self._stale.add(where)
        return self.flock.text(where)

    def _digits(self, where: str) -> str:
        self._stale.add(where)
        return self.flock.digits(where)
