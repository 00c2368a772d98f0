"""An event as it came from Kafka: attributes from its headers, its body unread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from amanat.contracts import EVENTS, Event

KEPT = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_seq", "ce_organisation")
"""Headers that are read and, when an event is parked, stored; besides `content-type` and `traceparent`."""

_ALSO_KEPT = ("content-type", "traceparent")
_LONGEST = 200  # of any header that is kept: a peer's text must fit an index and a log line
_MAX_SEQ = 2**63 - 1


class UnknownType(Exception):
    """No contract or no handler of this version knows the event's type."""


@dataclass(frozen=True)
class Received:
    """One event. `referral` is the subject (the key when it has none) and orders events; `body` is never logged.

    What a sender left out or garbled is empty, never an error here: reading a topic must go on, and what cannot be
    handled is parked. `event_id` is then derived from the place on the topic. One that is tried again says since when
    it has been here, and for which reason it was kept.
    """

    topic: str
    partition: int
    offset: int
    key: str | None
    event_id: UUID
    type: str
    source: str
    time: datetime
    referral: str | None
    seq: int | None
    organisation: str | None
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    parked_at: datetime | None = None
    parked_for: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What keeps its order and is parked together: a referral on one topic, else the event alone.

        The topic belongs to it so that an agency cannot hold back another's referral by naming it.
        """
        return (self.topic, self.referral or f"event {self.event_id}")

    def event(self) -> Event:
        """The body by its type's contract.

        Raises UnknownType, or pydantic's ValidationError for a body that does not fit.
        """
        contract = EVENTS.get(self.type)
        if contract is None:
            raise UnknownType
        return contract.parse(self.body)


def received(
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    headers: Iterable[tuple[str, bytes]],
    body: bytes | None,
) -> Received:
    """Reads a Kafka record, whatever its sender put into it."""
    kept = {
        name: _clean(value) for name, value in headers if value is not None and (name in KEPT or name in _ALSO_KEPT)
    }
    cleaned_key = _clean(key) if key else None
    return Received(
        topic=topic,
        partition=partition,
        offset=offset,
        key=cleaned_key,
        event_id=_id(kept.get("ce_id"), f"{topic}/{partition}/{offset}"),
        type=kept.get("ce_type", ""),
        source=kept.get("ce_source", ""),
        time=_time(kept.get("ce_time"), timestamp_ms),
        referral=kept.get("ce_subject") or cleaned_key,
        seq=_seq(kept.get("ce_seq")),
        organisation=kept.get("ce_organisation") or None,
        headers=kept,
        body=body or b"",
    )


def _clean(value: bytes) -> str:
    # PostgreSQL's text holds no NUL.
    return value.decode("utf-8", errors="replace").replace("\x00", "\ufffd")[:_LONGEST]


def _id(text: str | None, place: str) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        return uuid5(NAMESPACE_URL, place)


def _time(text: str | None, timestamp_ms: int) -> datetime:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        time = None
    # Within the years that any zone can tell: at the calendar's ends the conversion itself fails.
    if time is not None and time.tzinfo is not None and MINYEAR < time.year < MAXYEAR:
        return time
    return datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)


def _seq(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    return min(int(text), _MAX_SEQ)
