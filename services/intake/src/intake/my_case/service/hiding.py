"""Who looked and what was leased, without what happened under a court's secrecy order alone."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from amanat.categories import Agency, Category
from intake.my_case.service.found import Found, Looked
from intake.my_case.service.keeping import Kept


def visible(found: Found, kept: Kept) -> Found:
    """What she may know of: looks and leases that a secret order made are as if they had never been. `shared` and
    `over` hold nothing secret already; of the offices that a secret order names, each look stands by itself."""
    if not kept.secret:
        return found

    def left(agency: Agency, organisation: str, names: Collection[Category], at: datetime) -> frozenset[Category]:
        return frozenset(each for each in names if not kept.hides((agency, organisation, each), at))

    offices = {(each.agency, each.organisation) for each in found.shared}
    offices |= {(each.agency, each.organisation) for each in found.over}
    looked = []
    for each in found.looked:
        categories = left(each.agency, each.organisation, each.categories, each.last_at)
        began = kept.began(each.agency, each.organisation)
        # An office of which she may know nothing has not looked at its own records either.
        unknown = began is not None and each.last_at >= began and (each.agency, each.organisation) not in offices
        if categories or not (each.categories or unknown):
            looked.append(replace(each, categories=categories))
    leased = (
        replace(each, categories=left(each.agency, each.organisation, each.categories, each.at))
        for each in found.leased
    )
    return replace(found, looked=_together(looked), leased=tuple(each for each in leased if each.categories))


def _together(looked: Iterable[Looked]) -> tuple[Looked, ...]:
    """Looks of an office at the same for the same purpose as one line, newest last."""
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
    return tuple(sorted(together.values(), key=lambda each: each.last_at))
