"""Every statement on broken glass joins its tenant, as in `test_joins`; each finds its own, so that none holds for want
of a row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access, own
from amanat.db import AnyRow
from amanat_local.postgres import Postgres
from intake.break_glass.repository import disclosures, emergencies

from .breaking import FULL, opened, reviewed
from .world import FORENSICS, KARACHI, LAHORE, POLICE, World, principal

LATER = datetime.now(UTC) + timedelta(days=60)


@dataclass(frozen=True)
class Broken:
    """A case of Karachi's with an emergency of a clinician of Lahore's, and two disclosures outside: one approved under
    secrecy, one undecided. The session sees every cell."""

    session: AsyncSession
    access: Access
    case: str
    emergency: AnyRow
    approved: AnyRow
    undecided: AnyRow
    world: World
    sql: Callable[..., str]

    def to_lahore(self, table: str) -> None:
        """What another cell calls its own decides nothing here."""
        self.sql(f"BEGIN; SET LOCAL session_replication_role = replica; UPDATE {table} SET tenant = '{LAHORE}'; COMMIT")


@pytest.fixture
async def broken(world: World, migrated: Callable[[str, str], Postgres]) -> AsyncIterator[Broken]:
    postgres = migrated("intake", "intake")
    case, _ = await world.open_case(**FULL)
    await opened(world)
    review_at = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    await world.order(case, POLICE, "incident", secrecy={"reference": "Order 8", "review_at": review_at})
    await world.ask(case, FORENSICS, "incident")
    [emergency] = await world.rows("SELECT * FROM emergencies")
    approved, undecided = await world.rows("SELECT * FROM outside_disclosures ORDER BY position")
    async with world.gate.transaction(()) as session:
        yield Broken(
            session, own(principal(LAHORE)), case, emergency, approved, undecided, world,
            lambda statement: postgres.sql("intake", statement),
        )  # fmt: skip


async def test_where_a_case_is(broken: Broken) -> None:
    session, access = broken.session, broken.access
    for cells, found in (([LAHORE], []), ([KARACHI], [(KARACHI, broken.case)])):
        assert await emergencies.locate_code(session, access, cells, broken.case) == found
    digest = broken.world.instruments.index.index(KARACHI, "cnic", "42101-1234567-1")
    assert await emergencies.locate(session, access, "cnic", {LAHORE: digest}) == []
    assert await emergencies.locate(session, access, "cnic", {KARACHI: digest}) == [(KARACHI, broken.case)]
    broken.to_lahore("case_index")
    for cell in (KARACHI, LAHORE):
        assert await emergencies.locate(session, access, "cnic", {cell: digest}) == []


async def test_whose_emergency_it_is(broken: Broken) -> None:
    session, access, emergency = broken.session, broken.access, broken.emergency
    for cells, sees in ((["nowhere"], False), ([KARACHI], True)):
        assert (await emergencies.find_of_cell(session, access, cells, emergency.id) is not None) == sees
        review = emergencies.review_statement(access, cells, emergency.id)
        assert bool((await session.execute(review)).all()) == sees
        assert bool(await emergencies.list_unreviewed(session, access, cells)) == sees
    # Its clinician's cell answers for her, and sees it in its list; the case it does not see.
    assert len(await emergencies.list_unreviewed(session, access, [LAHORE])) == 1
    assert await emergencies.find_of_cell(session, access, [LAHORE], emergency.id) is None
    for cell, subject, sees in (
        (LAHORE, emergency.subject, True), (KARACHI, emergency.subject, False), (LAHORE, "another", False),
    ):  # fmt: skip
        found = await emergencies.find_of_clinician(session, access, cell, subject, emergency.id)
        assert (found is not None) == sees


async def test_what_an_emergency_opens(broken: Broken) -> None:
    session, emergency, now = broken.session, broken.emergency, datetime.now(UTC)
    clinician = (LAHORE, emergency.subject)

    async def opens(tenant: str, by: tuple[str, str] = clinician) -> list[object]:
        statement = emergencies.reading_statement(broken.access, tenant, emergency.id, by, ["identity"], now)
        return [row.record_id for row in await session.execute(statement)]

    before = await opens(KARACHI)
    assert before
    assert None not in before
    assert await opens(LAHORE) == []
    assert await opens(KARACHI, (KARACHI, emergency.subject)) == []
    # A correction of another cell's corrects nothing here.
    broken.sql(
        "BEGIN; SET LOCAL session_replication_role = replica; CREATE TEMP TABLE copied AS SELECT * FROM records;"
        f" UPDATE copied SET corrects = id, id = gen_random_uuid(), tenant = '{LAHORE}';"
        " INSERT INTO records OVERRIDING SYSTEM VALUE SELECT * FROM copied; COMMIT"
    )
    assert await opens(KARACHI) == before
    broken.to_lahore("records")
    assert await opens(KARACHI) == [None]


async def test_what_was_found_of_an_emergency(broken: Broken) -> None:
    session, access, emergency = broken.session, broken.access, broken.emergency
    assert (await reviewed(broken.world, str(emergency.id))).status_code == 200
    assert await emergencies.review_of(session, access, LAHORE, emergency.id) is None
    assert await emergencies.review_of(session, access, KARACHI, emergency.id) is not None
    assert await emergencies.list_unreviewed(session, access, [KARACHI]) == []
    broken.to_lahore("emergency_reviews")
    assert len(await emergencies.list_unreviewed(session, access, [KARACHI])) == 1
    [shown] = await session.execute(emergencies.review_statement(access, [KARACHI], emergency.id))
    assert shown.review is None


async def test_a_review_that_is_owed_is_noted_within_its_cell(broken: Broken) -> None:
    session = broken.session
    assert await emergencies.note_unreviewed(session, LAHORE, broken.case, LATER) == []
    assert len(await emergencies.note_unreviewed(session, KARACHI, broken.case, LATER)) == 1


async def test_what_was_asked_for_outside(broken: Broken) -> None:
    session, access, case, now = broken.session, broken.access, broken.case, datetime.now(UTC)
    for tenant, sees in ((LAHORE, 0), (KARACHI, 1)):
        assert len(await disclosures.read_disclosures(session, access, tenant, case)) == 2 * sees
        one = await disclosures.read_disclosure(session, access, tenant, case, broken.approved.id)
        assert (one is not None) == bool(sees)
        assert len(await disclosures.secret_disclosures(session, access, tenant, case, now)) == sees
        assert len(await disclosures.approved_of(session, tenant, [broken.approved.id])) == sees
        assert [row.id for row in await disclosures.lapsed(session, tenant, case, LATER)] == [broken.undecided.id][
            :sees
        ]
    [consent] = await session.scalars(text("SELECT consent FROM outside_decisions WHERE consent IS NOT NULL"))
    assert (await broken.world.end_order(case, str(consent))).status_code == 200
    for moved, ends in ((None, True), ("outside_endings", False)):
        if moved is not None:
            broken.to_lahore(moved)
        row = await disclosures.read_disclosure(session, access, KARACHI, case, broken.approved.id)
        assert row is not None
        assert (row.ended_at is not None) == ends
    broken.to_lahore("outside_decisions")
    assert await disclosures.secret_disclosures(session, access, KARACHI, case, now) == []
    assert len(await disclosures.lapsed(session, KARACHI, case, LATER)) == 2
    shown = await disclosures.read_disclosures(session, access, KARACHI, case)
    assert [row.decision for row in shown] == [None, None]


async def test_a_secrecy_that_ended_is_noted_within_its_cell(broken: Broken) -> None:
    session = broken.session
    assert await disclosures.note_ended_secrecy(session, LAHORE, broken.case, LATER) == []
    assert len(await disclosures.note_ended_secrecy(session, KARACHI, broken.case, LATER)) == 1
