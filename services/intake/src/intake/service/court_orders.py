"""What of a case happened on orders alone. A bundle says of it what it would say had there been no order: what a court
or the law asked for may be secret, and an entry of what it did tells of it as well as its own consent does.

An entry stands in a bundle only if it would stand in the ledger without the order, with the same number. Where an
order stood beside her consent the ledger has fewer steps than it would have had, and no bundle can put them in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue, TypeAdapter, ValidationError

from amanat.categories import Agency, Category
from amanat.consent import AgeRules, ConsentEvent, ConsentGiven, ConsentWithdrawn
from amanat.contracts.records import RECORDS
from amanat.db import AnyRow
from amanat.ledger.parts import WHOLE, Parted
from amanat.ledger.reading import table_and_id
from intake.my_case.service.her_age import Recorded, known_of
from intake.my_case.service.keeping import Kept, Key, kept, latest
from intake.service.court_file import Told
from intake.service.recipients import OUTSIDE_HER_CONSENT
from intake.service.sources import EVENT

Office = tuple[Agency, str]
"""(agency, organisation)"""
_EVENT: TypeAdapter[ConsentEvent] = TypeAdapter(ConsentEvent)
_ENDS = frozenset({"key_destroyed", "withdrawal_recovered"})
_OPENINGS = frozenset({"referral_opened", "referral_reopened"})
_LOOKS = frozenset({"leased", "look_told"})
_UNREADABLE = (ValidationError, ValueError, TypeError, KeyError)


def untold(
    entries: Sequence[Told], referrals: Iterable[AnyRow], rules: AgeRules, now: datetime, *, unsure: bool
) -> frozenset[int]:
    """Which of a case's entries, by their place in `entries`, tell of what was asked for past her consent.

    `entries` are all of them in the ledger's order, `referrals` the case's. Where a consent cannot be read (`unsure`:
    from the beginning) only what rests on her own for certain is told.
    """
    events = {place: event for place, each in enumerate(entries) if (event := _event(each)) is not None}
    by_order = {
        event.consent_id
        for event in events.values()
        if isinstance(event, ConsentGiven) and event.terms.basis in OUTSIDE_HER_CONSENT
    }
    known = known_of(_persons(entries))
    walk = _Walk(
        {row.code: (Agency(row.agency), row.organisation) for row in referrals},
        kept(list(events.values()), by_order, known, rules, latest(now, events.values(), known)),
        by_order,
        unsure,
    )
    return frozenset([place for place, each in enumerate(entries) if walk.hides(each, events.get(place))])


@dataclass
class _Walk:
    """One way through the ledger, from its beginning: what came before an order tells nothing of it."""

    offices: Mapping[str, Office]
    kept: Kept
    by_order: set[UUID]
    unsure: bool
    ordered: set[Key] = field(default_factory=set)
    """What orders up to here opened, or would have."""
    left_out: set[Key] = field(default_factory=set)
    """Of what an opening was left out: its later epochs would have other numbers without the order."""
    moved: set[str] = field(default_factory=set)
    """Referrals whose versions would be others."""
    unopened: set[str] = field(default_factory=set)
    """Referrals whose opening was left out."""

    def hides(self, told: Told, event: ConsentEvent | None) -> bool:
        """Whether this entry, the next one of the ledger, is not told."""
        row, table, office = told.row, table_and_id(told.row.source)[0], self.offices.get(told.row.subject)
        content = None if told.statement is None else told.statement.content
        if table == "consent_events":
            return self._hides_consent(told, event)
        if row.kind == "share_opened" or row.kind in _ENDS:
            return self._hides_share(row, office)
        if row.kind in _OPENINGS:
            return self._hides_opening(row, office)
        if row.kind in _LOOKS:
            return self._hides_look(row, office, content)
        columns = content.columns if isinstance(content, Parted) else {}
        if columns.get("kind") == "acknowledgement":
            office = Agency(str(columns["author_agency"])), str(columns["author_organisation"])
        elif row.kind != "referral_acknowledged":
            return False
        return self._acts_on_order(office, row.at)

    def _hides_consent(self, told: Told, event: ConsentEvent | None) -> bool:
        if isinstance(event, ConsentGiven):
            if event.consent_id not in self.by_order:
                return False
            self.ordered |= _keys(event)
            return True
        if isinstance(event, ConsentWithdrawn):
            if event.consent_id is not None:
                return event.consent_id in self.by_order
            # What an agency said of its tombstones after a restore: hers only where it ended something of hers.
            keys = _keys_of(event)
            return any(self._is_suspect(key) for key in keys) and not any(
                span.end == event.withdrawn_at for key in keys for span in self.kept.told.get(key, ())
            )
        if event is None:
            self.unsure = True
        return _basis(told) in OUTSIDE_HER_CONSENT

    def _hides_share(self, row: AnyRow, office: Office | None) -> bool:
        key = _key(office, row.said)
        if key is None or not self._is_suspect(key):
            return key is None
        told = self.kept.is_told(key, row.at) or (row.kind in _ENDS and self._ended_with_hers(key, row.at))
        if told and key not in self.left_out:
            return False
        self.moved.add(row.subject)
        if row.kind == "share_opened":
            self.left_out.add(key)
        return True

    def _ended_with_hers(self, key: Key, at: datetime) -> bool:
        """Whether what ended last until then was what she is told of."""
        orders = self.kept.secret.get(key, ())
        hers = [span.end for span in self.kept.told.get(key, ()) if span.end is not None and span.end <= at]
        theirs = [span.end for span in orders if span.end is not None and span.end <= at]
        goes_on = any(span.meets(at, at) for span in orders)
        return bool(hers) and not goes_on and max(hers) >= max(theirs, default=max(hers))

    def _hides_opening(self, row: AnyRow, office: Office | None) -> bool:
        if self._acts_on_order(office, row.at) or (row.kind == "referral_reopened" and row.subject in self.unopened):
            self.unopened.add(row.subject)
            return True
        return False

    def _hides_look(self, row: AnyRow, office: Office | None, content: Any) -> bool:
        """One of several categories goes as a whole: its row is committed to as a whole."""
        try:
            at = datetime.fromisoformat(content["at"])
            keys = {key for each in content["categories"] if (key := _key(office, {"category": each})) is not None}
        except _UNREADABLE:
            return self._acts_on_order(office, row.at)
        if row.kind == "leased" and row.subject in self.moved:
            return True
        if not keys:
            return self._acts_on_order(office, at)
        return any(self._is_suspect(key) and not self.kept.is_told(key, at) for key in keys)

    def _acts_on_order(self, office: Office | None, at: datetime) -> bool:
        """Whether this office had the case then, and nothing of it by what she is told of."""
        if office is None:
            return True
        if not self.unsure and all(key[:2] != office for key in self.ordered):
            return False
        return not any(self.kept.is_told(key, at) for key in self.kept.told if key[:2] == office)

    def _is_suspect(self, key: Key) -> bool:
        return self.unsure or key in self.ordered


def _event(told: Told) -> ConsentEvent | None:
    if table_and_id(told.row.source)[0] != "consent_events":
        return None
    try:
        return _EVENT.validate_json(_body(told))
    except _UNREADABLE:
        return None


def _persons(entries: Iterable[Told]) -> list[Recorded]:
    """All records of her person, oldest first, as far as they can be read."""
    found: list[Recorded] = []
    for each in entries:
        content = None if each.statement is None else each.statement.content
        if not isinstance(content, Parted) or content.columns.get("kind") != "person":
            continue
        corrects = content.columns.get("corrects")
        try:
            record = RECORDS["person"].parse(_body(each).encode())
            names = UUID(str(content.columns["id"])), None if corrects is None else UUID(str(corrects))
        except _UNREADABLE:
            continue
        found.append(Recorded(each.row.at, *names, record))
    return found


def _body(told: Told) -> str:
    """What is sealed of a row with one sealed text, as it was sealed. Raises KeyError, TypeError."""
    whole: Any = told.parts[WHOLE]
    body: str = whole["sealed"]
    return body


def _basis(told: Told) -> JsonValue:
    """The basis of a consent that is not one as a whole; None if it has none."""
    event = told.parts.get(EVENT)
    terms = event.get("terms") if isinstance(event, dict) else None
    return terms.get("basis") if isinstance(terms, dict) else None


def _keys(event: ConsentGiven) -> frozenset[Key]:
    to = event.terms.recipient
    return frozenset((to.agency, to.organisation, category) for category in event.terms.categories)


def _keys_of(event: ConsentWithdrawn) -> frozenset[Key]:
    if event.organisation is None or event.categories is None:
        return frozenset()
    return frozenset((event.agency, event.organisation, category) for category in event.categories)


def _key(office: Office | None, said: Mapping[str, Any]) -> Key | None:
    try:
        return None if office is None else (*office, Category(said["category"]))
    except _UNREADABLE:
        return None
