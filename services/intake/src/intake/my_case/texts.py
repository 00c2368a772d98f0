"""What the page says: one catalogue for each language, with the same keys."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Literal

LANGUAGES = ("en", "ur")
Language = Literal["en", "ur"]
# Pakistan's standard time all year (as in intake.service.ages).
_LOCAL = timedelta(hours=5)


@cache
def texts(language: Language) -> Mapping[str, Any]:
    """The catalogue: a text, or a list of texts, by its key."""
    found = json.loads(files("intake.my_case").joinpath("words", f"{language}.json").read_text("utf-8"))
    return dict(found)


def say(language: Language, key: str) -> str:
    """One text. Raises KeyError for a key that the catalogue lacks."""
    return str(texts(language)[key])


def say_all(language: Language, key: str) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(str(each) for each in texts(language)[key])


def explained(language: Language, lease_seconds: float) -> tuple[str, ...]:
    """What taking back does and does not do. `lease_seconds`: how long an office may still read, at the most."""
    return tuple(each.format(seconds=round(lease_seconds)) for each in say_all(language, "explained"))


def call_it(language: Language, kind: str, name: str) -> str:
    """What people call a category or a purpose; its own name where the catalogue has none yet."""
    return str(texts(language).get(f"{kind}.{name}", name))


def moment(language: Language, at: datetime) -> str:
    """A time as it is said in Pakistan: `22 November 2026, 9:54 pm`."""
    local = at + _LOCAL
    month = texts(language)["months"][local.month - 1]
    half = next(name for before, name in texts(language)["hours"] if local.hour < before)
    clock = f"{(local.hour - 1) % 12 + 1}:{local.minute:02}"
    return say(language, "moment").format(day=local.day, month=month, year=local.year, clock=clock, half=half)
