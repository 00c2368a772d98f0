"""A form that is sent again: it opens nothing, and costs a guesser no less and her no more than another."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Route
from sqlalchemy import text

from amanat_local.postgres import Postgres
from intake.my_case.repository import sign_ins
from intake.my_case.service.signing_in import MISSES_A_DAY, day_of
from intake.my_case.service.signing_in import sign_in as sign_in_service
from intake.my_case.texts import Language, say

from ..world import World
from .browser import phone
from .cell import DURESS, PIN, her_case, issue
from .test_sign_ins import WRONG, database_of, headers, hidden, never_was, statements, tools_of

READ = text("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'sign_ins'")


async def test_an_attempt_reads_few_of_the_earlier_ones_of_its_code(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    """Else each guess would make the next one dearer, and her own sign-in with it."""
    digest, now = tools_of(world).claim_digest("M-GUESSED"), datetime.now(UTC)
    migrated("intake", "intake").sql(
        "intake",
        "INSERT INTO sign_ins (digest, form, at, outcome)"
        f" SELECT '\\x{digest.hex()}', decode(md5(n::text), 'hex'), now(), 'miss' FROM generate_series(1, 20000) n",
        "ANALYZE sign_ins",
    )
    async with world.main.transaction(()) as session:
        await sign_ins.hold_claim(session, digest)
        attempt = await sign_ins.add_attempt(session, digest, b"new", day_of(now), now, up_to=MISSES_A_DAY)
        assert (attempt.misses, attempt.again) == (MISSES_A_DAY, False)
        assert (await session.execute(READ)).scalar_one() <= 2 * MISSES_A_DAY


async def opens(world: World, code: str, pin: str, form: bytes | None) -> bool:
    return await sign_in_service(database_of(world), code, pin, form, datetime.now(UTC), tools_of(world)) is not None


async def outcomes(world: World) -> list[str]:
    return [row.outcome for row in await world.rows("SELECT outcome FROM sign_ins ORDER BY id")]


async def test_her_pin_sent_again_in_one_form_opens_nothing_and_closes_nothing(world: World) -> None:
    """Without script she taps twice, or sends again what seemed lost."""
    claim = await issue(world, (await world.open_case())[0])
    assert await opens(world, claim.code, PIN, b"one")
    for _ in range(2 * MISSES_A_DAY):
        assert not await opens(world, claim.code, PIN, b"one")
    assert await opens(world, claim.code, PIN, b"another")


@pytest.mark.parametrize("pin", [WRONG, PIN[:-1] + "7", "", DURESS])
async def test_another_pin_sent_again_in_one_form_is_a_miss_each_time(world: World, pin: str) -> None:
    claim = await issue(world, (await world.open_case())[0])
    assert await opens(world, claim.code, PIN, b"one")
    for _ in range(MISSES_A_DAY):
        assert not await opens(world, claim.code, pin, b"one")
    assert not await opens(world, claim.code, PIN, b"another")


async def test_a_form_that_is_none_of_ours_is_a_miss_with_her_pin_too(world: World) -> None:
    claim = await issue(world, (await world.open_case())[0])
    assert not await opens(world, claim.code, PIN, None)
    assert await outcomes(world) == ["miss"]


async def test_a_form_sent_again_tells_a_guesser_nothing(world: World) -> None:
    claim, unknown = await issue(world, (await world.open_case())[0]), never_was(world)
    pages, asked = {}, {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.main_app), base_url="http://s.test") as client:
        [form] = re.findall(r'name="form" value="([^"]+)"', (await client.get("/my/en")).text)

        async def send(code: str, pin: str) -> httpx.Response:
            return await client.post("/my/en", data={"do": "enter", "form": form, "code": code, "pin": pin})

        for code in (claim.code, unknown):
            await send(code, PIN)
        for name, code, pin in (("hers", claim.code, PIN), ("wrong", claim.code, WRONG), ("unknown", unknown, PIN)):
            with statements(world) as said:
                pages[name] = await send(code, pin)
            asked[name] = said
    for name, page in pages.items():
        assert asked[name] == asked["unknown"], name
        assert (page.status_code, hidden(page)) == (200, hidden(pages["unknown"])), name
        assert headers(page) == headers(pages["unknown"]), name
        assert len(page.content) == len(pages["unknown"].content), name
    assert "Clean water" in pages["hers"].text


@pytest.mark.parametrize("language", ["en", "ur"])
async def test_answers_that_are_lost_on_their_way_close_nothing_and_the_next_one_opens(
    world: World, browser: Browser, host: str, pictures: Path, language: Language
) -> None:
    case, _ = await her_case(world)
    claim, lost = await issue(world, case), MISSES_A_DAY + 1

    async def lose(route: Route) -> None:
        """The cell has heard it; what it says never comes."""
        if route.request.method == "POST":
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    async with phone(browser, host, pictures) as held:
        await held.page.route(f"**/my/{language}", lose)
        await held.sign_in(language, claim.code, PIN)
        for _ in range(lost - 1):
            assert say(language, "trouble") in await held.read()
            assert await held.page.input_value("#pin") == PIN
            await held.press(say(language, "start.open"))
        await held.page.unroute(f"**/my/{language}")
        await held.press(say(language, "start.open"))
        assert say(language, "category.incident") in await held.read()
        assert say(language, "trouble") not in await held.read()
    assert await outcomes(world) == ["hit"] * (lost + 1)


async def test_where_no_new_form_comes_nothing_is_sent(
    world: World, browser: Browser, host: str, pictures: Path
) -> None:
    claim = await issue(world, (await world.open_case())[0])
    async with phone(browser, host, pictures) as held:
        await held.open(f"/my/en#{claim.code}")
        await held.page.fill("#pin", PIN)
        await held.context.set_offline(True)
        for _ in range(3):
            await held.press("Open")
            assert say("en", "trouble") in await held.read()
        await held.context.set_offline(False)
        await held.press("Open")
        assert say("en", "case.title") in await held.read()
    assert await outcomes(world) == ["hit"]
