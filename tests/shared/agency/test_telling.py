"""The gate is told of every look once, by office and not by officer, whatever died in between; of refusals never."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from amanat.agency import telling
from amanat.agency.telling import tell_of_looks
from amanat.agency.testing import World, statements
from amanat.categories import Category
from amanat.contracts.looks import LooksReported
from amanat.db import AnyRow
from amanat.tables import outbox, referrals, untold_looks
from amanat_local.postgres import Postgres

from .cases import CLIFTON, SADDAR, STORY, all_looks, open_case, read

REPORTED = LooksReported.type


async def tell(police: World, *organisations: str) -> int:
    """One round of the worker's."""
    return await tell_of_looks(
        police.worker, organisations or (SADDAR, CLIFTON), police.desk.instruments, lambda: datetime.now(UTC)
    )


async def digests(police: World) -> list[LooksReported]:
    return [fact for fact in await police.facts() if isinstance(fact, LooksReported)]


async def untold(police: World) -> int:
    async with police.worker.transaction((SADDAR, CLIFTON)) as session:
        return len((await session.execute(select(untold_looks))).all())


async def sent(police: World) -> list[AnyRow]:
    async with police.worker.transaction(()) as session:
        return list((await session.execute(select(outbox).where(outbox.c.type == REPORTED))).all())


async def test_each_look_is_told_once_in_one_digest_per_referral(police: World) -> None:
    first, second, theirs = await open_case(police), await open_case(police), await open_case(police, CLIFTON)
    for code in (first, second, first):
        assert (await read(police, code)).status_code == 200
    await read(police, theirs, CLIFTON)
    assert await tell(police) == 4
    assert await tell(police) == 0
    told = await digests(police)
    assert {fact.referral: len(fact.looks) for fact in told} == {first: 2, second: 1, theirs: 1}
    assert len(told) == 3
    looks = {row.id: row for row in await all_looks(police)}
    assert {each.look_id for fact in told for each in fact.looks} == looks.keys()
    for fact in told:
        for each in fact.looks:
            row = looks[each.look_id]
            assert (fact.referral, each.at, each.purpose) == (row.referral, row.at, "investigation")
            assert list(each.categories) == row.categories == ["identity", "incident"]


async def test_of_refusals_nothing_is_told(police: World) -> None:
    foreign = await open_case(police, CLIFTON)
    for code in (foreign, police.gate.code()):
        assert (await read(police, code)).status_code == 404
    assert len(await all_looks(police)) == 2
    assert await tell(police) == 0
    assert await digests(police) == []


