"""What is asked, given, withdrawn: the terms of one consent, and the events that consents are folded from."""

from datetime import date
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from amanat.categories import Agency, Category
from amanat.contracts.values import Day, Flag, Identifier, Line, Moment, Paragraph, Years

Basis = Literal["consent", "guardian", "court_order", "statutory_duty"]
"""On what a grant rests. A court order or a statutory duty is a basis of its own, not consent."""

Role = Literal["survivor", "guardian", "court_substitute", "child_protection_substitute"]

Decision = Literal["consent", "assent", "written_assent"]

Categories = Annotated[frozenset[Category], PlainSerializer(sorted, return_type=list[str], when_used="json")]
"""A set of categories; in JSON sorted, because commitments are computed over it."""

OutsideAgency = Literal[Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Recipient(_Frozen):
    """One organisation of one agency; a grant never names an agency at large."""

    agency: OutsideAgency
    organisation: Identifier


class Decider(_Frozen):
    """One who decided. A substitute counts only with the reference of its authority."""

    role: Role
    decision: Decision
    relationship: Line | None = None
    authority_reference: Line | None = None
    name: Annotated[Line | None, Category.IDENTITY] = None


class SafetyFinding(_Frozen):
    """Whether the staff found the guardian unsafe, and why."""

    guardian_unsafe: Flag
    reason: Paragraph | None = None


class GrantTerms(_Frozen):
    """One consent as a client posts it. Whether it is valid the age table says; what is missing never blocks care.

    `purpose` is the agency's own when left out, and another is refused by `decide`. `given_at` is the time of recording
    when left out.
    """

    recipient: Recipient
    categories: Annotated[Categories, Field(min_length=1)]
    purpose: Identifier | None = None
    basis: Basis
    basis_reference: Line | None = None
    deciders: Annotated[tuple[Decider, ...], Field(max_length=20)] = ()
    safety_finding: SafetyFinding | None = None
    age_basis: Literal["document", "stated", "apparent", "examination"] | None = None
    capacity: Literal["present", "absent", "uncertain"] = "present"
    language: Line | None = None
    taken_by: Line | None = None
    witness: Line | None = None
    given_at: Moment | None = None
    expires_at: Moment | None = None
    review_at: Moment | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if Category.OPERATIONAL in self.categories:
            raise ValueError("operational data is not granted")
        if self.given_at is not None and self.expires_at is not None and self.expires_at <= self.given_at:
            raise ValueError("ends before it begins")
        return self


class ConsentGiven(_Frozen):
    """A consent went on record. `age_years` is her age then (None: unknown), `adult_on` her 18th birthday."""

    consent_id: UUID
    terms: GrantTerms
    age_years: Years | None
    guardian_is_accused: Flag = False
    adult_on: Day | None = None
    recorded_at: Moment


class ConsentWithdrawn(_Frozen):
    """One consent by its id; or, without an id, all consents to a recipient (`organisation` None: the whole agency).

    `categories` None means all of them. By id it ends that consent whatever its basis; by recipient it ends what rests
    on consent, and leaves court orders and statutory duties standing.
    """

    consent_id: UUID | None = None
    agency: Agency
    organisation: Identifier | None = None
    categories: Categories | None = None
    withdrawn_at: Moment


class GuardianExcluded(_Frozen):
    """A guardian was found to be the accused, absent or unsafe: what rests on that guardian is void.

    `guardian` is the `authority_reference` of the guardian meant; None means every guardian. A guardian recorded
    without a reference could be the one meant and is excluded too.
    """

    guardian: Line | None = None
    at: Moment


ConsentEvent = ConsentGiven | ConsentWithdrawn | GuardianExcluded


class Grant(_Frozen):
    """The state of one consent after all its events; `categories` are those left after withdrawals."""

    grant_id: UUID
    agency: Agency
    organisation: Identifier
    categories: Categories
    withdrawn: Categories
    purpose: Identifier
    basis: Basis
    basis_reference: Line | None
    deciders: tuple[Decider, ...]
    guardian_excluded: Flag
    age_years_at_grant: Years | None
    adult_on: date | None
    capacity: Literal["present", "absent", "uncertain"]
    given_at: Moment
    recorded_at: Moment
    expires_at: Moment | None
    withdrawn_at: Moment | None
