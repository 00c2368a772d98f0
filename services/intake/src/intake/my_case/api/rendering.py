"""Templates of the page and of its paper, made once. Everything that is put in is escaped."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from intake.my_case.texts import Language, moment, say

DIRECTIONS = {"en": "ltr", "ur": "rtl"}
OTHER: dict[Language, Language] = {"en": "ur", "ur": "en"}


@cache
def _environment() -> Environment:
    folder = files("intake.my_case").joinpath("templates")
    sources = {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(".html")}
    return Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def render(template: str, language: Language, **values: Any) -> str:
    """One template in one language: `say` and `at` are its texts and times."""
    return (
        _environment()
        .get_template(template)
        .render(
            language=language,
            direction=DIRECTIONS[language],
            other=OTHER[language],
            say=lambda key: say(language, key),
            say_in=say,
            at=lambda time: moment(language, time),
            **values,
        )
    )
