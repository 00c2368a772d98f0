"""What was erased, and what somebody with all rights changed: a bundle says it, and its verifier finds it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from amanat import verify
from amanat.ledger.audit import erase
from amanat_local.postgres import Postgres

from .court import OPINION, Court, codes, edited, forged, page, story
from .world import World


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    return await story(world, migrated("intake", "intake"))


async def test_what_a_hand_put_among_the_cosignatures_is_passed_over(court: Court) -> None:
    court.sql(
        "INSERT INTO cosignatures (origin, size, root, witness, line, cosigned_at, received_at) SELECT origin, size,"
        " root, 'amanat.local/legal-aid', replace(line, 'forensics', 'legal-aid'), cosigned_at, received_at"
        " FROM cosignatures WHERE witness LIKE '%forensics'"
    )
    _, packed = await court.made()
    verdict = verify.verify(packed, court.trusted)
    assert verdict.proven
    assert codes(verdict.proved).count("witness") == 2


async def _erase(court: Court, kind: str) -> int:
    found = court.sql(
        "SELECT position, encode(commitment, 'hex') FROM ledger_entries e JOIN ledger_leaves l ON l.entry = e.id"
        f" WHERE kind = '{kind}' ORDER BY position LIMIT 1"
    )
    position, commitment = found.strip().split("|")
    async with court.world.gate.transaction(()) as session:
        await erase(session, bytes.fromhex(commitment), court.world.instruments.at_rest, os.urandom, court.world.now)
    return int(position)


async def test_an_erased_entry_is_said_to_be_erased_and_when(court: Court) -> None:
    before = await court.ask()
    position = await _erase(court, "record_added")
    async with court.world.keeper() as client:
        gone = await client.get(before.headers["Location"])
    assert (gone.status_code, gone.json()["code"]) == (409, "bundle-changed")
    _, early = await court.made()
    verdict = verify.verify(early, court.trusted)
    assert verdict.proven
    assert "erased_waits" in codes(verdict.not_proved)
    await court.checkpoint()
    _, packed = await court.made()
    verdict = verify.verify(packed, court.trusted)
    assert (verdict.proven, verdict.wrong) == (True, [])
    [said] = [each for each in verdict.proved if each.code == "erased"]
    assert said.told["position"] == position
    assert page(packed, verify.INDEX)["contents"]["erased"] == [position]


CHANGES = {
    "its sealed content is another's": (
        "UPDATE records SET sealed = (SELECT sealed FROM records WHERE kind = 'incident') WHERE kind = 'digital_item'",
        "unreadable",
    ),
    "its author": ("UPDATE records SET author_organisation = 'x' WHERE kind = 'digital_item'", "changed"),
    "its kind, so that it would be withheld": (
        "UPDATE records SET kind = 'care_note' WHERE kind = 'digital_item'", "changed",
    ),
    "it is gone": ("DELETE FROM records WHERE kind = 'digital_item'", "unreadable"),
    "a half's seal": (
        "UPDATE custody_halves SET counterpart_organisation = 'x' WHERE half = 'release'"
        " AND holder_agency = 'intake'", "changed",
    ),
    "a consent's kind": ("UPDATE consent_events SET kind = 'given' WHERE kind = 'withdrawn'", "changed"),
    "what an entry says": ("UPDATE ledger_entries SET said = '{\"x\": 1}' WHERE kind = 'case_opened'", "changed"),
    "an entry's hash": ("UPDATE ledger_entries SET commitment = sha256('x') WHERE kind = 'case_opened'", "unreadable"),
    "its salt": ("UPDATE ledger_entries SET salt_sealed = NULL WHERE kind = 'case_opened'", "erased_by_nobody"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_what_a_superuser_changed_is_said_when_the_bundle_is_made_and_rejected_by_the_verifier(
    court: Court, what: str
) -> None:
    statement, code = CHANGES[what]
    court.sql("SET session_replication_role = replica", statement)
    with capture_logs() as logs:
        answer, packed = await court.made()
    assert [each["code"] for each in answer["wrong"]] == [code]
    verdict = verify.verify(packed, court.trusted)
    assert codes(verdict.wrong) == [code]
    assert not verdict.proven
    [wrong] = verdict.wrong
    assert f"Entry {wrong.told['position']} " in verify.report(verdict)
    assert OPINION not in json.dumps([logs, answer])
    entry = json.loads(verify.unpack(packed)[f"entries/{wrong.told['position']:012d}.json"])
    assert not entry.get("opened")  # what is not proven is not shown


async def test_a_record_that_was_put_in_past_the_ledger_is_said(court: Court) -> None:
    court.sql(
        "INSERT INTO consent_events (id, tenant, case_code, kind, sealed, recorded_at) SELECT gen_random_uuid(),"
        " tenant, case_code, kind, sealed, recorded_at FROM consent_events LIMIT 1"
    )
    answer, packed = await court.made()
    assert [each["code"] for each in answer["wrong"]] == ["without_entry"]
    assert codes(verify.verify(packed, court.trusted).wrong) == ["without_entry"]


async def test_an_entry_whose_leaf_was_taken_out_is_not_said_to_wait(court: Court) -> None:
    court.sql("DELETE FROM ledger_leaves USING ledger_entries e WHERE e.id = entry AND e.kind = 'kit_opened'")
    answer, packed = await court.made()
    assert answer["waiting"] == 0
    assert len(page(packed, verify.INDEX)["without_entry"]) == 1
    assert not verify.verify(packed, court.trusted).proven


async def test_a_cell_that_hides_the_change_is_found_out_by_the_verifier(court: Court) -> None:
    """Whoever holds the cell's own bundle key puts the changed record in as if nothing were."""
    _, packed = await court.made()
    name = next(each for each, data in verify.unpack(packed).items() if OPINION.encode() in data and "entr" in each)

    def change(files: dict[str, bytes]) -> None:
        def another(entry: dict[str, Any]) -> None:
            entry["opened"]["examination"]["value"]["opinion"] = "nothing was found"

        edited(files, name, another)

    signer = court.world.instruments.bundle_signer
    assert signer is not None
    verdict = verify.verify(forged(packed, change, signer), court.trusted)
    assert codes(verdict.wrong) == ["part"]
