"""What the gate tells an agency, on `disclosures.<agency>`; and what a disclosure holds once it is opened."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import JsonValue

from amanat.categories import Category
from amanat.contracts.base import Contract, Event
from amanat.contracts.fields import AsDisclosed
from amanat.contracts.values import Barcode, Count, Identifier, Moment, Sealed

DISCLOSED_RECORDS: Literal["disclosed-records/1"] = "disclosed-records/1"
"""Name and version of the plaintext inside `CategoryDisclosed.sealed`; part of its associated data."""


class ReferralOpened(Event):
    """A referral's first valid grant: from here on the organisation may know that the case exists."""

    type: ClassVar[str] = "pk.amanat.referral-opened.v1"

    organisation: Annotated[Identifier, Category.OPERATIONAL]
    purpose: Annotated[Identifier, Category.OPERATIONAL]
    opened_at: Annotated[Moment, Category.OPERATIONAL]
    consent_version: Annotated[Count, Category.OPERATIONAL]


class CategoryDisclosed(Event):
    """The whole current projection of one category; a higher `seq` replaces what came before. Epochs never revive."""

    type: ClassVar[str] = "pk.amanat.category-disclosed.v1"

    organisation: Annotated[Identifier, Category.OPERATIONAL]
    category: Annotated[Category, Category.OPERATIONAL]
    epoch: Annotated[Count, Category.OPERATIONAL]
    key_id: Annotated[UUID, Category.OPERATIONAL]
    seq: Annotated[Count, Category.OPERATIONAL]
    contract: Annotated[Literal["disclosed-records/1"], Category.OPERATIONAL] = DISCLOSED_RECORDS
    # Operational because it is ciphertext: personal only together with a leased key, and then of `category`.
    sealed: Annotated[Sealed, Category.OPERATIONAL]


class CategoryWithdrawn(Event):
    """A tombstone: nothing of this category up to and including `epoch` may be shown or kept. Never parked."""

    type: ClassVar[str] = "pk.amanat.category-withdrawn.v1"

    organisation: Annotated[Identifier, Category.OPERATIONAL]
    category: Annotated[Category, Category.OPERATIONAL]
    epoch: Annotated[Count, Category.OPERATIONAL]
    consent_version: Annotated[Count, Category.OPERATIONAL]
    withdrawn_at: Annotated[Moment, Category.OPERATIONAL]


class KitAnnounced(Event):
    """A kit belongs to this referral; only its printed serial is told."""

    type: ClassVar[str] = "pk.amanat.kit-announced.v1"

    organisation: Annotated[Identifier, Category.OPERATIONAL]
    barcode: Annotated[Barcode, Category.OPERATIONAL]
    announced_at: Annotated[Moment, Category.OPERATIONAL]


class TombstonesRequested(Event):
    """After a restore the gate asks an agency for all its tombstones, of all its organisations and referrals."""

    type: ClassVar[str] = "pk.amanat.tombstones-requested.v1"

    referral: Annotated[Literal["*"], Category.OPERATIONAL] = "*"
    organisation: Annotated[Literal["*"], Category.OPERATIONAL] = "*"
    request_id: Annotated[UUID, Category.OPERATIONAL]
    requested_at: Annotated[Moment, Category.OPERATIONAL]


class DisclosedRecord(Contract):
    """One record's fields of the disclosed category; `record` is a name in `amanat.contracts.records.RECORDS`."""

    record: Annotated[Identifier, Category.OPERATIONAL]
    record_id: Annotated[UUID, Category.OPERATIONAL]
    recorded_at: Annotated[Moment, Category.OPERATIONAL]
    # All of the category of the `CategoryDisclosed` that carries it: `records.project` lets nothing else in.
    fields: Annotated[dict[str, JsonValue], AsDisclosed()]


class DisclosedRecords(Contract):
    """The plaintext of `CategoryDisclosed.sealed` (contract `disclosed-records/1`), oldest record first."""

    records: Annotated[tuple[DisclosedRecord, ...], Category.OPERATIONAL]
