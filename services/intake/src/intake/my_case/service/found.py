"""What is on record of a case, by office, and what of it she may know."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from amanat.categories import Agency, Category

BY_LAW = frozenset({"court_order", "statutory_duty"})
"""Bases that she cannot take back."""
Hidden = frozenset[tuple[Agency, str, Category]]
"""What a court's secrecy order keeps from her until its review: (agency, organisation, category)."""
NOTHING_HIDDEN: Hidden = frozenset()


@dataclass(frozen=True)
class Shared:
    """A category that an office may read now, and on what that rests."""

    agency: Agency
    organisation: str
    purpose: str
    category: Category
    until: datetime | None
    bases: frozenset[str]
    consented_until: datetime | None = None
    """The end of what rests on consent alone."""

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
    """A category that an office can no longer read."""

    agency: Agency
    organisation: str
    category: Category
    ended_at: datetime
    confirmed_at: datetime | None
    closed_no_later_than: datetime | None


@dataclass(frozen=True)
class Found:
    """All that her page tells of."""

    shared: tuple[Shared, ...]
    looked: tuple[Looked, ...]
    leased: tuple[Leased, ...]
    over: tuple[Over, ...]


def visible(found: Found, hidden: Hidden) -> Found:
    """What she may know of: without what is `hidden`, as if it had never been. Counts of looks that differed only in
    what is hidden come together.

    What she consented to herself stays, as if it rested on that alone: that it were gone would tell her of the order.
    """
    if not hidden:
        return found
    hers = {(each.agency, each.organisation, each.category) for each in found.shared if each.by_consent}
    unknown = hidden - hers

    def kept(agency: Agency, organisation: str, categories: Collection[Category]) -> frozenset[Category]:
        return frozenset(c for c in categories if (agency, organisation, c) not in unknown)

    shared = tuple(
        replace(each, bases=each.bases - BY_LAW, until=each.consented_until)
        if (each.agency, each.organisation, each.category) in hidden
        else each
        for each in found.shared
        if kept(each.agency, each.organisation, [each.category])
    )
    over = tuple(each for each in found.over if kept(each.agency, each.organisation, [each.category]))
    offices = {(each.agency, each.organisation) for each in shared} | {
        (each.agency, each.organisation) for each in over
    }
    secret = {(agency, organisation) for agency, organisation, _ in unknown} - offices
    together: dict[tuple[Agency, str, str, frozenset[Category]], Looked] = {}
    for each in found.looked:
        left = kept(each.agency, each.organisation, each.categories)
        # An office of which she may know nothing has not looked at its own records either.
        if (each.agency, each.organisation) in secret or (each.categories and not left):
            continue
        key = (each.agency, each.organisation, each.purpose, left)
        other = together.get(key)
        together[key] = replace(
            each,
            categories=left,
            times=each.times + (other.times if other else 0),
            first_at=min(each.first_at, other.first_at) if other else each.first_at,
            last_at=max(each.last_at, other.last_at) if other else each.last_at,
        )
    leased = (replace(each, categories=kept(each.agency, each.organisation, each.categories)) for each in found.leased)
    looked = sorted(together.values(), key=lambda each: each.last_at)
    return Found(shared, tuple(looked), tuple(each for each in leased if each.categories), over)
