"""Reading by lease: who sees what, what nobody can tell apart, and what is on record before the answer."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from amanat.agency import reading, repository
from amanat.agency.testing import World, statements
from amanat.categories import Category
from amanat.sealing import open_sealed
from amanat.tables import ledger_entries
from amanat_local.postgres import Postgres

from .cases import CLIFTON, SADDAR, STORY, all_looks, open_case, read


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


async def test_a_read_whose_lease_is_here_takes_one_transaction(police: World) -> None:
    code = await open_case(police)
    counts = []
    for _ in range(2):
        with statements(police.desk.database) as seen:
            assert (await read(police, code)).status_code == 200
        counts.append(sum("amanat.tenants" in each for each in seen))
    assert counts == [2, 1]


@pytest.mark.parametrize("reads", [1, 2], ids=["a lease to be had", "a lease that is here"])
async def test_nothing_is_opened_before_its_look_is_committed(
    police: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    code = await open_case(police)
    for _ in range(reads - 1):
        await read(police, code)
    committed: list[str] = []

    def opening(key: bytes, sealed: bytes, aad: bytes) -> bytes:
        committed.append(postgres.sql("police_link", "SELECT count(*) FROM looks").strip())
        return open_sealed(key, sealed, aad)

    monkeypatch.setattr(reading, "open_sealed", opening)
    assert (await read(police, code)).status_code == 200
    assert committed == [str(reads)] * 2


async def test_what_is_withdrawn_between_the_listing_and_the_look_is_not_read(
    police: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the lease here: both are of one transaction."""
    code = await open_case(police)
    await read(police, code)
    versions = repository.versions

    async def and_then(*arguments: Any) -> Any:
        listed = await versions(*arguments)
        await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False))
        return listed

    monkeypatch.setattr(repository, "versions", and_then)
    answer = await read(police, code)
    assert set(answer.json()["parts"]) == {"identity"}
    assert "told once" not in answer.text
