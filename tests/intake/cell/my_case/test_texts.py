"""Both languages say the same things, and the page is small and neutral."""

from __future__ import annotations

import re
from importlib.resources import files

import httpx
import pytest

from amanat.categories import OUTSIDE, PERSONAL
from amanat.consent.fold import purpose_of
from intake.my_case.texts import LANGUAGES, texts

from ..world import LEGAL, POLICE, World, consent
from .cell import PIN, at_desk, issue
from .test_sign_ins import typed

NAMES_NOBODY = re.compile(
    r"(?i)amanat|arcc|crisis|cell|rape|survivor|victim|police|hospital|امانت|سیل|زیادتی|پولیس|ہسپتال"
)


def test_both_languages_have_the_same_keys_and_lists_of_one_length() -> None:
    english, urdu = texts("en"), texts("ur")
    assert list(english) == list(urdu)
    for key, value in english.items():
        assert type(urdu[key]) is type(value)
        if isinstance(value, list) and key != "hours":
            assert len(urdu[key]) == len(value), key


def test_places_to_fill_in_are_the_same_in_both_languages() -> None:
    for key, value in texts("en").items():
        assert sorted(re.findall(r"{\w+}", str(value))) == sorted(re.findall(r"{\w+}", str(texts("ur")[key]))), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_and_purpose_has_a_plain_name(language: str) -> None:
    known = texts(language)  # type: ignore[arg-type]
    wanted = {f"category.{each}" for each in PERSONAL} | {f"purpose.{purpose_of(each)}" for each in OUTSIDE}
    assert wanted <= set(known)


def test_every_text_that_a_template_asks_for_is_there_and_none_is_left_over() -> None:
    folder = files("intake.my_case")
    sources = [each.read_text("utf-8") for each in folder.joinpath("templates").iterdir()]
    sources += [each.read_text("utf-8") for each in folder.joinpath("api").iterdir() if each.name.endswith(".py")]
    sources += [each.read_text("utf-8") for each in folder.joinpath("service").iterdir() if each.name.endswith(".py")]
    sources += [folder.joinpath("texts.py").read_text("utf-8")]
    text = "\n".join(sources)
    for key in texts("en"):
        computed = key.partition(".")[0] in {"category", "purpose", "office"}
        assert computed or re.search(rf"['\"]{re.escape(key)}['\"]", text), key


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_is_seen_without_her_pin_names_nobody_and_no_reason(world: World, language: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.main_app), base_url="http://s.test") as client:
        for path in (f"/my/{language}", f"/my/{language}/information", "/my/page.js", "/my/page.css"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert NAMES_NOBODY.findall(answer.text) == [], path
    assert NAMES_NOBODY.findall((await typed(world, "M-0000-0000-0", "1")).text) == []


async def test_the_headers_keep_it_out_of_caches_frames_referrers_and_indexes(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.main_app), base_url="http://s.test") as client:
        answers = [await client.get(p) for p in ("/my", "/my/en", "/my/page.js", "/my/page.css", "/my/ur/information")]
    answers.append(await typed(world, claim.code, PIN))
    for answer in answers:
        told = answer.headers
        assert told["cache-control"] == "no-store"
        assert told["referrer-policy"] == "no-referrer"
        assert told["x-frame-options"] == "DENY"
        assert "noindex" in told["x-robots-tag"]
        assert "'unsafe" not in told["content-security-policy"]
        assert "default-src 'none'" in told["content-security-policy"]
        assert "form-action 'self'" in told["content-security-policy"]
        assert "set-cookie" not in told
        assert "etag" not in told
    for page in (*answers[:2], answers[-1]):
        assert "<title>Information</title>" in page.text


async def test_the_whole_page_is_small(world: World) -> None:
    everything = ("identity", "contact", "incident", "examination", "digital", "investigation")
    case, _ = await world.open_case(consent(POLICE, *everything), consent(LEGAL, *everything))
    claim = await issue(world, case)
    page = await typed(world, claim.code, PIN)
    static = [len(files("intake.my_case").joinpath("static", name).read_bytes()) for name in ("page.css", "page.js")]
    assert "Shared now" in page.text
    assert len(page.content) + sum(static) <= 30_000
    assert static[1] <= 10_000


@pytest.mark.parametrize(
    "body", [b"do=enter&form=%00&code=%ff&pin=x", b"do=take+a+b+c+d", b"do=ask", b"", b"=&&=", b"do=x"]
)
async def test_a_broken_form_gets_a_form_or_the_article(world: World, body: bytes) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.main_app), base_url="http://s.test") as client:
        answer = await client.post(
            "/my/en", content=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
    assert answer.status_code == 200
    assert "<title>Information</title>" in answer.text


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [("/my/en", "application/json", 415), ("/my/xx", "application/x-www-form-urlencoded", 422), ("/my/a/b", "", 404)],
)
async def test_a_refusal_is_a_neutral_page_too(world: World, path: str, kind: str, status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.main_app), base_url="http://s.test") as client:
        answer = await client.post(path, content=b"{}" if kind else b"", headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert NAMES_NOBODY.findall(answer.text) == []


async def test_the_paper_holds_an_address_and_the_code_and_names_nothing(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    for language in LANGUAGES:
        answer = await at_desk(world, f"/v1/cases/{case}/claim/paper", {"language": language})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<svg" in answer.text
        assert claim.code in answer.text
        assert NAMES_NOBODY.findall(re.sub(r"127\.0\.0\.1:\d+/my", "", answer.text)) == []
        assert case not in answer.text
    assert [e["kind"] for e in await world.timeline(case)].count("claim_printed") == 2
