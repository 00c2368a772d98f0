"""Cases that are opened at once are committed together, and each is as if it had been opened alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from amanat import groupcommit
from amanat.db import Database
from amanat.groupcommit import GroupCommit, Key, Writing
from amanat.kek import NoGeneration
from amanat_local.postgres import Postgres
from intake.models import cases, timeline
from intake.service import opening

from .world import ADULT, KARACHI, LAHORE, POLICE, World, consent

CELLS = (KARACHI, LAHORE, "arcc-peshawar")
BODY = {"person": ADULT, "consents": [consent(POLICE, "identity")]}


@pytest.fixture
async def group(world: World) -> AsyncIterator[GroupCommit]:
    """As `main` has it."""
    made = opening.group(world.main)
    yield made
    await made.close()


def writing(world: World, tenants: Collection[str], *rows: str, key: str | None = None, **more: Any) -> Writing:
    """A request that may write for `tenants`, and writes one case for each of `rows`."""
    owner = next(iter(tenants))
    made = [{"tenant": each, "code": f"C-{uuid4().hex}", "opened_at": world.now, "presented_at": None} for each in rows]
    return Writing(tenants, Key(owner, f"{owner}-system", key or uuid4().hex, b"hmac", 201, "/"), {cases: made}, **more)


async def owners(world: World) -> list[str]:
    return sorted(row.tenant for row in await world.rows("SELECT tenant FROM cases"))


async def commit(group: GroupCommit, *asked: Writing) -> list[bool]:
    return list(await asyncio.gather(*(group.commit(each) for each in asked)))


async def test_cases_that_come_at_once_share_commits_and_each_gets_its_own_answer(world: World) -> None:
    bodies = [{**BODY, "person": {**ADULT, "full_name": f"Person {number}"}} for number in range(30)]
    answers = await asyncio.gather(*(world.post("/v1/cases", body) for body in bodies))
    assert {answer.status_code for answer in answers} == {201}
    for number, answer in enumerate(answers):
        shown = await world.get(answer.headers["Location"])
        assert shown.json()["case"] == answer.json()["case"]
        assert f"Person {number}" in shown.text
        [referral] = answer.json()["referrals"]
        assert (await world.readable(POLICE, referral["referral"]))["identity"][0]["full_name"] == f"Person {number}"
    [row] = await world.rows("SELECT count(DISTINCT xmin::text) AS commits FROM cases")
    assert row.commits < 15


async def test_a_lone_request_is_committed_together_with_nobody(world: World) -> None:
    before = groupcommit._TOGETHER._sum.get()
    assert (await world.post("/v1/cases", BODY)).status_code == 201
    assert groupcommit._TOGETHER._sum.get() == before + 1


async def test_twins_that_come_at_once_open_one_case(world: World) -> None:
    answers = await asyncio.gather(*(world.post("/v1/cases", BODY, key="one") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["case"] for answer in answers}) == 1
    assert sorted(answer.headers.get("Idempotency-Replayed", "no") for answer in answers) == ["no"] + ["true"] * 7
    assert await owners(world) == [KARACHI]


async def test_another_body_under_a_key_that_was_used_is_refused_and_its_neighbour_is_not(world: World) -> None:
    assert (await world.post("/v1/cases", BODY, key="one")).status_code == 201
    other, neighbour = await asyncio.gather(
        world.post("/v1/cases", {"person": {"full_name": "Another"}}, key="one"), world.post("/v1/cases", BODY)
    )
    assert (other.status_code, neighbour.status_code) == (422, 201)
    assert await owners(world) == [KARACHI, KARACHI]


async def test_what_is_refused_is_refused_alone(world: World) -> None:
    nobody = {**BODY, "consents": [consent(POLICE, "identity", organisation="station-nowhere")]}
    answers = await asyncio.gather(*(world.post("/v1/cases", body) for body in (BODY, nobody, BODY)))
    assert [answer.status_code for answer in answers] == [201, 422, 201]


async def test_no_request_writes_for_anothers_tenant_though_they_are_written_together(
    world: World, group: GroupCommit
) -> None:
    told = await commit(group, writing(world, [LAHORE], LAHORE), writing(world, [KARACHI], KARACHI, LAHORE))
    assert told == [False, False]
    assert await owners(world) == []
    assert await commit(group, writing(world, [LAHORE], LAHORE), writing(world, [KARACHI], KARACHI)) == [True, True]
    assert await owners(world) == [KARACHI, LAHORE]


async def test_no_request_takes_anothers_key(world: World, group: GroupCommit) -> None:
    own = writing(world, [LAHORE], LAHORE, key="one")
    foreign = Writing([KARACHI], own.key, writing(world, [KARACHI], KARACHI).rows)
    # Twins by their key: the first of them is tried, and it is not his.
    assert await commit(group, foreign, own) == [False, False]
    assert await world.rows("SELECT 1 FROM idempotency") == []
    assert await commit(group, own) == [True]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(CELLS), min_size=1), st.lists(st.sampled_from(CELLS), max_size=4)),
        min_size=1,
        max_size=8,
    )
)
async def test_of_any_mixture_each_row_is_written_by_whom_it_may_be_or_none_is(
    world: World, asked: list[tuple[set[str], list[str]]]
) -> None:
    group = opening.group(world.main)
    before = await owners(world)
    told = await commit(group, *(writing(world, sorted(tenants), *rows) for tenants, rows in asked))
    await group.close()
    written = [tenant for (_, rows), done in zip(asked, told, strict=True) if done for tenant in rows]
    assert await owners(world) == sorted(before + written)
    for (tenants, rows), done in zip(asked, told, strict=True):
        assert not done or set(rows) <= tenants
    if all(set(rows) <= tenants for tenants, rows in asked):
        assert all(told)


async def test_a_row_that_its_table_refuses_keeps_no_neighbour_from_being_written_alone(
    world: World, group: GroupCommit
) -> None:
    good, bad = writing(world, [KARACHI], KARACHI), writing(world, [KARACHI], KARACHI)
    bad.rows[cases][0]["code"] = good.rows[cases][0]["code"]  # type: ignore[index]
    assert await commit(group, good, bad) == [False, False]
    assert await owners(world) == []
    assert await commit(group, good) == [True]


async def test_a_column_that_is_not_written_is_an_error_and_not_lost(world: World, group: GroupCommit) -> None:
    row = {"tenant": KARACHI, "code": "C-1", "opened_at": world.now, "version": 7}
    with pytest.raises(ValueError, match="version"):
        await group.commit(Writing([KARACHI], Key(KARACHI, "c", "k", b"", 201, "/"), {cases: [row]}))


async def test_rows_keep_their_order(world: World, group: GroupCommit) -> None:
    made = [writing(world, [KARACHI], KARACHI) for _ in range(5)]
    for each in made:
        code = each.rows[cases][0]["code"]
        each.rows[timeline] = [  # type: ignore[index]
            {"tenant": KARACHI, "case_code": code, "at": world.now, "kind": f"{place}", "detail": {"é": [place, None]}}
            for place in range(20)
        ]
    assert all(await commit(group, *made))
    for each in made:
        rows = await world.rows(
            "SELECT kind, detail, agency FROM timeline WHERE case_code = :code ORDER BY position",
            code=each.rows[cases][0]["code"],
        )
        assert [(row.kind, row.detail, row.agency) for row in rows] == [
            (f"{place}", {"é": [place, None]}, None) for place in range(20)
        ]


async def test_nothing_is_written_that_no_longer_stands(world: World, group: GroupCommit) -> None:
    stale = writing(world, [KARACHI], KARACHI, stands=lambda: False)
    assert await commit(group, stale, writing(world, [LAHORE], LAHORE)) == [False, True]
    assert await owners(world) == [LAHORE]


async def test_a_generation_that_ends_between_making_and_writing_seals_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = opening.make
    rotated: list[int] = []

    def made_and_then_rotated(*arguments: Any, **named: Any) -> Any:
        found = make(*arguments, **named)
        if not rotated:
            rotated.append(world.kek.create())
        return found

    monkeypatch.setattr(opening, "make", made_and_then_rotated)
    answer = await world.post("/v1/cases", BODY)
    assert answer.status_code == 201
    [row] = await world.rows("SELECT generation FROM request_secrets")
    assert row.generation == rotated[0]


async def test_a_flush_waits_while_a_generation_ends(world: World, group: GroupCommit) -> None:
    async with world.gate.transaction(()) as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(4246001)"))
        assert await commit(group, writing(world, [KARACHI], KARACHI)) == [False]
    assert await commit(group, writing(world, [KARACHI], KARACHI)) == [True]


async def test_a_twin_that_is_under_way_elsewhere_holds_nobody_up(world: World, group: GroupCommit) -> None:
    asked = writing(world, [KARACHI], KARACHI, key="held")
    async with world.main.transaction([KARACHI]) as session:
        await session.execute(
            text("INSERT INTO idempotency (tenant, client, key, body_hmac, created_at) VALUES (:t, :c, :k, '', now())"),
            {"t": KARACHI, "c": asked.key.client, "k": "held"},
        )
        async with asyncio.timeout(3):  # a client's own twin would wait for five seconds
            assert await commit(group, asked, writing(world, [LAHORE], LAHORE)) == [False, False]


async def test_who_comes_while_the_last_flushers_end_is_not_left_waiting(
    group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(asked: list[Writing]) -> set[int]:
        await asyncio.sleep(0)
        return {id(each) for each in asked}

    async def again(times: int) -> None:
        for _ in range(times):
            assert await group.commit(Writing([KARACHI], Key(KARACHI, "system", uuid4().hex, b"", 201, "/"), {}))

    monkeypatch.setattr(groupcommit, "AT_MOST", 1)
    monkeypatch.setattr(group, "_write", at_once)
    async with asyncio.timeout(5):
        await asyncio.gather(again(2), again(1))  # both flushers end in one turn of the loop, and one comes again


async def test_a_flush_that_never_ends_holds_nobody_up_for_ever(
    world: World, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = group._write

    async def nowhere(_: object) -> set[int]:
        await asyncio.Event().wait()
        return set()

    monkeypatch.setattr(groupcommit, "FLUSH_S", 0.05)
    monkeypatch.setattr(group, "_write", nowhere)
    assert await commit(group, *(writing(world, [KARACHI], KARACHI) for _ in range(3))) == [False] * 3
    monkeypatch.setattr(groupcommit, "FLUSH_S", 10)
    monkeypatch.setattr(group, "_write", write)
    assert await commit(group, writing(world, [KARACHI], KARACHI)) == [True]


async def test_closing_waits_for_what_is_under_way(world: World, group: GroupCommit) -> None:
    told = asyncio.create_task(group.commit(writing(world, [KARACHI], KARACHI)))
    await asyncio.sleep(0)
    await group.close()
    assert await told
    assert await owners(world) == [KARACHI]


async def test_a_request_that_was_answered_is_answered_again_though_nothing_new_can_be_sealed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await world.post("/v1/cases", BODY, key="one")

    def gone(*_: object, **__: object) -> None:
        raise NoGeneration

    monkeypatch.setattr(opening, "make", gone)
    again = await world.post("/v1/cases", BODY, key="one")
    assert (again.status_code, again.json()["case"]) == (201, first.json()["case"])
    assert (await world.post("/v1/cases", BODY)).status_code == 500


async def test_whose_client_has_gone_is_not_written(world: World, group: GroupCommit) -> None:
    going = [asyncio.create_task(group.commit(writing(world, [KARACHI], KARACHI))) for _ in range(3)]
    await asyncio.sleep(0)
    going[1].cancel()
    assert [await each for each in (going[0], going[2])] == [True, True]
    assert await owners(world) == [KARACHI, KARACHI]


async def test_without_a_database_everybody_is_told_so(world: World) -> None:
    nowhere = opening.group(Database("postgresql+asyncpg://nobody:x@127.0.0.1:1/none", application_name="tests"))
    assert await commit(nowhere, *(writing(world, [KARACHI], KARACHI) for _ in range(3))) == [False] * 3


async def test_what_fails_together_fails_alone_with_its_own_error(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    postgres = migrated("intake", "intake")
    postgres.sql(
        "intake",
        "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'at the very end'; END $$",
        "CREATE TRIGGER fails BEFORE INSERT ON ledger_entries EXECUTE FUNCTION fails()",
    )
    try:
        answer = await world.post("/v1/cases", BODY)
    finally:
        postgres.sql("intake", "DROP TRIGGER fails ON ledger_entries", "DROP FUNCTION fails")
    assert answer.status_code == 500
    assert ADULT["full_name"] not in answer.text
    for table in ("cases", "records", "consent_events", "referrals", "shares", "keys", "outbox", "idempotency"):
        assert await world.rows(f"SELECT 1 FROM {table}") == [], table
