"""Her PIN opens her page; everything else opens one harmless article, and costs the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from amanat.codes import new_code
from amanat.db import Database
from amanat.errors import Unavailable
from amanat_local.postgres import Postgres
from intake.my_case.repository import sign_ins
from intake.my_case.service import duress
from intake.my_case.service.secret_words import SecretWords, Turns
from intake.my_case.service.signing_in import MISSES_A_DAY, day_of
from intake.my_case.service.signing_in import sign_in as sign_in_service
from intake.my_case.service.tools import Tools

from ..world import POLICE, World, consent
from .cell import DURESS, PIN, at_desk, hers, is_harmless, issue, sign_in

WRONG = "135792"


def never_was(world: World) -> str:
    return new_code("M", world.instruments.randomness)


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    """What `main` asks of its database meanwhile, without values."""
    said: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    engine = world.main_app.state.my_case.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield said
    event.remove(engine, "before_cursor_execute", note)


def tools_of(world: World) -> Tools:
    return world.main_app.state.my_case.tools  # type: ignore[no-any-return]


def database_of(world: World) -> Database:
    return world.main_app.state.my_case.database  # type: ignore[no-any-return]


async def try_at(world: World, code: str, pin: str, now: datetime) -> bool:
    """Whether her page would open at this time."""
    form = world.instruments.randomness(16)
    return await sign_in_service(database_of(world), code, pin, form, now, tools_of(world)) is not None


async def test_her_pin_opens_her_page(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    opened = await sign_in(world, claim.code)
    assert [part["category"]["id"] for part in opened["case"]["shared"][0]["parts"]] == ["identity", "incident"]
    assert opened["case"]["opened"] == {"times": 1, "last_before": None}


@pytest.mark.parametrize("pin", ["٤٨۱۵۱۶", "481 516", "481-516", " 481516 "])
async def test_the_digits_of_her_telephone_are_the_same_digits(world: World, pin: str) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    assert not is_harmless(await sign_in(world, claim.code.lower().replace("-", " "), pin))


async def test_whatever_is_wrong_the_answer_is_one(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim, closed, ended = await issue(world, case), never_was(world), await issue(world, (await world.open_case())[0])
    other = await issue(world, (await world.open_case())[0])
    for _ in range(MISSES_A_DAY):
        await sign_in(world, other.code, WRONG)
    closed = other.code
    await at_desk(world, f"/v1/cases/{ended.case}/claim/ending")
    tries = {
        "wrong": (claim.code, WRONG),
        "near": (claim.code, PIN[:-1] + "7"),
        "too long": (claim.code, PIN + "0"),
        "no PIN": (claim.code, ""),
        "duress": (claim.code, DURESS),
        "closed": (closed, PIN),
        "closed, wrong": (closed, WRONG),
        "ended": (ended.code, PIN),
        "unknown": (never_was(world), PIN),
        "malformed": ("hello", PIN),
        "empty": ("", ""),
    }
    answers, asked, pages = {}, {}, {}
    for name, (code, pin) in tries.items():
        with statements(world) as said:
            answers[name] = await hers(world, "/v1/my/sign-ins", code=code, pin=pin)
        asked[name] = said
        pages[name] = await typed(world, code, pin)
    for name, answer in answers.items():
        assert without_session(answer) == without_session(answers["unknown"]), name
        assert len(answer.content) == len(answers["unknown"].content), name
        assert asked[name] == asked["unknown"], name
        assert (pages[name].status_code, hidden(pages[name])) == (200, hidden(pages["unknown"])), name
        assert len(pages[name].content) == len(pages["unknown"].content), name
        assert headers(pages[name]) == headers(pages["unknown"]), name


async def typed(world: World, code: str, pin: str) -> httpx.Response:
    """The page's own form, sent as a browser without script sends it."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.main_app), base_url="http://s.test") as client:
        [form] = re.findall(r'name="form" value="([^"]+)"', (await client.get("/my/en")).text)
        return await client.post("/my/en", data={"do": "enter", "form": form, "code": code, "pin": pin})


def without_session(answer: httpx.Response) -> tuple[Any, ...]:
    body = answer.json()
    return answer.status_code, len(body.pop("session")), body, headers(answer)


def headers(answer: httpx.Response) -> dict[str, str]:
    return dict(answer.headers)


