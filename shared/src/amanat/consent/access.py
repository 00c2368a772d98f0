"""The proof that a read of case data asks for. Only `decide`, `from_lease` and `own` make one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from amanat.categories import PERSONAL, Agency, Category, may_reach
from amanat.consent.age_rules import AgeRules, age_rules, ends_at, missing_deciders
from amanat.consent.terms import Grant


@dataclass(frozen=True, init=False, slots=True)
class Access:
    """What one organisation may read of one referral, for one purpose.

    Attributes:
        categories: the personal categories; empty means nothing, and 404.
        until: the earliest end of what it rests on (UTC); None when none has an end.
        basis: `own`, `lease`, `none`, or the bases of its grants joined by `+`. Constant words only.
    """

    agency: Agency
    organisation: str
    purpose: str
    categories: frozenset[Category]
    until: datetime | None
    basis: str

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("an access comes from decide, from_lease or own")

    def __reduce_ex__(self, _: object) -> str:
        # Else a copy or a pickle would be a fourth way to make one.
        raise TypeError("an access is not copied or stored")


class LeaseLike(Protocol):
    """What `from_lease` needs of a lease (`amanat.leases.Lease`)."""

    @property
    def agency(self) -> Agency | str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def categories(self) -> Collection[Category | str]: ...


class PrincipalLike(Protocol):
    """What `own` needs of a principal (`amanat.auth.Principal`)."""

    @property
    def agency(self) -> Agency | str: ...
    @property
    def organisation(self) -> str: ...


def ceiling(agency: Agency, *, adult: bool) -> frozenset[Category]:
    """The personal categories that an agency may ever receive; `adult` is False too when her age is unknown."""
    return frozenset(category for category in PERSONAL if may_reach(category, agency, adult=adult))


def ended(grant: Grant, now: datetime) -> bool:
    """Whether the grant's own end has come: its expiry, or her 18th birthday."""
    end = ends_at(grant)
    return end is not None and now >= end


def decide(
    grants: Iterable[Grant],
    ceiling: frozenset[Category],
    agency: Agency,
    organisation: str,
    purpose: str,
    now: datetime,
    *,
    rules: AgeRules | None = None,
) -> Access:
    """What `organisation` may read for `purpose` at `now`: the ceiling's share of all grants that are valid then.

    A grant that is withdrawn, ended, dated in the future, another agency's, organisation's or purpose's, or that lacks
    a decider gives nothing. `rules` is the age table of the case's province; the one of every province when left out.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a time with its zone is expected")
    table = rules or age_rules()
    valid = [
        grant
        for grant in grants
        if (grant.agency, grant.organisation, grant.purpose) == (agency, organisation, purpose)
        and grant.categories & ceiling
        and max(grant.given_at, grant.recorded_at) <= now
        and not ended(grant, now)
        and not missing_deciders(grant, table)
    ]
    return _access(
        agency,
        organisation,
        purpose,
        categories=frozenset[Category]().union(*(grant.categories for grant in valid)) & ceiling,
        until=min((end for grant in valid if (end := ends_at(grant)) is not None), default=None),
        basis="+".join(sorted({grant.basis for grant in valid})) or "none",
    )


def from_lease(lease: LeaseLike) -> Access:
    """What a lease opens at an agency, never more than its ceiling. How long it holds, the lease itself knows."""
    agency = Agency(lease.agency)
    leased = frozenset(Category(category) for category in lease.categories)
    return _access(
        agency,
        lease.organisation,
        lease.purpose,
        # The gate has decided by her age; here only what no age allows is cut off.
        categories=leased & ceiling(agency, adult=True),
        until=None,
        basis="lease",
    )


def own(principal: PrincipalLike) -> Access:
    """Access to what the principal's organisation itself recorded, of whatever category: acts done stay readable to it.

    The statement that takes it joins the recording organisation; it opens nothing that came from elsewhere.
    """
    return _access(
        Agency(principal.agency),
        principal.organisation,
        "own_records",
        categories=PERSONAL,
        until=None,
        basis="own",
    )


def _access(
    agency: Agency,
    organisation: str,
    purpose: str,
    *,
    categories: frozenset[Category],
    until: datetime | None,
    basis: str,
) -> Access:
    access = object.__new__(Access)
    for name, value in (
        ("agency", agency),
        ("organisation", organisation),
        ("purpose", purpose),
        ("categories", categories),
        ("until", until),
        ("basis", basis),
    ):
        object.__setattr__(access, name, value)
    return access
