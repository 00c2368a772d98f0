"""Every statement on an agency's tables joins its tenant: tried in a transaction of two stations, so that row-level
security stands in no way, against rows that one station keeps under the other's codes and barcodes. Each is asked as
its owner too, so that none holds for want of a row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency import arriving, repository
from amanat.agency.testing import World
from amanat.categories import Category
from amanat.consent import Access, from_lease, own
from amanat.contracts.disclosures import CategoryWithdrawn, KitAnnounced, ReferralOpened
from amanat_local.postgres import Postgres

from .cases import CLIFTON, SADDAR, open_case
from .test_tenants import principal_of

OURS, THEIRS = own(principal_of(SADDAR)), own(principal_of(CLIFTON))
SHARED, ONLY_OURS = "SAK-0001", "SAK-0002"
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Two:
    """Saddar's referral, acknowledged, of two categories, with a kit of each barcode; Clifton's with a kit of one of
    them. The sessions are `main`'s and the worker's, each of both stations."""

    police: World
    main: AsyncSession
    worker: AsyncSession
    code: str
    theirs: str
    postgres: Postgres

    def plant(self, table: str, changed: str, where: str) -> None:
        """A copy of a row with these columns changed, as nobody but a superuser could write it."""
        self.postgres.sql(
            "police_link",
            f"CREATE TEMP TABLE copied AS SELECT * FROM {table} WHERE {where} LIMIT 1;"
            f" UPDATE copied SET {changed}; INSERT INTO {table} SELECT * FROM copied",
        )

    async def row(self, table: str, where: str) -> tuple[object, ...]:
        return tuple((await self.worker.execute(text(f"SELECT * FROM {table} WHERE {where}"))).one())


@pytest.fixture
async def two(police: World, postgres: Postgres) -> AsyncIterator[Two]:
    code, theirs = await open_case(police), await open_case(police, CLIFTON)
    gate = police.gate
    await police.tell(
        gate.kit(code, SADDAR, SHARED), gate.kit(code, SADDAR, ONLY_OURS), gate.kit(theirs, CLIFTON, SHARED)
    )
    async with police.client(SADDAR) as officer:
        headers = {"Idempotency-Key": "1"}
        assert (await officer.post(f"/v1/referrals/{code}/acknowledgement", json={}, headers=headers)).is_success
    both = (SADDAR, CLIFTON)
    async with police.desk.database.transaction(both) as main, police.worker.transaction(both) as worker:
        yield Two(police, main, worker, code, theirs, postgres)


async def parts(two: Two, by: Access) -> list[tuple[str, UUID, list[str]]]:
    """What the look's statement gives with Saddar's own keys, whoever asks."""
    lease = await two.police.desk.leases.lease(two.code, SADDAR, "investigation")
    statement = repository.parts_statement(from_lease(lease), by, two.code, list(lease.keys.items()))
    return [(row.part, row.id, row.kits) for row in await two.main.execute(statement)]


async def test_a_kit_of_a_barcode_that_two_stations_keep(two: Two) -> None:
    for by, code in ((OURS, two.code), (THEIRS, two.theirs)):
        found = await repository.lock_referral(two.main, by, repository.of_kit(by, SHARED))
        assert found is not None
        assert found.code == code
    # A row of ours that names their referral leads them nowhere.
    two.plant("kits", f"barcode = 'SAK-0003', referral = '{two.theirs}'", f"barcode = '{ONLY_OURS}'")
    assert await repository.versions(two.main, THEIRS, repository.of_kit(THEIRS, "SAK-0003")) == []


async def test_what_there_is_to_read(two: Two) -> None:
    which = repository.of_code(two.code)
    before, read = await repository.versions(two.main, OURS, which), await parts(two, OURS)
    [listed] = await repository.arrivals(two.main, OURS, after=0, limit=9)
    assert [row.kits for row in before] == [[SHARED, ONLY_OURS]] * 2
    assert sorted(part for part, _, _ in read) == ["own", "part", "part"]
    assert listed.categories == 2
    theirs = f"tenant = '{CLIFTON}'"
    two.plant("kits", f"{theirs}, barcode = 'SAK-0004'", f"barcode = '{ONLY_OURS}'")
    two.plant("own_records", f"{theirs}, seq = 999", "true")
    two.plant("disclosures", f"{theirs}, category = 'digital'", f"referral = '{two.code}'")
    two.plant("disclosures", theirs, f"referral = '{two.code}' AND category = 'incident'")
    for category in ("incident", "identity"):
        two.postgres.sql(
            "police_link",
            f"INSERT INTO tombstones VALUES ('{CLIFTON}', '{two.code}', '{category}', 9, 9, now(), now())",
        )
    assert await repository.versions(two.main, OURS, which) == before
    assert await parts(two, OURS) == read
    assert await repository.arrivals(two.main, OURS, after=0, limit=9) == [listed]
    assert await repository.versions(two.main, THEIRS, which) == []
    assert await parts(two, THEIRS) == []
    assert [row.code for row in await repository.arrivals(two.main, THEIRS, after=0, limit=9)] == [two.theirs]


async def test_a_referral_is_locked_and_goes_on_within_its_station(two: Two) -> None:
    which = repository.of_code(two.code)
    before = await repository.lock_referral(two.main, OURS, which)
    assert before is not None
    for by, seqs, state in ((THEIRS, 0, "acknowledged"), (OURS, 1, "refused")):
        assert (await repository.lock_referral(two.main, by, which) is not None) == bool(seqs)
        await repository.advance(two.main, by, two.code, {"state": "refused"})
        now = await repository.lock_referral(two.main, OURS, which)
        assert now is not None
        assert (now.state, now.next_seq) == (state, before.next_seq + seqs)
        assert await repository.state_of(two.main, by, two.code) == (state if seqs else None)


async def test_what_a_station_recorded(two: Two) -> None:
    [record] = await repository.own_of(two.main, OURS, two.code, ["acknowledgement"])
    assert await repository.own_of(two.main, THEIRS, two.code, ["acknowledgement"]) == []
    found = await repository.own_record(two.main, OURS, record.id)
    assert found is not None
    assert (found.id, found.sealed) == (record.id, record.sealed)
    assert await repository.own_record(two.main, THEIRS, record.id) is None


async def test_a_kit_is_announced_to_its_own_station(two: Two) -> None:
    def announced(code: str, organisation: str, barcode: str) -> KitAnnounced:
        return KitAnnounced(referral=code, organisation=organisation, barcode=barcode, announced_at=NOW)

    for code, organisation in ((two.code, SADDAR), (two.theirs, CLIFTON)):
        assert await arriving.put_kit(two.worker, announced(code, organisation, SHARED)) is False
        with pytest.raises(arriving.KitElsewhere):
            await arriving.put_kit(two.worker, announced(two.police.gate.code(), organisation, SHARED))
    assert await arriving.put_kit(two.worker, announced(two.theirs, CLIFTON, ONLY_OURS)) is True


def withdrawn(two: Two, organisation: str) -> CategoryWithdrawn:
    return CategoryWithdrawn(
        referral=two.code, organisation=organisation, category=Category.INCIDENT, epoch=5, consent_version=9,
        withdrawn_at=NOW,
    )  # fmt: skip


async def test_a_withdrawal_takes_effect_at_its_own_station(two: Two) -> None:
    ours = f"code = '{two.code}'"
    before = await two.row("referrals", ours)
    assert await arriving.note_withdrawal(two.worker, withdrawn(two, CLIFTON)) is None
    assert await two.row("referrals", ours) == before
    assert await arriving.note_withdrawal(two.worker, withdrawn(two, SADDAR)) is not None
    assert await two.row("referrals", ours) != before
    await arriving.put_tombstone(two.worker, withdrawn(two, CLIFTON), NOW)
    access = repository.of_code(two.code)
    assert len(await repository.versions(two.worker, OURS, access)) == 2
    await arriving.put_tombstone(two.worker, withdrawn(two, SADDAR), NOW)
    assert len(await repository.versions(two.worker, OURS, access)) == 1


async def test_a_referral_that_is_another_stations_does_not_arrive_here(two: Two) -> None:
    ours = f"code = '{two.code}'"
    before = await two.row("referrals", ours)
    opened = ReferralOpened(
        referral=two.code, organisation=CLIFTON, purpose="investigation", opened_at=NOW, consent_version=99
    )
    await arriving.in_order(two.worker, {SADDAR, CLIFTON})
    with pytest.raises(LookupError):
        await arriving.add_referrals(two.worker, [opened], NOW)
    await arriving.arrive_again(two.worker, CLIFTON, two.code)
    assert await two.row("referrals", ours) == before
    ours_again = opened.model_copy(update={"organisation": SADDAR})
    assert await arriving.add_referrals(two.worker, [ours_again], NOW) == {two.code}
    again = await two.row("referrals", ours)
    await arriving.arrive_again(two.worker, SADDAR, two.code)
    assert await two.row("referrals", ours) != again


async def test_what_the_feed_has_passed_by(two: Two) -> None:
    code = await open_case(two.police)
    await two.police.tell(
        *(two.police.gate.withdrawn(code, SADDAR, category) for category in (Category.INCIDENT, Category.IDENTITY))
    )
    assert await arriving.hidden(two.worker, [(CLIFTON, code)]) == []
    # What another station keeps under its code hides nothing, and shows nothing.
    two.plant("disclosures", f"tenant = '{CLIFTON}', referral = '{code}', category = 'digital'", "true")
    two.plant("disclosures", f"tenant = '{CLIFTON}', referral = '{code}'", f"tenant = '{SADDAR}' AND epoch = 1")
    two.plant("own_records", f"tenant = '{CLIFTON}', referral = '{code}'", "true")
    assert await arriving.hidden(two.worker, [(CLIFTON, code), (SADDAR, code)]) == [(SADDAR, code)]
    assert [row.code for row in await repository.arrivals(two.worker, OURS, after=0, limit=9)] == [two.code]
    # On its way is what no withdrawal of its own station's reaches.
    on_its_way = two.police.gate.code()
    await two.police.tell(two.police.gate.opened(on_its_way, SADDAR))
    two.postgres.sql(
        "police_link",
        f"INSERT INTO tombstones VALUES ('{CLIFTON}', '{on_its_way}', 'incident', 9, 99, now(), now())",
    )
    assert await arriving.hidden(two.worker, [(SADDAR, on_its_way)]) == []
    assert len(await repository.arrivals(two.worker, OURS, after=0, limit=9)) == 2


async def test_a_disclosure_replaces_none_of_another_stations(two: Two) -> None:
    where = f"tenant = '{SADDAR}' AND referral = '{two.code}' AND category = 'incident'"
    before = await two.row("disclosures", where)
    values = dict(
        zip(
            ("tenant", "referral", "category", "epoch", "key_id", "seq", "event_id", "contract", "sealed",
             "received_at"),
            before, strict=True,
        )
    ) | {"tenant": CLIFTON, "seq": 999, "event_id": uuid4()}  # fmt: skip
    # A withdrawal of theirs reaches theirs alone.
    await arriving.put_tombstone(two.worker, withdrawn(two, CLIFTON), NOW)
    await arriving.put_disclosures(two.worker, [values])
    assert await two.row("disclosures", where) == before
    assert (
        await two.worker.execute(text(f"SELECT 1 FROM disclosures WHERE tenant = '{CLIFTON}' AND seq = 999"))
    ).all() == []
    await arriving.put_disclosures(two.worker, [values | {"tenant": SADDAR}])
    assert await two.row("disclosures", where) != before


async def test_no_referral_is_passed_by_for_anothers_withdrawal(two: Two) -> None:
    one, other = await open_case(two.police), await open_case(two.police)
    gate = two.police.gate
    await two.police.tell(
        gate.withdrawn(one, SADDAR, Category.INCIDENT), gate.withdrawn(other, SADDAR, Category.IDENTITY)
    )
    assert await arriving.hidden(two.worker, [(SADDAR, one), (SADDAR, other)]) == []
