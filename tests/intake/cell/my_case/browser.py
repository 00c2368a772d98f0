"""Debian's Chromium at a phone's width, and the cell's own HTTP service on loopback for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from axe_core_python.async_playwright import Axe
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

from intake.my_case.texts import Language, say

PHONE = {"width": 360, "height": 740}


def chromium() -> str:
    """Where it is. Without one the tests are left out, but in CI they fail."""
    found = shutil.which("chromium")
    if found is None:
        why = "no chromium here (on Debian: apt-get install chromium); the pages were not tried in a browser"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(why)
        pytest.skip(why)
    return found


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """The app on loopback as it is deployed, on a free port; without its lifespan, which would close the database."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
        )
        running = asyncio.create_task(server.serve(sockets=[taken]))
        while not server.started:
            await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        server.should_exit = True
        await running


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        await browser.close()


@dataclass
class Phone:
    """A phone's browser, and what it asked for."""

    context: BrowserContext
    page: Page
    host: str
    pictures: Path
    asked: list[Request] = field(default_factory=list)
    complained: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        await self.page.goto(self.host + path)
        await self.settled()

    async def settled(self) -> None:
        """Until no form is on its way."""
        await self.page.wait_for_selector("body:not([aria-busy])")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).first.click()
        await self.settled()

    async def sign_in(self, language: Language, code: str, pin: str) -> None:
        """By her paper, in one go."""
        await self.open(f"/my/{language}#{code}")
        await self.page.fill("#pin", pin)
        await self.press(say(language, "start.open"))

    async def is_narrow(self) -> bool:
        """Whether nothing of the page stands beyond the phone's edge."""
        return bool(await self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))

    async def read(self) -> str:
        return await self.page.inner_text("body")

    async def picture(self, name: str) -> None:
        await self.page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    async def faults(self) -> list[str]:
        """What axe finds wrong with the page, by rule and place."""
        found = await Axe().run(self.page)
        return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]

    async def assert_readable(self, language: Language) -> None:
        """In that language, with nothing beyond the phone's edge, and nothing that axe finds wrong."""
        assert await self.page.get_attribute("html", "lang") == language
        assert await self.is_narrow()
        assert await self.faults() == []

    async def stored(self) -> dict[str, object]:
        """All that a page could leave on the phone."""
        return {
            "cookies": await self.context.cookies(),
            "storage": await self.page.evaluate(
                "async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length,"
                " (await caches.keys()).length, (await navigator.serviceWorker.getRegistrations()).length]"
            ),
        }


@asynccontextmanager
async def phone(browser: Browser, host: str, pictures: Path, *, script: bool = True) -> AsyncIterator[Phone]:
    context = await browser.new_context(viewport=PHONE, device_scale_factor=2, java_script_enabled=script)
    page = await context.new_page()
    held = Phone(context, page, host, pictures)
    page.on("request", lambda request: held.asked.append(request))  # noqa: PLW0108 - a built-in cannot be wrapped
    page.on("console", lambda said: held.complained.append(said.text))
    page.on("pageerror", lambda error: held.complained.append(str(error)))
    yield held
    await context.close()
