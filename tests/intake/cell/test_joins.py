"""Every statement joins its tenant: tried as the gate's role, which crosses tenants by policy, so that nothing else
stands in the way. Where a row of another cell could be taken for one of the case's, such a row is planted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from amanat.ledger import tree
from intake.repository import consents, court, custody, looks
from intake.service.sources import SOURCES

from .court import KIT
from .two_cells import Two
from .world import FORENSICS, KARACHI, LAHORE, POLICE, SADDAR

STATION, OWN = ("police-link", SADDAR), ("intake", KARACHI)


async def test_kits_and_their_halves(two: Two) -> None:
    session, access = two.session, two.access
    assert [kit.tenant for kit in await custody.find_kits(session, [LAHORE], KIT)] == [LAHORE]
    assert await custody.barcodes_of(session, LAHORE, two.case) == []
    assert await custody.read_kits(session, access, LAHORE, two.case) == []
    assert await custody.read_halves(session, access, LAHORE, [KIT]) == []
    assert len(await custody.read_halves(session, access, KARACHI, [KIT])) == 4


async def test_a_release_is_matched_within_its_cell(two: Two) -> None:
    two.sql("DELETE FROM custody_matches")
    two.plant("custody_halves", f"half = 'release' AND holder_agency = 'intake' AND tenant = '{KARACHI}'",
              id="gen_random_uuid()", tenant="'somewhere'")  # fmt: skip
    release = await custody.oldest_open(two.session, KARACHI, KIT, "release", OWN, STATION)
    assert release is not None
    assert await custody.oldest_open(two.session, LAHORE, KIT, "release", OWN, STATION) is None
    two.sql(
        "INSERT INTO custody_matches (tenant, release_id, receipt_id, matched_at)"
        f" SELECT '{LAHORE}', '{release.id}', id, now() FROM custody_halves WHERE half = 'receipt' LIMIT 1"
    )
    assert await custody.oldest_open(two.session, KARACHI, KIT, "release", OWN, STATION) is not None
    halves = await custody.read_halves(two.session, two.access, KARACHI, [KIT])
    assert {(half.release_id, half.receipt_id) for half in halves} == {(None, None)}


async def test_a_kit_is_held_within_its_cell(two: Two) -> None:
    here, there = [await custody.held(two.session, cell, KIT, STATION) for cell in (KARACHI, LAHORE)]
    two.plant("custody_halves", f"half = 'receipt' AND holder_agency = 'police-link' AND tenant = '{KARACHI}'",
              id="gen_random_uuid()", tenant=f"'{LAHORE}'")  # fmt: skip
    assert await custody.held(two.session, LAHORE, KIT, STATION) == there + 1
    assert await custody.held(two.session, KARACHI, KIT, STATION) == here


async def test_halves_that_wait_too_long(two: Two) -> None:
    two.sql("DELETE FROM custody_matches", "DELETE FROM timeline WHERE kind = 'custody_gap'")
    late = datetime.now(UTC) + timedelta(days=30)
    waiting = await custody.unmatched(two.session, KARACHI, two.case, late, late)
    assert waiting
    assert await custody.unmatched(two.session, LAHORE, two.case, late, late) == []
    assert await custody.unmatched(two.session, LAHORE, two.other, late, late) == []
    assert await custody.cases_with_unmatched(two.session, late, late, 10) == [(KARACHI, two.case)]
    for half in waiting:
        two.plant("timeline", f"tenant = '{KARACHI}'", tenant=f"'{LAHORE}'", case_code=f"'{two.case}'",
                  kind="'custody_gap'", detail=f"""'{{"attestation": "{half.id}"}}'""")  # fmt: skip
    assert len(await custody.unmatched(two.session, KARACHI, two.case, late, late)) == len(waiting)


async def test_a_court_file(two: Two) -> None:
    session, access = two.session, two.access
    assert (await session.execute(court.case_statement(access, [LAHORE], two.case))).all() == []
    assert await court.read_entries(session, access, LAHORE, two.case, ()) == []
    entries = await court.read_entries(session, access, KARACHI, two.case, ())
    names = [entry.source for entry in entries]
    assert await court.read_rows(session, access, list(SOURCES), KARACHI, names)
    assert await court.read_rows(session, access, list(SOURCES), LAHORE, names) == {}
    assert await court.read_bundle(session, access, [LAHORE], two.case, two.bundle) is None
    assert await court.read_bundle(session, access, [KARACHI], two.case, two.bundle) is not None


async def test_a_court_file_takes_in_no_subject_that_another_cell_calls_the_cases(two: Two) -> None:
    before = len(await court.read_entries(two.session, two.access, KARACHI, two.case, ()))
    two.plant("referrals", f"code = '{two.referral}'", code="'P-PLANTED'", tenant=f"'{LAHORE}'")
    two.plant("kits", f"tenant = '{KARACHI}'", barcode="'KIT-PLANTED'", tenant=f"'{LAHORE}'")
    for subject in ("P-PLANTED", "KIT-PLANTED"):
        two.plant("ledger_entries", f"tenant = '{KARACHI}'", subject=f"'{subject}'")
    two.plant("custody_halves", f"tenant = '{KARACHI}'", id="gen_random_uuid()", barcode="'KIT-PLANTED'")
    assert len(await court.read_entries(two.session, two.access, KARACHI, two.case, ())) == before
    assert await court.rows_without_entry(two.session, two.access, KARACHI, two.case) == []


async def test_rows_that_no_entry_of_their_cell_names(two: Two) -> None:
    two.sql(f"UPDATE ledger_entries SET tenant = '{LAHORE}' WHERE source ~ '^(records|consent_events|custody_halves)/'")
    found = await court.rows_without_entry(two.session, two.access, KARACHI, two.case)
    assert {name.partition("/")[0] for name in found} == {"records", "consent_events", "custody_halves"}
    assert await court.rows_without_entry(two.session, two.access, LAHORE, two.case) == []


async def test_an_entry_is_not_passed_by_another_cells(two: Two) -> None:
    await tree.integrate(two.world.gate)
    last = f"(SELECT max(id) FROM ledger_entries WHERE tenant = '{KARACHI}')"
    two.against_the_keys(
        f"DELETE FROM ledger_leaves WHERE entry = {last}",
        f"UPDATE ledger_entries SET subject = '{two.case}' WHERE id = {last}",
    )
    await two.world.post("/v1/cases", {"person": {"full_name": "Invented"}}, cell=LAHORE)
    two.plant(
        "ledger_leaves",
        "true",
        position="9999",
        entry=f"(SELECT max(id) FROM ledger_entries WHERE tenant = '{LAHORE}')",
    )
    waiting = [
        entry for entry in await court.read_entries(two.session, two.access, KARACHI, two.case, ())
        if entry.position is None
    ]  # fmt: skip
    assert [entry.passed for entry in waiting] == [False]


async def test_looks(two: Two) -> None:
    seen = await looks.read_looks(two.session, two.access, KARACHI, two.case)
    assert {row.organisation for row in seen} == {KARACHI, SADDAR}
    assert await looks.read_looks(two.session, two.access, LAHORE, two.case) == []
    two.plant("agency_looks", "true", id="gen_random_uuid()", look_id="gen_random_uuid()", tenant=f"'{LAHORE}'",
              case_code=f"'{two.other}'")  # fmt: skip
    assert await looks.read_looks(two.session, two.access, LAHORE, two.other) == []
    two.against_the_keys(
        f"INSERT INTO emergency_looks SELECT '{LAHORE}', id, 'planted' FROM looks WHERE tenant = '{KARACHI}'"
    )
    again = await looks.read_looks(two.session, two.access, KARACHI, two.case)
    assert {row.organisation for row in again} == {KARACHI, SADDAR}


async def test_leases(two: Two) -> None:
    session, now, long = two.session, datetime.now(UTC), timedelta(days=1)
    two.sql("DELETE FROM leases")
    await two.world.leased(POLICE, two.referral)
    two.sql("UPDATE agency_looks SET tenant = 'somewhere'")
    assert await looks.account(session, LAHORE, two.case, long, long, now) == []
    assert await looks.account(session, KARACHI, two.case, long, long, now) == []
    assert two.sql("SELECT count(*) FROM leases WHERE accounted_at IS NULL").strip() == "1"
    assert await looks.note_unaccounted(session, LAHORE, two.case, now + long, now) == []
    two.plant("leases", "true", id=f"'{uuid4()}'", tenant=f"'{LAHORE}'")
    for tenant in (LAHORE, KARACHI):
        noted = await looks.note_unaccounted(session, tenant, two.case, now + long, now)
        assert len(noted) == (tenant == KARACHI)
    # Karachi's is noted: only the planted one is left, whose referral is no referral of Lahore's.
    assert await looks.cases_with_unaccounted(session, now + long, 10) == []


async def test_shares_and_their_endings(two: Two) -> None:
    session, access = two.session, two.access
    lab = two.sql(f"SELECT code FROM referrals WHERE agency = '{FORENSICS}'").strip()
    assert await consents.read_shares(session, KARACHI, [two.referral, lab])
    assert await consents.read_shares(session, LAHORE, [two.referral, lab]) == []
    before = [(row.agency, row.category) for row in await consents.read_endings(session, access, KARACHI, two.case)]
    assert before
    assert await consents.read_endings(session, access, LAHORE, two.case) == []
    # A later epoch of another cell's would hide the ending, or be told in its place.
    two.plant("shares", f"referral = '{lab}' AND ended_at IS NOT NULL", tenant=f"'{LAHORE}'", epoch="9")
    again = [(row.agency, row.category) for row in await consents.read_endings(session, access, KARACHI, two.case)]
    assert again == before
    assert await consents.read_endings(session, access, LAHORE, two.case) == []
