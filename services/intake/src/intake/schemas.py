"""What the cell's clients send and get. Personal fields are contracts' records: each knows its data category there."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from amanat.categories import Agency, Category
from amanat.consent import GrantTerms
from amanat.contracts.records import (
    CareNote,
    CounsellingNote,
    DigitalItem,
    Examination,
    Image,
    Incident,
    Person,
    SafeContact,
)
from amanat.contracts.values import Barcode, Line, Moment

OrganisationId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
ShortText = Annotated[Line, StringConstraints(min_length=1, max_length=300)]


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt consent never passes for silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipient(Body):
    """An organisation of the directory that a referral is asked for."""

    agency: Literal[Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID]
    organisation: OrganisationId


class NewCase(Body):
    """A survivor's arrival at the cell. Every part may be missing: care never waits for a form (law 8)."""

    cell: OrganisationId | None = Field(default=None, description="needed only by a client that serves several cells")
    presented_at: Moment | None = None
    person: Person | None = None
    contact: SafeContact | None = None
    incident: Incident | None = None
    examination: Examination | None = None
    care: CareNote | None = None
    counselling: CounsellingNote | None = None
    digital: tuple[DigitalItem, ...] = Field(default=(), max_length=50)
    images: tuple[Image, ...] = Field(default=(), max_length=50)
    guardian_is_accused: bool = False
    consents: tuple[GrantTerms, ...] = Field(default=(), max_length=20)
    referrals: tuple[Recipient, ...] = Field(default=(), max_length=20)


class ReferralState(BaseModel):
    """One referral as its cell sees it. `missing` names what a valid grant still lacks."""

    referral: str
    agency: Agency
    organisation: str
    purpose: str
    state: Literal["waiting_for_consent", "open", "closed"]
    progress: str
    categories: tuple[Category, ...]
    missing: tuple[str, ...]


class CaseOpened(BaseModel):
    """Answer to a new case."""

    case: str
    referrals: tuple[ReferralState, ...]


class CaseSearch(Body):
    """Exactly one identifier, in the body so that it stands in no URL."""

    mlc_number: ShortText | None = None
    cnic: ShortText | None = None
    hospital_record_number: ShortText | None = None


class CasesFound(BaseModel):
    """Codes of the cases of the asking cell that bear the identifier."""

    cases: tuple[str, ...]


class NewRecord(Body):
    """One document to add to a case. A correction names the record that it replaces; both are kept."""

    kind: Literal[
        "person",
        "safe_contact",
        "incident",
        "examination",
        "care_note",
        "counselling_note",
        "digital_item",
        "image",
    ]
    record: dict[str, Any]
    corrects: UUID | None = None
    reason: ShortText | None = None


class RecordAdded(BaseModel):
    """Where a document now stands."""

    case: str
    record: UUID


class RecordShown(BaseModel):
    """One document of a case, with its history."""

    record: UUID
    kind: str
    author: str
    recorded_at: datetime
    corrects: UUID | None
    corrected_by: UUID | None
    reason: str | None
    content: dict[str, Any]


class TimelineEntry(BaseModel):
    """What happened, when, by whom; operational facts only."""

    at: datetime
    kind: str
    agency: str | None
    organisation: str | None
    referral: str | None
    detail: dict[str, Any]


class LooksShown(BaseModel):
    """Looks of one office at the same categories for the same purpose. Who of the office looked is on record there."""

    agency: Agency
    organisation: str
    categories: tuple[Category, ...] = Field(
        description="what was opened; empty where nothing of the case was, but the agency's own records"
    )
    purpose: str
    first_at: datetime
    last_at: datetime
    times: int


class ClockShown(BaseModel):
    """A clock of the law: late is never refused, the reason is recorded."""

    kind: str
    trigger_at: datetime
    due_at: datetime
    met_at: datetime | None
    overdue: bool
    source: str


class KitShown(BaseModel):
    """A kit of the case and its custody halves so far."""

    barcode: str
    opened_at: datetime
    halves: tuple[dict[str, Any], ...]
    gaps: tuple[str, ...]


class CaseShown(BaseModel):
    """A case as its own cell sees it."""

    case: str
    cell: str
    opened_at: datetime
    presented_at: datetime | None
    records: tuple[RecordShown, ...]
    referrals: tuple[ReferralState, ...]
    clocks: tuple[ClockShown, ...]
    kits: tuple[KitShown, ...]
    timeline: tuple[TimelineEntry, ...]
    looks: tuple[LooksShown, ...] = Field(
        description="who looked, newest last; an agency's looks are known here within a minute"
    )


class AgencyEnding(BaseModel):
    """When an agency can no longer read: its own word, or the latest moment at which its leases are over."""

    agency: Agency
    organisation: str
    category: Category
    confirmed_at: datetime | None = None
    closed_no_later_than: datetime | None = None


class ConsentShown(BaseModel):
    """One consent and where it stands."""

    consent: UUID
    agency: Agency
    organisation: str
    categories: tuple[Category, ...]
    purpose: str
    basis: str
    given_at: datetime
    expires_at: datetime | None
    valid: bool
    missing: tuple[str, ...]


class ConsentsShown(BaseModel):
    """All consents of a case, and what withdrawals have reached."""

    case: str
    consents: tuple[ConsentShown, ...]
    endings: tuple[AgencyEnding, ...]
    unread: bool = Field(
        default=False, description="something of the case did not open: there may be other consents, or another age"
    )


class ConsentRecorded(BaseModel):
    """Answer to a new consent."""

    case: str
    consent: UUID
    referral: ReferralState


class Withdrawal(Body):
    """Which categories she takes back; absent means all of this consent."""

    categories: tuple[Category, ...] | None = Field(default=None, min_length=1)


class WithdrawalDone(BaseModel):
    """What the withdrawal ended, agency by agency."""

    case: str
    consent: UUID
    withdrawn_at: datetime
    endings: tuple[AgencyEnding, ...]
    still_shared: tuple[Category, ...] = Field(description="categories that stay readable on another valid basis")
    unread: bool = Field(
        default=False,
        description="something of the case did not open: what was named ended all the same, and where nobody can tell "
        "whose consent it was, for every office",
    )


class NewKit(Body):
    """A sealed evidence kit, known by the serial printed on it."""

    barcode: Barcode


class KitOpened(BaseModel):
    """Answer to a new kit."""

    case: str
    barcode: str


class HalfRecorded(BaseModel):
    """Answer to a custody half: the attestation that a court will ask for."""

    barcode: str
    half: Literal["release", "receipt"]
    attestation: UUID
    sha256: str
