"""No station sees another's rows: each statement joins the asking tenant, and behind it stands the policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text, true

from amanat.agency import repository
from amanat.agency.testing import World
from amanat.categories import Agency, Category
from amanat.consent import from_lease, own
from amanat.principal import Principal

from .cases import CLIFTON, SADDAR, open_case


def principal_of(organisation: str) -> Principal:
    return Principal(
        agency=Agency.POLICE_LINK,
        organisation=organisation,
        roles=frozenset(),
        cells=frozenset(),
        subject="officer",
        client="client",
        token_id="token",
    )


async def test_each_statement_joins_the_asking_tenant_even_where_the_transaction_sees_more(
    police: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await open_case(police)
    asking = own(principal_of(CLIFTON))
    # Even with the keys themselves: as if the gate had leased them to the wrong centre.
    lease = await police.desk.leases.lease(code, SADDAR, "investigation")
    leased, keys = from_lease(replace(lease, organisation=CLIFTON)), list(lease.keys.items())
    async with police.desk.database.transaction((SADDAR, CLIFTON)) as session:
        assert await repository.versions(session, asking, repository.of_code(code)) == []
        assert await repository.state_of(session, asking, code) is None
        assert await repository.lock_referral(session, asking, repository.of_code(code)) is None
        assert await repository.arrivals(session, asking, after=0, limit=10) == []
        statement = repository.parts_statement(leased, asking, code, keys)
        assert (await session.execute(statement)).all() == []
        # The guard is what held: without it the referral is seen, though still no part of it.
        monkeypatch.setattr(repository, "_asked", lambda _: true())
        assert await repository.state_of(session, asking, code) == "sent"
        [bare] = (await session.execute(repository.parts_statement(leased, asking, code, keys))).all()
        assert bare.part is None


async def test_behind_a_missing_join_row_level_security_holds(police: World, monkeypatch: pytest.MonkeyPatch) -> None:
    code = await open_case(police)
    monkeypatch.setattr(repository, "_asked", lambda _: true())
    async with police.desk.database.transaction((CLIFTON,)) as session:
        assert await repository.state_of(session, own(principal_of(CLIFTON)), code) is None
    async with police.desk.database.transaction(()) as session:
        assert await repository.state_of(session, own(principal_of(SADDAR)), code) is None


@pytest.mark.parametrize("table", ["referrals", "disclosures", "tombstones", "kits", "own_records"])
async def test_no_table_shows_another_tenants_rows_to_the_api(police: World, table: str) -> None:
    code = await open_case(police)
    await police.tell(police.gate.kit(code, SADDAR, "SAK-0002"), police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    async with police.client(SADDAR) as officer:
        await officer.post(f"/v1/referrals/{code}/acknowledgement", json={}, headers={"Idempotency-Key": "1"})
    async with police.desk.database.transaction((SADDAR,)) as session:
        assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() > 0
    async with police.desk.database.transaction((CLIFTON,)) as session:
        assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0
