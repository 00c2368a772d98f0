"""When an office could read what: by what she is told of, and by what a court's secrecy order keeps from her.

Both follow from the consent events alone, so that her page stays what it would be if the secret disclosure had never
been: her own consent, its end and what happened under it are hers, whatever a secret order opens beside it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from amanat.categories import Agency, Category
from amanat.consent import (
    AgeRules,
    ConsentEvent,
    ConsentGiven,
    ConsentWithdrawn,
    Grant,
    ended,
    ends_at,
    fold,
    missing_deciders,
)
from amanat.contracts.records import Person
from amanat.db import AnyRow
from intake.my_case.service.found import Over
from intake.service.ages import by_age

Key = tuple[Agency, str, Category]
"""(agency, organisation, category)"""


@dataclass(frozen=True)
class Span:
    """From `start` until before `end`; None: it has not ended."""

    start: datetime
    end: datetime | None

    def meets(self, start: datetime, end: datetime | None) -> bool:
        """Whether both have a moment in common; one moment is enough where `start` is `end`."""
        return (end is None or self.start < end or self.start == start) and (self.end is None or start < self.end)


@dataclass(frozen=True)
class Kept:
    """`told`: on what she is told of; `secret`: on secret orders. Each by what it opens, oldest first."""

    told: Mapping[Key, Sequence[Span]] = field(default_factory=dict)
    secret: Mapping[Key, Sequence[Span]] = field(default_factory=dict)

    def offices(self) -> frozenset[tuple[Agency, str]]:
        """The offices to which a secret order opens something."""
        return frozenset((agency, organisation) for agency, organisation, _ in self.secret)

    def is_told(self, key: Key, at: datetime) -> bool:
        """Whether something that she is told of opened this at that moment."""
        return any(span.meets(at, at) for span in self.told.get(key, ()))

    def hides(self, key: Key, at: datetime) -> bool:
        """Whether what happened then happened under a secret order alone: from its approval on."""
        spans = self.secret.get(key, ())
        return bool(spans) and spans[0].start <= at and not self.is_told(key, at)

    def began(self, agency: Agency, organisation: str) -> datetime | None:
        """When the first secret order to this office was approved; None if there is none."""
        starts = (spans[0].start for key, spans in self.secret.items() if key[:2] == (agency, organisation))
        return min(starts, default=None)

    def over(self, key: Key, epochs: Sequence[AnyRow], lease: timedelta) -> Over | None:
        """The last ending of what she was told of, from all `epochs` of this share, oldest first; None if it goes on,
        or never was. Where a secret order held on, it is told as any other ending whose office has not answered yet.
        """
        hers = [
            (row, [span for span in self.told.get(key, ()) if span.meets(row.opened_at, row.ended_at)])
            for row in epochs
        ]
        row, spans = next(((row, spans) for row, spans in reversed(hers) if spans), (None, []))
        if row is None:
            return None
        # Where what she is told of went on, the share ended for a reason of its own, or has not ended.
        end = spans[-1].end or row.ended_at
        if end is None:
            return None
        by_itself = spans[-1].end is None or (row.ended_at is not None and row.ended_at < end)
        if by_itself or (row.ended_at is not None and not self._goes_on(key, end, row)):
            closed = None if row.confirmed_at is not None else row.closed_no_later_than
            return Over(*key, row.ended_at, row.confirmed_at, closed)
        return Over(*key, end, None, end + lease)

    def _goes_on(self, key: Key, end: datetime, row: AnyRow) -> bool:
        return any(span.meets(end, row.ended_at) for span in self.secret.get(key, ()))


def kept(
    events: Collection[ConsentEvent], secret: Collection[UUID], person: Person | None, rules: AgeRules, now: datetime
) -> Kept:
    """What was open when, up to `now`, by the state of consent at each moment at which it can have changed. `secret`
    are the consents of which she is not told."""
    if not secret:
        return Kept()
    told: dict[Key, list[Span]] = {}
    hidden: dict[Key, list[Span]] = {}
    for at in sorted({moment for moment in _moments(events, person) if moment <= now}):
        known = [event for event in events if _recorded(event) <= at]
        valid = [grant for grant in by_age(fold(known), person) if _is_valid(grant, at, rules)]
        _go_on(told, _keys(grant for grant in valid if grant.grant_id not in secret), at)
        _go_on(hidden, _keys(grant for grant in valid if grant.grant_id in secret), at)
    return Kept(told, hidden)


def _recorded(event: ConsentEvent) -> datetime:
    if isinstance(event, ConsentGiven):
        return event.recorded_at
    return event.withdrawn_at if isinstance(event, ConsentWithdrawn) else event.at


def _moments(events: Collection[ConsentEvent], person: Person | None) -> Iterable[datetime]:
    yield from (_recorded(event) for event in events)
    for grant in by_age(fold(events), person):
        yield max(grant.given_at, grant.recorded_at)
        end = ends_at(grant)
        if end is not None:
            yield end


def _is_valid(grant: Grant, at: datetime, rules: AgeRules) -> bool:
    begun = max(grant.given_at, grant.recorded_at) <= at
    return begun and not ended(grant, at) and not missing_deciders(grant, rules)


def _keys(grants: Iterable[Grant]) -> frozenset[Key]:
    return frozenset((grant.agency, grant.organisation, category) for grant in grants for category in grant.categories)


def _go_on(spans: dict[Key, list[Span]], open_now: frozenset[Key], at: datetime) -> None:
    for key, before in spans.items():
        if before[-1].end is None and key not in open_now:
            before[-1] = Span(before[-1].start, at)
    for key in open_now:
        before = spans.setdefault(key, [])
        if not before or before[-1].end is not None:
            before.append(Span(at, None))