async def test_what_dies_before_the_commit_leaves_the_looks_untold_and_nothing_sent(
    police: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        await read(police, await open_case(police))
    real, sends = telling.send, 0

    async def dies(*given: object, **named: object) -> None:
        nonlocal sends
        sends += 1
        await real(*given, **named)  # type: ignore[arg-type]  # passed on as they came
        if sends == 2:
            raise ConnectionError

    monkeypatch.setattr(telling, "send", dies)
    with pytest.raises(ConnectionError):
        await tell(police)
    assert (await untold(police), await digests(police)) == (2, [])
    monkeypatch.setattr(telling, "send", real)
    assert await tell(police) == 2
    assert len(await digests(police)) == 2


async def test_two_workers_at_once_tell_of_nothing_twice(police: World) -> None:
    code = await open_case(police)
    await asyncio.gather(*(read(police, code) for _ in range(12)))
    await asyncio.gather(*(tell(police) for _ in range(4)))
    await tell(police)
    told = Counter(each.look_id for fact in await digests(police) for each in fact.looks)
    assert told == Counter(row.id for row in await all_looks(police))


async def test_looks_that_come_while_others_are_told_are_told_the_next_time(
    police: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, real = await open_case(police), telling.send
    await read(police, code)

    async def meanwhile(*given: object, **named: object) -> None:
        await read(police, code)
        await real(*given, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(telling, "send", meanwhile)
    assert await tell(police) == 1
    monkeypatch.setattr(telling, "send", real)
    assert await tell(police) == 1
    assert len({each.look_id for fact in await digests(police) for each in fact.looks}) == 2


async def test_an_organisation_that_the_worker_does_not_know_yet_is_told_of_when_it_does(police: World) -> None:
    """The directory may be newer at the HTTP process than at the worker."""
    code = await open_case(police, CLIFTON)
    await read(police, code, CLIFTON)
    assert await tell(police, SADDAR) == 0
    assert await tell(police, SADDAR, CLIFTON) == 1


async def test_many_looks_go_into_several_facts_and_several_rounds(
    police: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "LOOKS_AT_ONCE", 2)
    monkeypatch.setattr(telling, "BATCH", 3)
    code = await open_case(police)
    for _ in range(7):
        await read(police, code)
    assert await tell(police) == 7
    assert sorted(len(fact.looks) for fact in await digests(police)) == [1, 1, 1, 2, 2]
    assert len({each.look_id for fact in await digests(police) for each in fact.looks}) == 7


async def test_a_look_at_nothing_but_ones_own_record_is_told_after_a_withdrawal_too(police: World) -> None:
    code = await open_case(police)
    async with police.client(SADDAR) as officer:
        await officer.post(f"/v1/referrals/{code}/acknowledgement", json={}, headers={"Idempotency-Key": "1"})
    for category in (Category.INCIDENT, Category.IDENTITY):
        await police.tell(police.gate.withdrawn(code, SADDAR, category))
    assert (await read(police, code)).status_code == 200
    await tell(police)
    [fact] = await digests(police)
    assert [each.categories for each in fact.looks] == [()]


async def test_keys_that_were_leased_and_found_nothing_are_accounted_for(police: World) -> None:
    """Withdrawn between lease and fetch, or leased before the referral came: the gate gave keys, and hears why."""
    code = await open_case(police)
    for category in (Category.INCIDENT, Category.IDENTITY):
        await police.tell(police.gate.withdrawn(code, SADDAR, category, destroys=False))
    early = police.gate.code()
    police.gate.disclosed(early, SADDAR, Category.INCIDENT, STORY)
    for each in (code, early):
        assert (await read(police, each)).status_code == 404
    assert [(row.referral, row.refused, row.categories) for row in await all_looks(police)] == [
        (code, None, []), (early, None, []),
    ]  # fmt: skip
    await tell(police)
    assert {fact.referral: fact.looks[0].categories for fact in await digests(police)} == {code: (), early: ()}


async def test_that_keys_were_leased_shows_in_nothing_that_the_client_gets(police: World) -> None:
    early = police.gate.code()
    police.gate.disclosed(early, SADDAR, Category.INCIDENT, STORY)
    found = []
    for code in (early, police.gate.code()):
        with statements(police.desk.database) as run:
            answer = await read(police, code)
        body = {name: value for name, value in answer.json().items() if name != "trace_id"}
        found.append((answer.status_code, body, sorted(answer.headers), run))
    assert found[0] == found[1]


async def test_telling_changes_nothing_that_readers_of_the_referral_see(police: World) -> None:
    """A new version would bring its readers back, whose looks would be told, which would make a new version."""
    code = await open_case(police)
    etag = (await read(police, code)).headers["etag"]
    await tell(police)
    assert (await read(police, code, **{"If-None-Match": etag})).status_code == 304
    async with police.worker.transaction((SADDAR,)) as session:
        assert await session.scalar(select(referrals.c.next_seq)) == 1
    [row] = await sent(police)
    assert (row.topic, row.key, row.tenant, row.seq) == ("facts.police-link", code, SADDAR, None)


async def test_nothing_stands_in_the_clear_of_what_a_digest_says(police: World, postgres: Postgres) -> None:
    code = await open_case(police)
    await read(police, code)
    [look] = await all_looks(police)
    await tell(police)
    [row] = await sent(police)
    clear = postgres.sql("police_link", f"SELECT to_jsonb(o)::text FROM outbox o WHERE id = {row.id}")
    body = bytes(row.body).decode()
    for hidden in (look.subject, look.client, look.token_id, str(look.id), "investigation", "incident", SADDAR):
        assert hidden not in body
        assert hidden not in str(row.headers)
    for name in (look.subject, look.client, look.token_id, "Zainab", "told once"):
        assert name not in clear
        assert name.encode().hex() not in clear


async def test_no_digest_names_an_officer(police: World) -> None:
    await read(police, await open_case(police))
    [look] = await all_looks(police)
    await tell(police)
    [fact] = await digests(police)
    for name in (look.subject, look.client, look.token_id):
        assert name not in fact.body().decode()


@pytest.mark.parametrize("planted", ["categories = '{told by nobody}'", "referral = 'told by nobody'"])
async def test_a_row_that_fits_no_digest_keeps_no_other_from_being_told(
    police: World, postgres: Postgres, capsys: pytest.CaptureFixture[str], planted: str
) -> None:
    await read(police, await open_case(police))
    await read(police, await open_case(police))
    [first, _] = await all_looks(police)
    postgres.sql("police_link", f"UPDATE looks SET {planted} WHERE id = '{first.id}'")
    await tell(police)
    assert len(await digests(police)) == 1
    printed = capsys.readouterr().out
    assert "look_cannot_be_told" in printed
    assert "told by nobody" not in printed


@pytest.mark.parametrize("statement", ["DELETE FROM untold_looks", "SELECT * FROM untold_looks"])
async def test_who_reads_cannot_take_back_that_the_gate_is_to_be_told(police: World, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with police.desk.database.transaction((SADDAR,)) as session:
            await session.execute(text(statement))
