"""What an agency's clients get. Personal fields stand in `fields`, as the contracts' records name them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from amanat.categories import Category
from amanat.contracts.values import Barcode, Identifier, ReferralCode


class Shown(BaseModel):
    """An answer's part."""

    model_config = ConfigDict(frozen=True)


class Entry(Shown):
    """One record's fields: of one category where it was disclosed, all of them where it is the reader's own."""

    record: Identifier = Field(description="the record's name in the contracts, `incident` for instance")
    record_id: UUID
    recorded_at: datetime
    fields: dict[str, JsonValue]


class ReferralShown(Shown):
    """What the organisation may read of one referral just now."""

    referral: ReferralCode
    state: Identifier
    opened_at: datetime
    kits: tuple[Barcode, ...]
    parts: dict[Category, tuple[Entry, ...]] = Field(
        description="by data category: what was disclosed to this organisation and is granted now"
    )
    own: tuple[Entry, ...] = Field(description="what this organisation itself recorded; it stays")


class KitShown(ReferralShown):
    """The same, asked for by a kit; `own` keeps to that kit."""

    barcode: Barcode


class ReferralListed(Shown):
    """One line of a feed: operational, without content."""

    referral: ReferralCode
    state: Identifier
    opened_at: datetime
    categories: int = Field(ge=0, description="how many categories are there to read; their keys are leased on reading")


class Feed(Shown):
    """A page of referrals by arrival."""

    items: tuple[ReferralListed, ...]
    next: str | None = Field(description="the cursor of a page that is there already; none at the end")
    resume: str | None = Field(description="the cursor from which to ask again later for what arrives")


class Reported(Shown):
    """A report was kept and is on its way to the cell. `state` is the referral's now."""

    referral: ReferralCode
    state: Identifier
    record: UUID


class HalfRecorded(Shown):
    """A half of a kit's way was kept, and how it is attested: SHA-256 of the canonical body, in hexadecimal."""

    barcode: Barcode
    half: Literal["release", "receipt"]
    attestation: UUID
    sha256: str
