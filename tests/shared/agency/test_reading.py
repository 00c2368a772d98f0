"""Reading by lease: who sees what, what nobody can tell apart, and what is on record before the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text, true

from amanat.agency import repository
from amanat.agency.testing import World, statements
from amanat.categories import Agency, Category
from amanat.consent import from_lease, own
from amanat.db import AnyRow
from amanat.lease_wire import Lease
from amanat.principal import Principal
from amanat.tables import ledger_entries, looks
from amanat_local.postgres import Postgres

SADDAR, CLIFTON = "station-saddar", "station-clifton"
STORY = ("incident", {"history": "told once"})
NAME = ("person", {"full_name": "Zainab"})


async def open_case(police: World, organisation: str = SADDAR) -> str:
    """A referral of two categories; its code."""
    code = police.gate.code()
    await police.tell(
        police.gate.opened(code, organisation),
        police.gate.disclosed(code, organisation, Category.INCIDENT, STORY),
        police.gate.disclosed(code, organisation, Category.IDENTITY, NAME),
    )
    return code


async def read(police: World, code: str, organisation: str = SADDAR, **headers: str) -> httpx.Response:
    async with police.client(organisation) as officer:
        return await officer.get(f"/v1/referrals/{code}", headers=headers)


async def all_looks(police: World, *organisations: str) -> list[AnyRow]:
    async with police.desk.database.transaction(organisations or (SADDAR, CLIFTON)) as session:
        return list((await session.execute(select(looks).order_by(looks.c.arrival))).all())


class LeasesWith:
    """The real lease client, and something that happens just after each lease."""

    def __init__(self, police: World, then: Callable[[], Awaitable[None]]) -> None:
        self._inner, self._then = police.desk.leases, then
        police.desk = replace(police.desk, leases=self)

    async def lease(self, referral: str, organisation: str, purpose: str, *, need: Collection[UUID] = ()) -> Lease:
        lease = await self._inner.lease(referral, organisation, purpose, need=need)
        await self._then()
        return lease


async def test_what_is_granted_is_read_and_what_no_ceiling_allows_is_not(police: World) -> None:
    code = await open_case(police)
    await police.tell(police.gate.disclosed(code, SADDAR, Category.CARE, ("care_note", {"notes": "never"})))
    answer = await read(police, code)
    assert answer.status_code == 200
    assert set(answer.json()["parts"]) == {"identity", "incident"}
    assert "never" not in answer.text


async def test_unknown_foreign_withdrawn_and_never_disclosed_cannot_be_told_apart(police: World) -> None:
    foreign, withdrawn, empty = await open_case(police, CLIFTON), await open_case(police), police.gate.code()
    for category in (Category.INCIDENT, Category.IDENTITY):
        await police.tell(police.gate.withdrawn(withdrawn, SADDAR, category))
    await police.tell(police.gate.opened(empty, SADDAR))
    found = []
    for code in (police.gate.code(), foreign, withdrawn, empty):
        police.gate.asked.clear()
        with statements(police.desk.database) as run:
            answer = await read(police, code)
        body = {name: value for name, value in answer.json().items() if name != "trace_id"}
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        found.append((answer.status_code, body, headers, run, len(answer.content), len(police.gate.asked)))
    assert found[0][0] == 404
    assert all(each == found[0] for each in found)


async def test_all_four_leave_the_same_refusal_and_name_no_code(police: World) -> None:
    foreign, unknown = await open_case(police, CLIFTON), police.gate.code()
    await read(police, foreign)
    await read(police, unknown)
    first, second = await all_looks(police, SADDAR)
    macs = police.desk.instruments.macs
    assert (first.referral, first.refused) == (None, macs.refusal(foreign))
    assert (second.referral, second.refused) == (None, macs.refusal(unknown))
    assert first.categories == second.categories == []


async def test_a_look_is_on_record_with_what_was_opened(police: World) -> None:
    code = await open_case(police)
    await read(police, code)
    [look] = await all_looks(police)
    assert (look.tenant, look.referral, look.refused) == (SADDAR, code, None)
    assert look.categories == ["identity", "incident"]
    assert look.purpose == "investigation"
    async with police.desk.database.transaction((SADDAR,)) as session:
        entries = (await session.execute(select(ledger_entries.c.kind).where(ledger_entries.c.subject == code))).all()
    assert [entry.kind for entry in entries] == ["look"]


async def test_without_its_record_there_is_no_look(police: World, postgres: Postgres) -> None:
    code = await open_case(police)
    postgres.sql("police_link", "REVOKE INSERT ON looks FROM police_link_api")
    try:
        answer = await read(police, code)
    finally:
        postgres.sql("police_link", "GRANT INSERT ON looks TO police_link_api")
    assert answer.status_code == 500
    assert "told once" not in answer.text
    assert await all_looks(police) == []


async def test_while_the_gate_is_away_known_and_unknown_codes_are_503_alike(police: World) -> None:
    code = await open_case(police)
    police.gate.away = True
    answers = [await read(police, each) for each in (code, police.gate.code())]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.headers["retry-after"] for answer in answers} == {"2"}
    assert await all_looks(police) == []


async def test_a_tombstone_hides_its_category_even_while_the_key_is_still_leased(police: World) -> None:
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False))
    answer = await read(police, code)
    assert set(answer.json()["parts"]) == {"identity"}
    assert "told once" not in answer.text


async def test_a_tombstone_that_comes_after_the_lease_still_hides_its_category(police: World) -> None:
    code = await open_case(police)
    withdrawn = police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False)
    LeasesWith(police, lambda: police.tell(withdrawn))
    answer = await read(police, code)
    assert set(answer.json()["parts"]) == {"identity"}


async def test_without_the_tombstone_join_that_would_show(police: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "not_withdrawn", lambda *_: true())
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False))
    assert "incident" in (await read(police, code)).json()["parts"]


async def test_a_tombstone_of_every_leased_category_leaves_404(police: World) -> None:
    code = await open_case(police)
    for category in (Category.INCIDENT, Category.IDENTITY):
        await police.tell(police.gate.withdrawn(code, SADDAR, category, destroys=False))
    assert (await read(police, code)).status_code == 404


async def test_a_new_epoch_is_read_after_a_withdrawal_and_the_old_one_never_again(police: World) -> None:
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    again = ("incident", {"history": "told anew"})
    await police.tell(police.gate.disclosed(code, SADDAR, Category.INCIDENT, again, epoch=2))
    answer = await read(police, code)
    assert answer.json()["parts"]["incident"][0]["fields"] == {"history": "told anew"}


async def test_a_key_minted_after_the_lease_is_asked_for_once_more(police: World) -> None:
    code = await open_case(police)
    await read(police, code)
    amended = ("incident", {"history": "amended"})
    await police.tell(police.gate.disclosed(code, SADDAR, Category.INCIDENT, amended))
    police.gate.asked.clear()
    answer = await read(police, code)
    assert answer.json()["parts"]["incident"][0]["fields"] == {"history": "amended"}
    assert len(police.gate.asked) == 1


async def test_what_the_client_has_already_costs_neither_lease_nor_look(police: World) -> None:
    code = await open_case(police)
    first = await read(police, code)
    police.gate.asked.clear()
    answer = await read(police, code, **{"If-None-Match": first.headers["etag"]})
    assert (answer.status_code, answer.content, police.gate.asked) == (304, b"", [])
    assert answer.headers["etag"] == first.headers["etag"]
    assert len(await all_looks(police)) == 1


@pytest.mark.parametrize("change", ["amended", "withdrawn", "recorded", "kit"])
async def test_every_change_of_what_is_read_changes_the_etag(police: World, change: str) -> None:
    code = await open_case(police)
    first = (await read(police, code)).headers["etag"]
    if change == "amended":
        await police.tell(police.gate.disclosed(code, SADDAR, Category.INCIDENT, STORY))
    elif change == "withdrawn":
        await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    elif change == "kit":
        await police.tell(police.gate.kit(code, SADDAR, "SAK-0001"))
    else:
        async with police.client(SADDAR) as officer:
            await officer.post(f"/v1/referrals/{code}/acknowledgement", json={}, headers={"Idempotency-Key": "1"})
    assert (await read(police, code, **{"If-None-Match": first})).status_code == 200


class Clock:
    """Seconds since boot that pass only when told."""

    def __init__(self, *steps: float) -> None:
        self.now, self._steps = 1000.0, list(steps)

    def __call__(self) -> float:
        self.now += self._steps.pop(0) if self._steps else 0.0
        return self.now


async def test_an_answer_older_than_a_second_is_started_again(police: World) -> None:
    code = await open_case(police)
    police.desk = replace(police.desk, leases=police.gate.client(lambda: 1000.0), boottime=Clock(0, 1.5))
    assert (await read(police, code)).status_code == 200
    assert len(await all_looks(police)) == 2


async def test_an_answer_that_is_always_too_old_is_503_and_not_given(police: World) -> None:
    code = await open_case(police)
    police.desk = replace(police.desk, leases=police.gate.client(lambda: 1000.0), boottime=Clock(*([1.5] * 12)))
    answer = await read(police, code)
    assert answer.status_code == 503
    assert "told once" not in answer.text


async def test_an_answer_that_grew_old_on_its_way_out_is_not_sent(police: World) -> None:
    code = await open_case(police)
    police.desk = replace(police.desk, leases=police.gate.client(lambda: 1000.0), boottime=Clock(0, 0, 1.5))
    answer = await read(police, code)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "told once" not in answer.text


async def test_a_lease_that_ends_before_the_answer_is_asked_for_again(police: World) -> None:
    code = await open_case(police)
    police.gate.expires_in_s = 0.5
    clock = Clock(0, 0, 0, 0.6)  # two looks of the lease client, the fetch's beginning, the check before the answer
    police.desk = replace(police.desk, leases=police.gate.client(clock), boottime=clock)
    assert (await read(police, code)).status_code == 200
    assert len(police.gate.asked) == 2


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
