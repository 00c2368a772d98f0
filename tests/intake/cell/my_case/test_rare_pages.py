"""The pages that she meets seldom, in a real Chromium at a phone's width, in both languages: what nobody accounts for,
the end of a visit, a page that is not there, and one that fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from amanat.errors import Unavailable
from intake.my_case.service import opening
from intake.my_case.texts import Language, say
from intake.service.looks import LOOK_FOLLOWS
from intake.service.sweeps import sweep

from ..world import POLICE, World
from .browser import phone
from .cell import PIN, at_desk, her_case, issue

LANGUAGES = pytest.mark.parametrize("language", ["en", "ur"])


@LANGUAGES
async def test_what_nobody_accounts_for_and_the_end_of_a_visit_are_read_on_a_phone(
    world: World, browser: Browser, host: str, pictures: Path, language: Language
) -> None:
    case, referrals = await her_case(world)
    await world.leased(POLICE, referrals[POLICE])
    await sweep(
        world.gate, world.gate_access, datetime.now(UTC) + LOOK_FOLLOWS + timedelta(minutes=1), world.instruments
    )
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.sign_in(language, claim.code, PIN)
        card = held.page.locator(".card.warn")
        assert say(language, "case.unaccounted") in await held.read()
        assert say(language, "category.identity") in await card.inner_text()
        await held.assert_readable(language)
        await held.picture(f"unaccounted-{language}")
        # Her code is ended while the page is open: what she presses next begins again.
        assert (await at_desk(world, f"/v1/cases/{case}/claim/ending")).status_code == 200
        await held.page.locator("button[value='ask * * *']").click()
        await held.settled()
        await held.press(say(language, "ask.yes"))
        assert say(language, "start.over") in await held.read()
        assert await held.page.input_value("#pin") == ""
        await held.assert_readable(language)
        await held.picture(f"over-{language}")


@LANGUAGES
async def test_a_page_that_is_not_there_and_one_that_fails_say_so_in_her_language(
    world: World, browser: Browser, host: str, pictures: Path, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_many(*_: object) -> None:
        raise Unavailable(retry_after=3)

    monkeypatch.setattr(opening, "open_page", too_many)
    async with phone(browser, host, pictures) as held:
        await held.page.set_extra_http_headers({"Accept-Language": language})
        await held.open("/my/fr")
        assert say(language, "not_here") in await held.read()
        await held.assert_readable(language)
        await held.picture(f"not-here-{language}")
        await held.sign_in(language, "M-0000-0000-0", PIN)
        assert say(language, "trouble") in await held.read()
        await held.assert_readable(language)
        # Without the script it is a page of its own; axe needs one, so that the page is put before it.
        form = {"do": "enter", "code": "M-0000-0000-0", "pin": PIN}
        async with httpx.AsyncClient(base_url=host, headers={"Accept-Language": language}) as plain:
            answer = await plain.post(f"/my/{language}", data=form)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
        await held.page.set_content(answer.text)
        assert say(language, "trouble") in await held.page.inner_text("main")
        await held.assert_readable(language)
        await held.picture(f"trouble-{language}")