def hidden(page: httpx.Response) -> str:
    return re.sub(r'name="session" value="[^"]{144}"', "", page.text)


async def test_every_attempt_writes_the_same(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    unknown = never_was(world)
    for code, pin in ((claim.code, WRONG), (unknown, WRONG), ("hello", PIN)):
        await sign_in(world, code, pin)
    rows = await world.rows("SELECT outcome, octet_length(digest) AS size, noted_at FROM sign_ins")
    assert [tuple(row) for row in rows] == [("miss", 32, None)] * 3
    assert len({row.digest for row in await world.rows("SELECT digest FROM sign_ins")}) == 3


async def test_her_own_pin_costs_no_statement_less_before_it_is_known_to_be_hers(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    with statements(world) as wrong:
        await try_at(world, claim.code, WRONG, datetime.now(UTC))
    with statements(world) as right:
        await try_at(world, claim.code, PIN, datetime.now(UTC))
    assert right == wrong


async def test_argon2_runs_twice_for_every_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case, duress_pin=None)
    compared: list[str] = []
    matches = SecretWords.matches

    def noted(self: SecretWords, kind: Any, of: bytes, word: str, hashed: str) -> bool:
        compared.append(hashed.rpartition("$")[0].rpartition("$")[0])  # its parameters
        return matches(self, kind, of, word, hashed)

    monkeypatch.setattr(SecretWords, "matches", noted)
    counted = []
    for code, pin in ((claim.code, PIN), (claim.code, WRONG), (never_was(world), WRONG), ("hello", "")):
        compared.clear()
        await sign_in(world, code, pin)
        counted.append(tuple(compared))
    assert set(counted) == {("$argon2id$v=19$m=8,t=1,p=1",) * 2}


async def test_five_misses_close_the_code_until_the_next_day_in_pakistan(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    evening = datetime(2026, 3, 1, 18, 30, tzinfo=UTC)  # half past eleven at night
    for minute in range(MISSES_A_DAY - 1):
        assert not await try_at(world, claim.code, WRONG, evening + timedelta(minutes=minute))
    assert await try_at(world, claim.code, PIN, evening + timedelta(minutes=10))
    assert not await try_at(world, claim.code, WRONG, evening + timedelta(minutes=11))
    assert not await try_at(world, claim.code, PIN, evening + timedelta(minutes=12))
    assert not await try_at(world, claim.code, PIN, evening + timedelta(minutes=29))
    assert await try_at(world, claim.code, PIN, evening + timedelta(minutes=30))


async def test_misses_of_one_code_close_no_other(world: World) -> None:
    first, second = [await issue(world, (await world.open_case())[0]) for _ in range(2)]
    for _ in range(MISSES_A_DAY):
        await sign_in(world, first.code, WRONG)
    assert is_harmless(await sign_in(world, first.code))
    assert not is_harmless(await sign_in(world, second.code))


async def test_fifty_guesses_at_once_try_five(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    tools = tools_of(world)
    object.__setattr__(tools, "turns", Turns(at_once=8, waiting=100))
    try:
        for wrong in (MISSES_A_DAY - 1, MISSES_A_DAY):
            await asyncio.gather(*(sign_in(world, claim.code, WRONG) for _ in range(50 - wrong)))
            assert is_harmless(await sign_in(world, claim.code))
            hits = await asyncio.gather(*(sign_in(world, claim.code) for _ in range(10)))
            assert all(is_harmless(each) for each in hits)
    finally:
        object.__setattr__(tools, "turns", Turns())


async def test_an_attempt_waits_for_those_of_its_code_that_are_on_their_way(world: World) -> None:
    """Five wrong PINs that are not committed yet leave no room for a sixth try."""
    case, _ = await world.open_case()
    claim = await issue(world, case)
    digest, now = tools_of(world).claim_digest(claim.code), datetime.now(UTC)
    async with world.main.transaction(()) as session:
        await sign_ins.hold_claim(session, digest)
        for number in range(MISSES_A_DAY):
            await sign_ins.add_attempt(session, digest, bytes([number]), day_of(now), now, up_to=MISSES_A_DAY)
        sixth = asyncio.create_task(try_at(world, claim.code, PIN, now))
        while not sixth.done() and not await world.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        assert not sixth.done()
    assert await sixth is False


async def test_more_than_can_wait_are_told_to_come_again_whatever_they_asked(world: World) -> None:
    turns = Turns(at_once=1, waiting=2)
    inside, refused = [], []

    async def ask(number: int) -> None:
        try:
            async with turns.turn():
                inside.append(number)
                await asyncio.sleep(0.02)
        except Unavailable as busy:
            refused.append((number, busy.headers["Retry-After"]))

    await asyncio.gather(*(ask(number) for number in range(6)))
    assert inside == [0, 1, 2]
    assert refused == [(3, "3"), (4, "3"), (5, "3")]


async def test_who_is_told_to_come_again_has_missed_nothing(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    tools = tools_of(world)
    object.__setattr__(tools, "turns", Turns(at_once=1, waiting=0))
    try:
        async with tools.turns.turn():
            answer = await hers(world, "/v1/my/sign-ins", code=claim.code, pin=PIN)
            page = await typed(world, claim.code, PIN)
            await issue(world, (await world.open_case())[0])  # the cell's own people wait for no stranger
    finally:
        object.__setattr__(tools, "turns", Turns())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert await world.rows("SELECT * FROM sign_ins") == []


async def test_the_duress_pin_comes_on_the_cells_timeline_by_the_gate(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    with statements(world) as wrong:
        await sign_in(world, claim.code, WRONG)
    with statements(world) as under_duress:
        assert is_harmless(await sign_in(world, claim.code, DURESS))
    assert under_duress == wrong
    now = datetime.now(UTC)
    assert await duress.note_duress(world.gate, now) == 1
    assert await duress.note_duress(world.gate, now) == 0
    [noted] = [entry for entry in await world.timeline(case) if entry["kind"] == "duress_pin_used"]
    assert (noted["agency"], noted["detail"]) == (None, {})


async def test_attempts_are_forgotten_after_two_days_and_duress_once_it_is_noted(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    await sign_in(world, claim.code, WRONG)
    await sign_in(world, claim.code, DURESS)
    later = datetime.now(UTC) + timedelta(days=3)
    async with world.gate.transaction(()) as session:
        await duress.forget_attempts(session, datetime.now(UTC))
    assert len(await world.rows("SELECT * FROM sign_ins")) == 2
    async with world.gate.transaction(()) as session:
        await duress.forget_attempts(session, later)
    assert [row.outcome for row in await world.rows("SELECT * FROM sign_ins")] == ["duress"]
    await duress.note_duress(world.gate, later)
    async with world.gate.transaction(()) as session:
        await duress.forget_attempts(session, later)
    assert await world.rows("SELECT * FROM sign_ins") == []


async def test_main_sees_the_claim_and_the_attempts_of_one_digest_and_no_others(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    from sqlalchemy import text

    first, second = [await issue(world, (await world.open_case())[0]) for _ in range(2)]
    for claim in (first, second):
        await sign_in(world, claim.code, WRONG)
    tools = tools_of(world)
    for setting, seen in (("", 0), (tools.claim_digest(first.code).hex(), 1), ("00", 0)):
        async with world.main.transaction(()) as session:
            await session.execute(text("SELECT set_config('amanat.claim', :d, true)"), {"d": setting})
            for table in ("claims", "sign_ins"):
                found = (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
                assert found == seen, (table, setting)
    async with world.main.transaction(()) as session:
        assert (await session.execute(text("SELECT count(*) FROM claims"))).scalar_one() == 0
    stored = migrated("intake", "intake").sql("intake", "SELECT to_jsonb(c)::text FROM claims c")
    for secret in (first.code, first.code.encode().hex(), PIN, DURESS):
        assert secret not in stored


async def test_a_hash_that_was_put_in_the_place_of_hers_opens_nothing(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    """An insider with SQL has a claim of his own, and copies what he knows the PIN of."""
    mine, her = [await issue(world, (await world.open_case())[0], pin=pin) for pin in ("246813", PIN)]
    migrated("intake", "intake").sql(
        "intake",
        f"UPDATE claims SET pin_hash = (SELECT pin_hash FROM claims WHERE id = '{mine.id}') WHERE id = '{her.id}'",
    )
    assert not is_harmless(await sign_in(world, mine.code, "246813"))
    assert is_harmless(await sign_in(world, her.code, "246813"))
