"""What is on record of a case, by office, and what of it she may know."""

from dataclasses import dataclass
from datetime import datetime

from amanat.categories import Agency, Category

BY_LAW = frozenset({"court_order", "statutory_duty"})
"""Bases that she cannot take back."""


@dataclass(frozen=True)
class Shared:
    """A category that an office may read now, and on what that rests."""

    agency: Agency
    organisation: str
    purpose: str
    category: Category
    until: datetime | None
    bases: frozenset[str]

    @property
    def by_consent(self) -> bool:
        """Whether it rests, in part at least, on her consent or a guardian's."""
        return bool(self.bases - BY_LAW)


@dataclass(frozen=True)
class Looked:
    """Looks of an office at these categories; `agency` intake is the cell itself."""

    agency: Agency
    organisation: str
    purpose: str
    categories: frozenset[Category]
    times: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Leased:
    """Keys that were leased and that no look accounts for."""

    agency: Agency
    organisation: str
    categories: frozenset[Category]
    at: datetime


@dataclass(frozen=True)
class Over:
    """A category that an office can no longer read, since when and closed by when at the latest: to the minute."""

    agency: Agency
    organisation: str
    category: Category
    ended_at: datetime
    closed_no_later_than: datetime


@dataclass(frozen=True)
class Found:
    """All that her page tells of."""

    shared: tuple[Shared, ...]
    looked: tuple[Looked, ...]
    leased: tuple[Leased, ...]
    over: tuple[Over, ...]
