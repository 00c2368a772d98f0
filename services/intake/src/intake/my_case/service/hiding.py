"""Who looked and what was leased, without what happened under a court's secrecy order alone."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from amanat.categories import Agency, Category
from intake.my_case.service.found import Found, Looked
from intake.my_case.service.keeping import Kept


def visible(found: Found, kept: Kept) -> Found:
    """What she may know of: looks and leases that a secret order made are as if they had never been. `shared` and
    `over` hold nothing secret already; each look of an outside office stands by itself, and they come together here."""

    def left(agency: Agency, organisation: str, names: Collection[Category], at: datetime) -> frozenset[Category]:
        return frozenset(each for each in names if not kept.hides((agency, organisation, each), at))

    looked = []
    for each in found.looked:
        categories = left(each.agency, each.organisation, each.categories, each.last_at)
        began = kept.began(each.agency, each.organisation)
        # An office of which she could know nothing then has not looked at its own records either.
        unknown = began is not None and each.last_at >= began
        unknown = unknown and not kept.knew(each.agency, each.organisation, each.last_at)
        if categories or not (each.categories or unknown):
            looked.append(replace(each, categories=categories))
    leased = (
        replace(each, categories=left(each.agency, each.organisation, each.categories, each.at))
        for each in found.leased
    )
    return replace(found, looked=_together(looked), leased=tuple(each for each in leased if each.categories))


def _together(looked: Iterable[Looked]) -> tuple[Looked, ...]:
    """Looks of an office at the same for the same purpose as one line, newest last; of one moment, by what
    they are, so that their order tells nothing."""
    together: dict[tuple[Agency, str, str, frozenset[Category]], Looked] = {}
    for each in looked:
        key = (each.agency, each.organisation, each.purpose, each.categories)
        other = together.get(key)
        together[key] = replace(
            each,
            times=each.times + (other.times if other else 0),
            first_at=min(each.first_at, other.first_at) if other else each.first_at,
            last_at=max(each.last_at, other.last_at) if other else each.last_at,
        )
    return tuple(sorted(together.values(), key=_in_order))


def _in_order(each: Looked) -> tuple[datetime, str, str, str, list[str]]:
    return each.last_at, each.agency, each.organisation, each.purpose, sorted(each.categories)
