"""What is sent and answered where the glass is broken. No field says who asks: that stands in the token alone."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from amanat.categories import Agency, Category
from amanat.contracts.values import Line, Moment, Paragraph
from intake.schemas import Body, Recipient, ShortText


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("says nothing")
    return text.strip()


Reason = Annotated[Paragraph, StringConstraints(min_length=1, max_length=2000), AfterValidator(_said)]
Reference = Annotated[Line, StringConstraints(min_length=1, max_length=300), AfterValidator(_said)]
OutsideBasis = Literal["court_order", "statutory_duty"]


class NewEmergency(Body):
    """Why, and one case: by its code or by exactly one identifier, which stands in the body and in no URL."""

    reason: Reason
    case: ShortText | None = None
    mlc_number: ShortText | None = None
    cnic: ShortText | None = None
    hospital_record_number: ShortText | None = None


class EmergencyRecord(BaseModel):
    """What one record holds of one category."""

    record: UUID
    kind: str
    category: Literal[Category.CARE, Category.IDENTITY]
    recorded_at: datetime
    fields: dict[str, Any]


class EmergencyShown(BaseModel):
    """Care and identity of one case, to the clinician who opened the emergency; readable until `open_until`."""

    emergency: UUID
    case: str
    cell: str
    opened_at: datetime
    open_until: datetime
    review_due_at: datetime
    records: tuple[EmergencyRecord, ...]


class EmergencyListed(BaseModel):
    """An emergency that nobody has reviewed yet. `case` is left out where one's own clinician opened another cell's."""

    emergency: UUID
    case: str | None
    cell: str
    clinician: str = Field(description="the subject of the clinician's token")
    clinician_cell: str
    unit: str
    opened_at: datetime
    open_until: datetime
    review_due_at: datetime
    overdue: bool
    for_information: bool = Field(description="another cell reviews it: the case is there")


class EmergenciesListed(BaseModel):
    """At most 200, the longest waiting first."""

    emergencies: tuple[EmergencyListed, ...]


class NewReview(Body):
    """What the supervisor found, and why."""

    finding: Literal["justified", "not_justified"]
    note: Reason


class ReviewShown(BaseModel):
    """An emergency as its reviewer sees it: who, when, why, and what was found; nothing of the case's records."""

    emergency: UUID
    case: str
    clinician: str
    clinician_cell: str
    unit: str
    found_by: str
    reason: str
    opened_at: datetime
    open_until: datetime
    review_due_at: datetime
    overdue: bool
    finding: str | None
    note: str | None
    reviewed_at: datetime | None
    reviewed_by: str | None


class ReviewRecorded(BaseModel):
    """Answer to a review."""

    emergency: UUID
    finding: str
    reviewed_at: datetime


class Secrecy(Body):
    """A court's order that she is not told until it is looked at again."""

    reference: Reference
    review_at: Moment


class NewDisclosure(Body):
    """What is asked for on a court's order or a statutory duty. It grants nothing until a second person approves it."""

    recipient: Recipient
    categories: tuple[Category, ...] = Field(min_length=1, max_length=20)
    basis: OutsideBasis
    reference: Reference
    expires_at: Moment
    secrecy: Secrecy | None = None


class NewRefusal(Body):
    """Why a disclosure is not approved."""

    reason: Reason


class NewEnding(Body):
    """Why a disclosure ends before its time: the order was lifted, the case is closed."""

    reason: Reason


class SecrecyShown(BaseModel):
    """Until when she is not told, and by which order."""

    reference: str
    review_at: datetime
    in_force: bool


class DisclosureTold(BaseModel):
    """Answer to asking and to deciding: where it stands. References and reasons are read where a look is left."""

    disclosure: UUID
    case: str
    state: Literal["asked", "approved", "refused", "lapsed", "ended"]
    agency: Agency
    organisation: str
    categories: tuple[Category, ...]
    expires_at: datetime
    asked_at: datetime
    lapses_at: datetime
    decided_at: datetime | None
    consent: UUID | None
    ended_at: datetime | None = Field(description="when a supervisor ended it, before its time")


class DisclosureShown(DisclosureTold):
    """One disclosure outside, and where it stands. An approved one is a consent of its own, which ends with it."""

    basis: str
    reference: str
    secrecy: SecrecyShown | None
    asked_by: str
    asked_by_unit: str
    decided_by: str | None
    decided_by_unit: str | None
    reason: str | None
    ended_by: str | None
    ended_by_unit: str | None
    why_ended: str | None


class DisclosuresShown(BaseModel):
    """All of a case, oldest first."""

    case: str
    disclosures: tuple[DisclosureShown, ...]
