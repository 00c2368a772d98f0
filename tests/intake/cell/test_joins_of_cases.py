"""Every statement on a case joins its tenant, as in `test_joins`: asked as Lahore, it neither finds nor changes what is
Karachi's. Each is then asked as Karachi, so that nothing holds for want of a row.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from amanat.categories import Category
from intake.changes import Changes, Referral, Share
from intake.repository import cases, changes, consents, facts, keys, restorations

from .court import KIT
from .two_cells import Two
from .world import KARACHI, LAHORE, POLICE, SADDAR

LATER = datetime.now(UTC) + timedelta(days=60)
PLANTED = {"id": "gen_random_uuid()", "tenant": f"'{LAHORE}'"}


async def test_a_cases_version(two: Two) -> None:
    session, access = two.session, two.access
    before = await cases.version_of(session, access, [KARACHI], two.case)
    assert before is not None
    two.plant("agency_looks", "true", **PLANTED, look_id="gen_random_uuid()")
    assert await cases.version_of(session, access, [KARACHI], two.case) == before
    assert await cases.version_of(session, access, [LAHORE], two.case) is None
    for tenant, raised in ((LAHORE, 0), (KARACHI, 1)):
        await cases.touch_case(session, tenant, two.case)
        now = await cases.version_of(session, access, [KARACHI], two.case)
        assert now is not None
        assert now.version == before.version + raised


async def test_a_cases_records(two: Two) -> None:
    session, access = two.session, two.access
    statement = cases.case_statement(access, [KARACHI], two.case)
    shown = [(row.record_id, row.corrected_by) for row in await session.execute(statement)]
    current = await cases.current_records(session, access, KARACHI, two.case)
    assert current
    two.plant("records", f"tenant = '{KARACHI}'", **PLANTED, corrects=f"'{current[0].id}'")
    assert [(row.record_id, row.corrected_by) for row in await session.execute(statement)] == shown
    assert await cases.current_records(session, access, KARACHI, two.case) == current
    found = await cases.current_records(session, access, LAHORE, two.case)
    assert {row.tenant for row in found} == {LAHORE}
    assert (await session.execute(cases.case_statement(access, [LAHORE], two.case))).all() == []


async def test_a_search_over_the_blind_index(two: Two) -> None:
    session, access = two.session, two.access
    [(field, digest), *_] = await two.rows(f"SELECT field, digest FROM case_index WHERE case_code = '{two.case}'")
    assert await cases.find_by_index(session, access, [LAHORE], field, [digest]) == []
    assert await cases.find_by_index(session, access, [KARACHI], field, [digest]) == [two.case]
    assert await cases.has_index(session, LAHORE, two.case, field) == set()
    assert await cases.has_index(session, KARACHI, two.case, field) == {digest}
    two.plant("case_index", f"case_code = '{two.case}'", tenant=f"'{LAHORE}'", digest="'\\x01'", field=f"'{field}'")
    assert await cases.find_by_index(session, access, [KARACHI, LAHORE], field, [b"\x01"]) == []
    assert await cases.has_index(session, KARACHI, two.case, field) == {digest}


async def test_a_timeline_and_its_clocks(two: Two) -> None:
    session, access = two.session, two.access
    for read in (cases.read_timeline, cases.read_clocks):
        assert await read(session, access, LAHORE, two.case) == []
        assert {row.case_code for row in await read(session, access, KARACHI, two.case)} == {two.case}


async def test_clocks_start_and_stop_within_their_cell(two: Two) -> None:
    session = two.session
    running = f"SELECT kind FROM clocks WHERE case_code = '{two.case}' AND met_at IS NULL ORDER BY kind"
    before = await two.rows(running)
    [kind] = before[0]
    for tenant, stopped in ((LAHORE, []), (KARACHI, before[:1])):
        await cases.stop_clock(session, tenant, two.case, [kind], LATER)
        assert await two.rows(running) == [each for each in before if each not in stopped]
    row = {"kind": kind, "trigger_at": LATER, "due_at": LATER, "source": "planted"}
    await cases.start_clocks(session, KARACHI, two.case, [row])
    # To Lahore, Karachi's clock is none that runs already: it would start one, and the key refuses it.
    with pytest.raises(IntegrityError):
        async with session.begin_nested():
            await cases.start_clocks(session, LAHORE, two.case, [row])


async def test_what_ran_over_is_noted_within_its_cell(two: Two) -> None:
    session = two.session
    assert await keys.note_overdue(session, LAHORE, two.case, LATER) == []
    assert await two.rows("SELECT kind FROM clocks WHERE overdue_noted_at IS NOT NULL") == []
    assert await keys.note_overdue(session, KARACHI, two.case, LATER)


async def test_how_far_an_agency_came_is_noted_within_its_cell(two: Two) -> None:
    session = two.session
    progress = f"SELECT progress, reminded_at FROM referrals WHERE code = '{two.referral}'"
    for tenant, becomes in ((LAHORE, "fir_registered"), (KARACHI, "sent")):
        await consents.set_progress(session, tenant, two.referral, "sent")
        assert await two.rows(progress) == [(becomes, None)]
    assert await keys.note_silence(session, LAHORE, two.case, LATER, LATER) == []
    assert await two.rows(progress) == [("sent", None)]
    assert [row.code for row in await keys.note_silence(session, KARACHI, two.case, LATER, LATER)] == [two.referral]


async def test_an_agencys_word_on_an_ending_is_noted_within_its_cell(two: Two) -> None:
    session = two.session
    [(lab, category)] = await two.rows(
        "SELECT referral, max(category) FROM shares WHERE ended_at IS NOT NULL GROUP BY referral"
    )
    assert await consents.confirm_ending(session, LAHORE, lab, category, 9, LATER) == 0
    assert await two.rows("SELECT epoch FROM shares WHERE confirmed_at IS NOT NULL") == []
    assert await consents.confirm_ending(session, KARACHI, lab, category, 9, LATER) == 1


async def test_a_cases_referrals_and_consents(two: Two) -> None:
    session, access = two.session, two.access
    for read in (consents.read_referrals, consents.read_events):
        assert await read(session, access, LAHORE, two.case) == []
        assert {row.tenant for row in await read(session, access, KARACHI, two.case)} == {KARACHI}
    assert await consents.lock_referrals(session, LAHORE, two.case) == []
    assert len(await consents.lock_referrals(session, KARACHI, two.case)) == 2


async def test_a_kit_of_a_serial_that_two_cells_use(two: Two) -> None:
    for tenant, case in ((KARACHI, two.case), (LAHORE, two.other)):
        kit = await facts.find_kit(two.session, tenant, KIT)
        assert kit is not None
        assert kit.case_code == case
    assert await facts.find_kit(two.session, "somewhere", KIT) is None


async def test_keys_that_are_leased(two: Two) -> None:
    session, now = two.session, datetime.now(UTC)
    assert await keys.live_keys(session, LAHORE, two.referral, now) == []
    assert await keys.live_keys(session, KARACHI, two.referral, now)
    # A share that another cell calls the referral's keeps no key alive.
    two.sql(f"UPDATE shares SET tenant = '{LAHORE}'")
    assert await keys.live_keys(session, KARACHI, two.referral, now) == []


async def test_keys_that_a_later_one_replaced(two: Two) -> None:
    await keys.retire_superseded(two.session, LATER, 100)
    two.plant("keys", f"referral = '{two.referral}'", key_id="gen_random_uuid()", tenant=f"'{LAHORE}'", seq="999")
    assert await keys.retire_superseded(two.session, LATER, 100) == 0


async def test_shares_that_ended_are_looked_for_within_each_cell(two: Two) -> None:
    two.sql("UPDATE shares SET until = now() - interval '1 day'")
    assert await keys.cases_with_ended_shares(two.session, LATER, 10) == [(KARACHI, two.case)]
    two.sql(f"UPDATE shares SET tenant = '{LAHORE}'")
    assert await keys.cases_with_ended_shares(two.session, LATER, 10) == []


async def test_epochs_that_a_restore_gave_up(two: Two) -> None:
    for tenant, floor in ((LAHORE, 0), (KARACHI, 7)):
        await restorations.raise_floor(two.session, tenant, two.referral, 7)
        assert await two.rows(f"SELECT epoch_floor FROM referrals WHERE code = '{two.referral}'") == [(floor,)]


async def test_a_plan_changes_nothing_of_another_cells(two: Two) -> None:
    ended, prolonged = (Share(each, 1, None) for each in (Category.INCIDENT, Category.IDENTITY))
    referral = Referral(
        two.referral, POLICE, SADDAR, "investigation", "closed", 99, 99, shares={}, last_epochs={}, epoch_floor=0
    )
    plan = Changes(
        referrals={two.referral: referral},
        shares_ended=[(two.referral, ended, 30.0)],
        shares_prolonged=[(two.referral, replace(prolonged, until=LATER))],
    )
    states = (
        f"SELECT state, consent_version, next_seq FROM referrals WHERE code = '{two.referral}'",
        f"SELECT category FROM keys WHERE referral = '{two.referral}' AND category = 'incident'",
        f"SELECT until, ended_at FROM shares WHERE referral = '{two.referral}' AND category = 'incident'",
        f"SELECT until, ended_at FROM shares WHERE referral = '{two.referral}' AND category = 'identity'",
        f"SELECT id, cancelled_at FROM outbox WHERE referral = '{two.referral}' AND category = 'incident' ORDER BY id",
    )
    before = [await two.rows(each) for each in states]
    for tenant, same in ((LAHORE, True), (KARACHI, False)):
        await changes.apply(
            two.session, tenant=tenant, case=two.case, changes=plan, secret=None, ledger_entries=[],
            now=datetime.now(UTC),
        )  # fmt: skip
        after = [await two.rows(each) for each in states]
        assert [now == then for now, then in zip(after, before, strict=True)] == [same] * len(states)
