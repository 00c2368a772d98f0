"""What a court bundle never says: treatment, emergencies, orders, her own page, and who looked where no court asked."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pypdf
import pytest

from amanat import verify
from amanat_local.postgres import Postgres

from .breaking import WHY, opened
from .court import ORDER, SECRETS, Court, codes, page, story
from .my_case.cell import hers, issue, sign_in
from .world import POLICE, World

CONSENT = {**ORDER, "basis": "consent"}


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    return await story(world, migrated("intake", "intake"))


def _everything(packed: bytes) -> bytes:
    """The bundle as it lies there, and what its page of paper says where the machine could make one."""
    paper = verify.unpack(packed).get(verify.PDF)
    pages = pypdf.PdfReader(io.BytesIO(paper)).pages if paper is not None else ()
    return packed + "".join(each.extract_text() for each in pages).encode()


async def test_nothing_withheld_is_anywhere_in_a_bundle_whatever_is_ordered(court: Court) -> None:
    _, packed = await court.made({**ORDER, "looks": True})
    everything = _everything(packed)
    assert [name for name, secret in SECRETS.items() if secret.encode() in everything] == []
    for field in (b"hiv_test", b"hiv_finding", b"reactive", b"code_word", b"medication", b"last_period"):
        assert field not in everything
    kinds = {each["kind"] for name in ("report.json", "facts.json") for each in page(packed, name)["records"]}
    assert kinds == {"person", "incident", "examination", "digital_item", "fir", "laboratory_report"}
    assert b"care_note" not in everything


HINTS = (
    WHY, "emergency", "disclosure_", "claim_", "from_afar", "own_view", "my-case", "SECRET-77", "Order 7 of 2026",
)  # fmt: skip
"""What would tell of an emergency, of an order or of her own page."""


async def broken_glass(court: Court) -> None:
    """An emergency, an order that is a secret and one that is none, and a withdrawal on her own page."""
    assert (await opened(court.world, case=court.case)).status_code == 201
    review = (court.world.now + timedelta(days=20)).isoformat()
    await court.world.order(court.case, POLICE, "digital", secrecy={"reference": "SECRET-77", "review_at": review})
    await court.world.order(court.case, POLICE, "incident")
    claim = await issue(court.world, court.case)
    await hers(court.world, "/v1/my/withdrawals", session=(await sign_in(court.world, claim.code))["session"])


def _of_police(packed: bytes) -> list[Any]:
    looks = page(packed, verify.LOOKS)["looks"]
    return [each for each in looks if each["kind"] in ("leased", "look_told")]


def hints(packed: bytes) -> list[str]:
    everything = _everything(packed)
    return [hint for hint in HINTS if hint.encode() in everything]


async def test_an_emergency_an_order_and_her_own_page_are_in_no_bundle(court: Court) -> None:
    await broken_glass(court)
    waiting, packed = await court.made({**ORDER, "looks": True})
    assert waiting["waiting"] > 0
    assert hints(packed) == []
    await court.checkpoint()
    _, packed = await court.made({**ORDER, "looks": True})
    assert verify.verify(packed, court.trusted).proven
    assert hints(packed) == []
    # Of what an order did nothing either: she consented to `incident` and `identity` alone.
    opened = [each["said"] for each in page(packed, "history.json")["steps"] if each["kind"] == "share_opened"]
    assert "digital" not in [each["category"] for each in opened]
    assert all("digital" not in each["row"].get("categories", ()) for each in _of_police(packed))


async def test_one_of_these_that_was_changed_is_rejected_and_says_nothing_either(court: Court) -> None:
    await broken_glass(court)
    await court.checkpoint()
    court.sql(
        "SET session_replication_role = replica",
        "UPDATE emergencies SET unit = unit || 'x'",
        "UPDATE outside_disclosures SET unit = unit || 'x'",
        "DELETE FROM ledger_leaves WHERE entry IN (SELECT id FROM ledger_entries WHERE kind = 'claim_issued')",
    )
    answer, packed = await court.made({**ORDER, "basis": "consent"})
    assert {each["code"] for each in answer["wrong"]} >= {"unreadable"}
    assert not verify.verify(packed, court.trusted).proven
    assert hints(packed) == []


async def test_the_guard_itself_withholds_it(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the guard the canaries are there: the test above can fail."""
    monkeypatch.setattr(verify, "PARTS_SHOWN", verify.PARTS_SHOWN | {"care", "safety_reason"})
    _, packed = await court.made()
    assert SECRETS["treatment"].encode() in packed
    assert SECRETS["guardian"].encode() in packed
    monkeypatch.undo()
    assert codes(verify.verify(packed, court.trusted).wrong) == ["withheld_is_shown"]


async def test_why_a_correction_was_made_is_shown_only_where_its_kind_can_hold_nothing_withheld(court: Court) -> None:
    """Whatever the correction touched: else a reason that is missing would tell that it was of the treatment."""
    shown = await court.world.get(f"/v1/cases/{court.case}")
    [incident] = [each for each in shown.json()["records"] if each["kind"] == "incident"]
    body = {
        "kind": "incident",
        "record": {"history": "told anew"},
        "corrects": incident["record"],
        "reason": "misheard",
    }
    added = await court.world.post(f"/v1/cases/{court.case}/records", body, If_Match=shown.headers["etag"])
    assert added.status_code == 201, added.text
    await court.checkpoint()
    _, packed = await court.made()
    records = page(packed, "report.json")["records"]
    exams = [each for each in records if each["kind"] == "examination"]
    assert [(each["reason"], each["corrects"] is None) for each in exams] == [
        (None, True), (None, False), (None, False),
    ]  # fmt: skip
    assert b"a slip of the pen" not in packed
    assert "misheard" in [each["reason"] for each in records if each["kind"] == "incident"]


async def test_who_looked_is_shown_only_where_a_court_ordered_it(court: Court) -> None:
    _, without = await court.made()
    assert verify.LOOKS not in verify.unpack(without)
    assert not {b"look_told", b'"look"', b'"leased"'} & {each for each in (b"look_told", b'"look"') if each in without}
    _, packed = await court.made({**ORDER, "looks": True})
    assert verify.verify(packed, court.trusted).proven
    looks = page(packed, verify.LOOKS)["looks"]
    assert {"look", "leased"} <= {each["kind"] for each in looks}
    refused = await court.ask({**CONSENT, "looks": True})
    assert refused.status_code == 422
