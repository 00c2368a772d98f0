"""What a plan knows of a case, and what it says has to change: the service makes it, the repository writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from amanat.categories import Agency, Category
from amanat.contracts.base import Event
from amanat.contracts.records import Record
from amanat.ledger import Parted

Row = Mapping[str, Any]
"""Column by column, as a table has it."""


@dataclass(frozen=True)
class Share:
    """A category that one referral receives now: its epoch, and the latest end of its bases (None: without end)."""

    category: Category
    epoch: int
    until: datetime | None


@dataclass(frozen=True)
class Referral:
    """A referral, locked for update by the caller, with its open shares and the highest epoch ever used."""

    code: str
    agency: Agency
    organisation: str
    purpose: str
    state: str
    consent_version: int
    next_seq: int
    shares: dict[Category, Share]
    last_epochs: dict[Category, int]
    epoch_floor: int = 0
    """Epochs up to this one may have been used before a restore, and never come again."""

    def next_epoch(self, category: Category) -> int:
        """An epoch of this category that nobody has seen."""
        return max(self.last_epochs.get(category, 0), self.epoch_floor) + 1

    def is_author(self, document: "Document") -> bool:
        """Whether this document came from the referral's own organisation, to which it never returns."""
        return (document.author_agency, document.author_organisation) == (self.agency, self.organisation)


@dataclass(frozen=True)
class Document:
    """One current record of the case, opened. Corrected ones are left out by the caller."""

    record_id: UUID
    kind: str
    record: Record
    recorded_at: datetime
    author_agency: Agency
    author_organisation: str


@dataclass(frozen=True)
class Outgoing:
    """One event for an agency, with its place in the referral's order."""

    event_id: UUID
    event: Event
    agency: Agency
    organisation: str
    seq: int


@dataclass(frozen=True)
class NewKey:
    """A data key, wrapped under the request's secret."""

    key_id: UUID
    referral: str
    category: Category
    epoch: int
    seq: int
    wrap: bytes


@dataclass(frozen=True)
class Line:
    """What will stand in the ledger of one step: in clear what is operational, and by its row what is not."""

    kind: str
    subject: str
    said: Mapping[str, JsonValue]
    source: str | None = None
    content: JsonValue | Parted = None


@dataclass
class Changes:
    """What one transaction writes. Lists keep the order in which things came to be."""

    records: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    referrals_asked: list[Row] = field(default_factory=list)
    """Each waits until a valid grant opens it, which may be at once: then it is among `referrals`, too."""
    referrals: dict[str, Referral] = field(default_factory=dict)
    keys: list[NewKey] = field(default_factory=list)
    shares_opened: list[tuple[str, Share]] = field(default_factory=list)
    shares_prolonged: list[tuple[str, Share]] = field(default_factory=list)
    shares_ended: list[tuple[str, Share, float]] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    timeline: list[Row] = field(default_factory=list)
    ledger: list[Line] = field(default_factory=list)

    def state(self, kind: str, subject: str, **said: JsonValue) -> None:
        """Put a step into the ledger that no row of its own tells of."""
        self.ledger.append(Line(kind, subject, said))
