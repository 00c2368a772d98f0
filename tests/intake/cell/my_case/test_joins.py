"""Every statement of her page joins its tenant: asked as Lahore in a transaction that sees both cells, it neither finds
nor changes what is Karachi's; asked as Karachi it does, so that none holds for want of a row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access, own
from amanat_local.postgres import Postgres
from intake.my_case.repository import claims, looks, persons, sign_ins

from ..looking import IDENTITY, look, tell
from ..world import KARACHI, LAHORE, POLICE, World, consent, principal
from .cell import DURESS, Claim, issue, sign_in
from .test_from_afar import take

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Owed:
    """A claim of Karachi's and the call that the cell owes since she took something back; a lease that no look accounts
    for, a look that was told, and her own. The session is `main`'s, of both cells."""

    session: AsyncSession
    access: Access
    claim: Claim
    call: UUID
    referral: str
    world: World
    sql: Callable[[str], str]


@pytest.fixture
async def owed(world: World, migrated: Callable[[str, str], Postgres]) -> AsyncIterator[Owed]:
    postgres = migrated("intake", "intake")
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    call = UUID((await take(world, claim, category="incident"))["call"])
    await world.leased(POLICE, referrals[POLICE])
    await tell(world, referrals[POLICE], look(datetime.now(UTC), IDENTITY))
    postgres.sql("intake", "UPDATE leases SET alarmed_at = now(), accounted_at = NULL")
    async with world.main.transaction((KARACHI, LAHORE)) as session:
        yield Owed(
            session, own(principal(LAHORE)), claim, call, referrals[POLICE], world,
            lambda statement: postgres.sql("intake", statement),
        )  # fmt: skip


async def test_a_claim(owed: Owed) -> None:
    session, case, claim = owed.session, owed.claim.case, UUID(owed.claim.id)
    for tenant, sees in ((LAHORE, False), (KARACHI, True)):
        assert (await claims.read_claim(session, [tenant], case) is not None) == sees
        assert (await claims.read_claim_of(session, [tenant], claim) is not None) == sees
        statement = claims.claim_statement(owed.access, tenant, case, claim)
        assert bool((await session.execute(statement)).all()) == sees
    for tenant, ended in ((LAHORE, None), (KARACHI, claim)):
        assert await claims.end_claim(session, tenant, case, NOW) == ended
    for tenant, at in ((LAHORE, None), (KARACHI, NOW)):
        assert await claims.last_ended(session, [tenant], case) == at


async def test_a_call_that_a_cell_owes(owed: Owed) -> None:
    session, call = owed.session, owed.call
    for tenant, sees in ((LAHORE, False), (KARACHI, True)):
        assert bool(await claims.open_calls(session, [tenant], after=0, limit=9)) == sees
        assert (await claims.find_call(session, [tenant], call) is not None) == sees
        assert bool(await claims.read_afar(session, [tenant], [call])) == sees
    for tenant, does in ((LAHORE, False), (KARACHI, True)):
        assert bool(await claims.undo_afar(session, tenant, call, NOW)) == does
        assert await claims.finish_call(session, tenant, call, "somebody", NOW) == does


async def test_who_looked_and_who_left_a_lease_without_a_look(owed: Owed) -> None:
    session, access, case = owed.session, owed.access, owed.claim.case
    for tenant, sees in ((LAHORE, 0), (KARACHI, 1)):
        assert len(await looks.read_each(session, access, tenant, case, [owed.referral])) == sees
        assert len(await claims.read_unaccounted(session, access, tenant, case)) == sees
        own_looks = await claims.read_own_looks(session, access, tenant, case, "own_view", uuid4())
        assert bool(own_looks.times) == bool(sees)
    # A referral that another cell calls its own explains no look and no lease of this one's.
    owed.sql(f"UPDATE referrals SET tenant = '{LAHORE}'")
    assert await looks.read_each(session, access, KARACHI, case, [owed.referral]) == []
    assert await claims.read_unaccounted(session, access, KARACHI, case) == []


async def test_who_she_is(owed: Owed) -> None:
    for tenant, sees in ((LAHORE, 0), (KARACHI, 1)):
        assert len(await persons.read_persons(owed.session, owed.access, tenant, owed.claim.case)) == sees


async def test_a_duress_pin_is_noted_within_its_cell(owed: Owed) -> None:
    await sign_in(owed.world, owed.claim.code, DURESS)
    async with owed.world.gate.transaction(()) as session:
        for tenant, noted in ((LAHORE, 0), (KARACHI, 1)):
            assert len(await sign_ins.note_duress(session, tenant, owed.claim.case, NOW + timedelta(days=1))) == noted
