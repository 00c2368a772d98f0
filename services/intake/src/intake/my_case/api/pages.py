"""Her page in a browser. Every step is a POST to one address: no URL, title or history entry tells what she did."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Header, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, Response

from amanat.body import BodyRule
from amanat.categories import Agency, Category
from amanat.errors import NotFound, Refused
from amanat.problems import prefers_urdu
from intake.my_case import schemas
from intake.my_case.api.desk import AtDesk, Desk
from intake.my_case.api.rendering import render
from intake.my_case.service import opening
from intake.my_case.service.showing import Names
from intake.my_case.texts import Language, say

FORMS = BodyRule(limit=4096, media_types=frozenset({"application/x-www-form-urlencoded"}))
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATIC = {
    name: (files("intake.my_case").joinpath("static", name).read_text("utf-8"), kind)
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"))
}
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Step:
    """What a form asked for: `do`, its words, and the other fields."""

    language: Language
    do: str
    words: tuple[str, ...]
    fields: Mapping[str, str]
    desk: Desk
    now: datetime

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")

    def page(self, template: str, again: str, **values: Any) -> HTMLResponse:
        """One template, with the quick exit. `again` is what the language's switch asks for."""
        return _page(template, self.language, again, leave=_leave(self.desk, self.language), **values)


@router.get("/my")
async def find_page(desk: AtDesk, accept_language: Annotated[str, Header()] = "") -> Response:
    """The form, in the language that the browser prefers."""
    return _start(_step("ur" if prefers_urdu(accept_language) else "en", {}, desk))


@router.get("/my/page.css")
async def read_style() -> Response:
    """How the page looks."""
    return _static("page.css")


@router.get("/my/page.js")
async def read_script() -> Response:
    """What keeps the page out of the browser's history."""
    return _static("page.js")


@router.get("/my/{language}")
async def start_page(language: Language, desk: AtDesk) -> Response:
    """The form."""
    return _start(_step(language, {}, desk))


@router.get("/my/{language}/information")
async def read_information(language: Language) -> Response:
    """Where the quick exit leads when no other place is set."""
    return _page("article.html", language, "article", leave="", session="", article=opening.article(language))


@router.post("/my/{language}")
async def take_step(language: Language, request: Request, desk: AtDesk) -> Response:
    """Whatever the page's forms ask for."""
    fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
    step = _step(language, fields, desk)
    try:
        return await STEPS.get(step.do, _start_again)(step)
    except NotFound:
        return _start(step, over=True)


def refuse(refused: Refused, accept_language: str) -> Response:
    """A refusal as this page shows it."""
    language: Language = "ur" if prefers_urdu(accept_language) else "en"
    message = "trouble" if refused.status >= 500 else "not_here"
    text = render("notice.html", language, again="start", leave="", message=message)
    headers = {**HEADERS, **refused.headers, "Content-Language": language}
    return HTMLResponse(text, status_code=refused.status, headers=headers)


async def _start_again(step: Step) -> Response:
    return _start(step)


async def _article(step: Step) -> Response:
    return await read_information(step.language)


async def _enter(step: Step) -> Response:
    tools = step.desk.tools
    form = tools.visits.read_form(step["form"], step.now)
    opened = await opening.open_page(
        step.desk.database, step["code"], step["pin"], form, step.language, step.now, tools
    )
    return _opened(step, opened)


async def _view(step: Step) -> Response:
    found = await opening.open_again(step.desk.database, step["session"], step.language, step.now, step.desk.tools)
    return _opened(step, found)


async def _ask(step: Step) -> Response:
    visit = step.desk.tools.visits.read(step["session"], step.now)
    if visit is None or visit.harmless:
        raise NotFound
    wish = _wish(step)
    names = Names(step.desk.tools.instruments, step.language)
    return step.page(
        "ask.html",
        f"ask {' '.join(step.words)}",
        session=step.desk.tools.visits.go_on(visit, step.now),
        wish=" ".join(step.words),
        what=_what(wish, names, step.language),
        explained=names.explained(),
    )


async def _take(step: Step) -> Response:
    taken = await opening.take_back(step.desk.database, _wish(step), step.now, step.desk.tools)
    return step.page("taken.html", "view", session=step["session"], taken=taken)


STEPS: Mapping[str, Callable[[Step], Awaitable[Response]]] = {
    "enter": _enter,
    "view": _view,
    "ask": _ask,
    "take": _take,
    "article": _article,
}


def _wish(step: Step) -> schemas.TakeBack:
    agency, organisation, category = (None if word == "*" else word for word in (*step.words, "*", "*", "*")[:3])
    try:
        return schemas.TakeBack.model_validate(
            {
                "session": step["session"],
                "agency": agency,
                "organisation": organisation,
                "category": category,
                "language": step.language,
            }
        )
    except ValidationError:
        raise NotFound from None


def _what(wish: schemas.TakeBack, names: Names, language: Language) -> str:
    part = names.category(Category(wish.category)).name if wish.category else say(language, "ask.everything")
    if wish.agency is None or wish.organisation is None:
        return f"{part} – {say(language, 'ask.everybody')}"
    return f"{part} – {names.office(Agency(wish.agency), wish.organisation)}"


def _opened(step: Step, opened: schemas.Opened) -> Response:
    if opened.case is None:
        return step.page("article.html", "view", session=opened.session, article=opened.article)
    return step.page("case.html", "view", session=opened.session, case=opened.case)


def _start(step: Step, *, over: bool = False) -> Response:
    tools = step.desk.tools
    return step.page("start.html", "start", code=step["code"][:40], form=tools.visits.new_form(step.now), over=over)


def _step(language: Language, fields: Mapping[str, str], desk: Desk) -> Step:
    do, *words = fields.get("do", "").split() or [""]
    return Step(language, do, tuple(words), fields, desk, desk.now)


def _leave(desk: Desk, language: Language) -> str:
    return desk.tools.quick_exit or f"/my/{language}/information"


def _page(template: str, language: Language, again: str, **values: Any) -> HTMLResponse:
    text = render(template, language, again=again, **values)
    return HTMLResponse(text, headers={**HEADERS, "Content-Language": language})


def _static(name: str) -> Response:
    text, kind = STATIC[name]
    return Response(text, media_type=kind, headers=HEADERS)
