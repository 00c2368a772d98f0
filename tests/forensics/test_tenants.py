"""Parcels that no kit explains yet: two guards around each laboratory's, each enough alone, as at the cell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.testing import World
from amanat.consent import Access, own
from amanat_local.postgres import Postgres
from forensics import repository
from forensics.models import parcels
from forensics.service import Laboratory

KARACHI, LAHORE = "lab-karachi", "lab-lahore"
BARCODE = "SAK-0007"
STATION = {"agency": "police-link", "organisation": "station-saddar"}


def by(laboratory: str) -> Access:
    return own(Laboratory(laboratory))


@pytest.fixture
async def karachis(laboratory: World) -> UUID:
    """A parcel of Karachi's, unmatched, and one of Lahore's of the same barcode."""
    received = {"counterpart": STATION, "seal_intact": True, "accepted": True}
    for organisation in (KARACHI, LAHORE):
        async with laboratory.client(organisation) as client:
            headers = {"Idempotency-Key": "1"}
            sent = await client.post(f"/v1/kits/{BARCODE}/receipt", json=received, headers=headers)
        assert sent.status_code == 202
    async with laboratory.desk.database.transaction((KARACHI,)) as session:
        return UUID(str(await session.scalar(select(parcels.c.id))))


@pytest.fixture
async def opened_wide(laboratory: World, postgres: Postgres) -> AsyncIterator[None]:
    """Without row-level security: only the statements' own joins stand in the way."""
    postgres.sql("forensics", "ALTER TABLE parcels DISABLE ROW LEVEL SECURITY")
    yield
    postgres.sql("forensics", "ALTER TABLE parcels ENABLE ROW LEVEL SECURITY")


async def _ids(session: AsyncSession) -> list[UUID]:
    return list(await session.scalars(select(parcels.c.id)))


async def test_the_policy_keeps_each_laboratory_to_its_own_parcels(laboratory: World, karachis: UUID) -> None:
    """For both roles: the worker reads parcels too, and sets the tenant from the event."""
    for database in (laboratory.desk.database, laboratory.worker):
        for tenants, count in (((), 0), ((KARACHI,), 1), ((LAHORE,), 1), ((KARACHI, LAHORE), 2)):
            async with database.transaction(tenants) as session:
                assert len(await _ids(session)) == count, tenants
        async with database.transaction((LAHORE,)) as session:
            assert karachis not in await _ids(session)


async def test_with_the_join_removed_the_policy_still_blocks(laboratory: World, karachis: UUID) -> None:
    async with laboratory.worker.transaction((LAHORE,)) as session:
        # Asked as if it were Karachi's: the statement's own join would let it through.
        access = by(KARACHI)
        assert await repository.find_parcel(session, access, karachis) is None
        assert await repository.unmatched(session, access, BARCODE) == []
        await repository.set_matched(session, access, karachis, datetime.now(UTC))
    async with laboratory.worker.transaction((KARACHI,)) as session:
        assert len(await repository.unmatched(session, by(KARACHI), BARCODE)) == 1


async def test_no_laboratory_writes_into_anothers(laboratory: World) -> None:
    values = {"tenant": KARACHI, "id": uuid4(), "barcode": BARCODE, "sealed": b"", "recorded_at": datetime.now(UTC),
              "recorded_by": "x"}  # fmt: skip
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with laboratory.desk.database.transaction((LAHORE,)) as session:
            await session.execute(insert(parcels).values(**values))


@pytest.mark.parametrize("statement", ["DELETE FROM parcels", "UPDATE parcels SET sealed = ''", "TRUNCATE parcels"])
async def test_a_kept_parcel_is_not_rewritten(laboratory: World, karachis: UUID, statement: str) -> None:
    for database in (laboratory.desk.database, laboratory.worker):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.transaction((KARACHI,)) as session:
                await session.execute(text(statement))


@pytest.mark.usefixtures("opened_wide")
async def test_with_the_policy_open_the_joins_still_block(laboratory: World, karachis: UUID) -> None:
    async with laboratory.worker.transaction((LAHORE,)) as session:
        access = by(LAHORE)
        assert len(await _ids(session)) == 2  # it is open
        assert await repository.find_parcel(session, access, karachis) is None
        assert [row.tenant for row in await repository.unmatched(session, access, BARCODE)] == [LAHORE]
        await repository.set_matched(session, access, karachis, datetime.now(UTC))
    async with laboratory.worker.transaction((KARACHI,)) as session:
        mine = await repository.find_parcel(session, by(KARACHI), karachis)
        assert mine is not None
        assert mine.matched_at is None


@pytest.mark.usefixtures("opened_wide")
async def test_with_the_policy_open_an_announcement_matches_no_other_laboratorys_parcel(
    laboratory: World, karachis: UUID
) -> None:
    async with laboratory.worker.transaction((LAHORE,)) as session:
        await session.execute(update(parcels).where(parcels.c.tenant == LAHORE).values(matched_at=datetime.now(UTC)))
    code = laboratory.gate.code()
    await laboratory.tell(laboratory.gate.opened(code, LAHORE), laboratory.gate.kit(code, LAHORE, BARCODE))
    assert await laboratory.facts() == []
