"""Her page in a real Chromium at a phone's width, in both languages."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from playwright.async_api import Browser
from pypdf import PdfReader

from intake.my_case.texts import Language, say

from ..world import POLICE, World
from .browser import phone
from .cell import DURESS, PIN, at_desk, her_case, issue

LANGUAGES = pytest.mark.parametrize("language", ["en", "ur"])


@LANGUAGES
async def test_she_signs_in_by_her_paper_reads_and_takes_one_part_back(
    world: World, browser: Browser, host: str, pictures: Path, language: Language
) -> None:
    case, referrals = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.open(f"/my/{language}#{claim.code}")
        assert held.page.url == f"{host}/my/{language}"
        assert await held.page.input_value("#code") == claim.code
        await held.assert_readable(language)
        await held.picture(f"start-{language}")
        await held.page.fill("#pin", PIN)
        await held.press(say(language, "start.open"))
        assert say(language, "category.incident") in await held.read()
        await held.assert_readable(language)
        await held.picture(f"case-{language}")
        await held.page.locator("button[value='ask police-link station-saddar incident']").click()
        await held.settled()
        assert say(language, "ask.title") in await held.read()
        await held.assert_readable(language)
        await held.picture(f"ask-{language}")
        await held.press(say(language, "ask.yes"))
        assert say(language, "taken.done") in await held.read()
        await held.assert_readable(language)
        await held.picture(f"taken-{language}")
        await held.press(say(language, "taken.back"))
        await held.assert_readable(language)
        await held.picture(f"afterwards-{language}")
        assert held.page.url == f"{host}/my/{language}"
        assert await held.page.title() == say(language, "title")
        assert held.complained == []
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


@LANGUAGES
async def test_any_other_pin_opens_an_article_and_nothing_can_be_taken_back_there(
    world: World, browser: Browser, host: str, pictures: Path, language: Language
) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        for pin in (DURESS, "135792"):
            await held.open(f"/my/{language}")
            await held.page.fill("#code", claim.code)
            await held.page.fill("#pin", pin)
            await held.press(say(language, "start.open"))
            assert say(language, "article.title") in await held.read()
            assert await held.page.locator("main button").count() == 0
            await held.assert_readable(language)
        await held.picture(f"article-{language}")
        await held.open(f"/my/{language}/information")
        await held.assert_readable(language)


async def test_nothing_of_it_stays_on_the_phone_or_goes_elsewhere(
    world: World, browser: Browser, host: str, pictures: Path
) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.open(f"/my/en#{claim.code}")
        await held.page.fill("#pin", PIN)
        await held.press("Open")
        await held.press("Take back all from every office")
        assert await held.page.evaluate("history.length") == 2  # about:blank, and this one
        assert await held.stored() == {"cookies": [], "storage": [0, 0, 0, 0, 0]}
        for request in held.asked:
            assert request.url.startswith(host)
            assert claim.code not in request.url.partition("#")[0]
            assert "referer" not in await request.all_headers()
        assert {request.url for request in held.asked[1:]} == {
            f"{host}/my/page.css", f"{host}/my/page.js", f"{host}/my/en",
        }  # fmt: skip
        # The page's name is the same words everywhere; "back" leads out of it, and reloading asks for the PIN again.
        await held.page.reload()
        assert await held.page.title() == "Information"
        assert await held.page.input_value("#pin") == await held.page.input_value("#code") == ""


@pytest.mark.parametrize("way", ["link", "key"])
async def test_the_quick_exit_leaves_nothing_behind_it(
    world: World, browser: Browser, host: str, pictures: Path, way: str
) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.open("/my/en/information")
        await held.open("/my/en")
        await held.page.fill("#code", claim.code)
        await held.page.fill("#pin", PIN)
        await held.press("Open")
        if way == "link":
            await held.page.get_by_role("link", name="Leave quickly").click()
        else:
            await held.page.keyboard.press("Escape")
        await held.page.wait_for_url("**/information")
        assert "Shared now" not in await held.read()
        await held.page.go_back()
        for _ in range(2):
            assert "Shared now" not in await held.read()
            assert held.page.url == f"{host}/my/en/information"
            await held.page.reload()


async def test_who_leaves_by_another_way_and_comes_back_finds_an_empty_form(
    world: World, browser: Browser, host: str, pictures: Path
) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.open(f"/my/en#{claim.code}")
        await held.page.fill("#pin", PIN)
        await held.press("Open")
        assert "Shared now" in await held.read()
        await held.open("/my/en/information")
        await held.page.go_back()
        await held.page.wait_for_selector("#code")
        assert await held.page.input_value("#code") == await held.page.input_value("#pin") == ""
        assert "Shared now" not in await held.read()


async def test_a_page_that_lies_idle_goes_away(world: World, browser: Browser, host: str, pictures: Path) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.page.clock.install()
        await held.open(f"/my/en#{claim.code}")
        await held.page.fill("#pin", PIN)
        await held.press("Open")
        await held.page.clock.run_for(230_000)
        assert "Shared now" in await held.read()
        await held.page.clock.run_for(20_000)
        await held.page.wait_for_url("**/information")


async def test_the_language_is_changed_without_signing_in_again(
    world: World, browser: Browser, host: str, pictures: Path
) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.open(f"/my#{claim.code}")
        await held.press("اردو")
        assert await held.page.input_value("#code") == claim.code
        await held.page.fill("#pin", "٤٨۱۵١٦")
        await held.page.keyboard.press("Enter")
        await held.settled()
        assert say("ur", "case.shared") in await held.read()
        assert await held.page.get_attribute("html", "dir") == "rtl"
        await held.press("English")
        assert "Shared now" in await held.read()
        assert await held.page.get_attribute("html", "dir") == "ltr"


async def test_it_works_without_a_script_and_a_form_sent_again_opens_nothing(
    world: World, browser: Browser, host: str, pictures: Path
) -> None:
    case, referrals = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures, script=False) as held:
        await held.open("/my/en")
        await held.page.fill("#code", claim.code.lower().replace("-", " "))
        await held.page.fill("#pin", PIN)
        await held.page.get_by_role("button", name="Open").click()
        assert "Shared now" in await held.read()
        await held.page.reload()  # the browser sends the form again
        assert "Clean water" in await held.read()
        await held.open("/my/en")
        await held.page.fill("#code", claim.code)
        await held.page.fill("#pin", PIN)
        await held.page.get_by_role("button", name="Open").click()
        await held.page.get_by_role("button", name="Take back all from every office").click()
        await held.page.get_by_role("button", name="Yes, take it back now").click()
        assert "It is done" in await held.read()
    assert await world.readable(POLICE, referrals[POLICE]) == {}


async def test_a_dark_phone_is_readable_as_well(world: World, browser: Browser, host: str, pictures: Path) -> None:
    case, _ = await her_case(world)
    claim = await issue(world, case)
    async with phone(browser, host, pictures) as held:
        await held.page.emulate_media(color_scheme="dark")
        await held.open(f"/my/en#{claim.code}")
        await held.assert_readable("en")
        await held.page.fill("#pin", PIN)
        await held.press("Open")
        await held.assert_readable("en")
        await held.picture("dark")


@LANGUAGES
async def test_the_paper_is_one_page_of_a6(
    world: World, browser: Browser, host: str, pictures: Path, language: Language
) -> None:
    claim = await issue(world, (await world.open_case())[0])
    answer = await at_desk(world, f"/v1/cases/{claim.case}/claim/paper", {"language": language})
    async with phone(browser, host, pictures) as held:
        await held.page.set_content(answer.text)
        assert await held.faults() == []
        await held.page.set_viewport_size({"width": 397, "height": 559})
        await held.picture(f"paper-{language}")
        printed = await held.page.pdf(prefer_css_page_size=True)
    [sheet] = PdfReader(BytesIO(printed)).pages
    assert [round(float(side) / 72 * 25.4) for side in (sheet.mediabox.width, sheet.mediabox.height)] == [105, 148]
