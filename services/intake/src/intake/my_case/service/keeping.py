"""When an office could read what: by what she is told of, and by what a court's secrecy order keeps from her.

Both follow from the consent events, and from what was known of her age at each moment, so that her page stays what it
would be if the secret disclosure had never been: her own consent, its end and what happened under it are hers, whatever
a secret order opens beside it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
from amanat.db import AnyRow
from intake.my_case.service.her_age import Known, known_at
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

    def knew(self, agency: Agency, organisation: str, at: datetime) -> bool:
        """Whether something that she is told of had opened anything to this office by then."""
        return any(
            spans[0].start <= at for key, spans in self.told.items() if spans and key[:2] == (agency, organisation)
        )

    def opened(self, epochs: Mapping[Key, Sequence[AnyRow]]) -> "Kept":
        """The same, with what she is told of only where it was opened indeed: `epochs` are all shares, oldest first."""
        told = {
            key: [span for span in spans if any(span.meets(row.opened_at, row.ended_at) for row in epochs.get(key, ()))]
            for key, spans in self.told.items()
        }
        return Kept(told, self.secret)

    def ending(self, key: Key, epochs: Sequence[AnyRow]) -> tuple[datetime, AnyRow] | None:
        """When what she was told of ended, where a secret order opens the same, and in which of these epochs, oldest
        first; None if it goes on, or never was."""
        hers = [
            (row, [span for span in self.told.get(key, ()) if span.meets(row.opened_at, row.ended_at)])
            for row in epochs
        ]
        row, spans = next(((row, spans) for row, spans in reversed(hers) if spans), (None, []))
        if row is None:
            return None
        # A share that ended before what she is told of did ended for a reason of its own.
        end = min((each for each in (spans[-1].end, row.ended_at) if each is not None), default=None)
        return None if end is None else (end, row)


def kept(
    events: Collection[ConsentEvent], secret: Collection[UUID], known: Known, rules: AgeRules, now: datetime
) -> Kept:
    """What was open when, up to `now`, by the state of consent at each moment at which it can have changed, and by
    what was known of her age at that moment. `secret` are the consents of which she is not told.

    `now` is at or after whatever is on record (`latest`): what lies after it hides nothing.
    """
    if not secret:
        return Kept()
    told: dict[Key, list[Span]] = {}
    hidden: dict[Key, list[Span]] = {}
    for at in sorted({moment for moment in _moments(events, known) if moment <= now}):
        there = fold(event for event in events if recorded(event) <= at)
        valid = [grant for grant in by_age(there, known_at(known, at)) if _is_valid(grant, at, rules)]
        _go_on(told, _keys(grant for grant in valid if grant.grant_id not in secret), at)
        _go_on(hidden, _keys(grant for grant in valid if grant.grant_id in secret), at)
    return Kept(told, hidden)


def latest(now: datetime, events: Iterable[ConsentEvent], known: Known) -> datetime:
    """`now`, or the last moment on record if that is later: what was recorded while a request waited, or by a process
    whose clock runs ahead, is known to it all the same."""
    return max([now, *(recorded(event) for event in events), *(since for since, _ in known)])


def recorded(event: ConsentEvent) -> datetime:
    """When the event came on record."""
    if isinstance(event, ConsentGiven):
        return event.recorded_at
    return event.withdrawn_at if isinstance(event, ConsentWithdrawn) else event.at


def _moments(events: Collection[ConsentEvent], known: Known) -> Iterable[datetime]:
    yield from (recorded(event) for event in events)
    yield from (since for since, _ in known)
    # A birthday that was believed in once has ended a consent then.
    for person in (None, *(person for _, person in known)):
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
