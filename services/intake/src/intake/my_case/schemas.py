"""What the survivor's page and the cell's desk send and get. Titles, names and reasons come in the asked language."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, StringConstraints, model_validator

from amanat.categories import Agency, Category
from amanat.consent.terms import Decider
from intake.schemas import Body, ConsentRecorded, OrganisationId, ShortText

Language = Literal["en", "ur"]
Typed = Annotated[SecretStr, Field(max_length=100)]
"""Something that she types: shown in no log and no error."""
Visit = Annotated[str, StringConstraints(max_length=300)]


class SignIn(Body):
    """A claim code, in any writing, and a PIN, in any digits."""

    code: Typed
    pin: Typed
    language: Language = "en"


class Look(Body):
    """The page again, as it stands now."""

    session: Visit
    language: Language = "en"


class TakeBack(Body):
    """What she takes back: a category, from an office or from everyone; without a category all; of everyone all."""

    session: Visit
    agency: Literal[Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID] | None = None
    organisation: OrganisationId | None = None
    category: Category | None = None
    language: Language = "en"

    @model_validator(mode="after")
    def _an_office_is_both(self) -> Self:
        if (self.agency is None) != (self.organisation is None):
            raise ValueError("an office is named by its agency and its organisation")
        return self


class Named(BaseModel):
    """A thing's own name here, and what people call it."""

    id: str
    name: str


class Part(BaseModel):
    """One part of what she told or what was found, as one office may read it now."""

    category: Named
    until: datetime | None = Field(description="null: until it is taken back")
    withdrawable: bool = Field(description="whether it rests, in part at least, on her consent or a guardian's")
    also_by_law: bool = Field(description="whether it rests on a court's order or a duty by law, which stays")


class Office(BaseModel):
    """What is shared with one office now."""

    agency: Agency
    organisation: str
    name: str
    purpose: str
    parts: tuple[Part, ...]


class Seen(BaseModel):
    """Looks of one office at the same parts for the same purpose; never who of the office."""

    name: str
    parts: tuple[Named, ...]
    purpose: str
    times: int
    first_at: datetime
    last_at: datetime
    by_a_cell: bool = Field(
        description="a place of treatment looked: without parts, it asked whether she is known there"
    )


class Unaccounted(BaseModel):
    """An office could open this, and has not said who looked."""

    name: str
    parts: tuple[Named, ...]
    at: datetime


class Ended(BaseModel):
    """What an office can no longer read. Both times are whole minutes."""

    agency: Agency
    organisation: str
    name: str
    category: Named
    ended_at: datetime = Field(description="the minute in which it ended")
    closed_no_later_than: datetime = Field(description="by when nobody there can open it, at the latest")


class OwnLooks(BaseModel):
    """How often this page was opened with her PIN, this time included."""

    times: int
    last_before: datetime | None


class MyCase(BaseModel):
    """Her page."""

    shared: tuple[Office, ...]
    looks: tuple[Seen, ...]
    unaccounted: tuple[Unaccounted, ...]
    ended: tuple[Ended, ...]
    opened: OwnLooks
    explained: tuple[str, ...] = Field(description="what taking back does, and what it does not do")


class Article(BaseModel):
    """What everybody else gets to read."""

    title: str
    paragraphs: tuple[str, ...]


class Opened(BaseModel):
    """The answer to every sign-in: of her own PIN with her case, of all others with an article."""

    session: str = Field(description="to be sent in the bodies of what follows; good for ten minutes of silence")
    article: Article | None
    case: MyCase | None


class TakenBack(BaseModel):
    """What ended. `call` is None where nothing was left to end."""

    call: UUID | None
    taken_back_at: datetime
    ended: tuple[Ended, ...]
    stays: tuple[Office, ...] = Field(description="what these offices may read all the same, and until when")
    explained: tuple[str, ...]


class NewClaim(Body):
    """What she chose at the cell. The code word is what she says on the telephone, so that it is she who undoes."""

    pin: Typed
    duress_pin: Typed | None = None
    code_word: Annotated[SecretStr, Field(min_length=4, max_length=60)]
    language: Language = "ur"


class ClaimIssued(BaseModel):
    """Her code. It is on paper only if she wants."""

    case: str
    claim: UUID
    code: str
    address: str
    issued_at: datetime


class Paper(Body):
    """In which language; absent: the one she chose."""

    language: Language | None = None


class ClaimEnded(BaseModel):
    """Since when no code opens the case's page."""

    case: str
    ended_at: datetime


class TakenFromAfar(BaseModel):
    """A consent that she took back on her page."""

    consent: UUID
    agency: Agency
    organisation: str
    categories: tuple[Category, ...]
    undone_at: datetime | None


CallReason = Literal["withdrawn_from_afar", "emergency_opened", "disclosed_outside"]
"""What she is to be told, or asked: by voice, since not everybody has a page of her own."""


class CallShown(BaseModel):
    """A call that the cell owes her, by the safe channel; `withdrawn` is empty but after `withdrawn_from_afar`."""

    call: UUID
    case: str
    cell: str
    reason: CallReason
    at: datetime
    withdrawn: tuple[TakenFromAfar, ...]


class CallsListed(BaseModel):
    """Calls that nobody has made yet, oldest first."""

    items: tuple[CallShown, ...]
    next: str | None


class CallDone(BaseModel):
    """When the call was made."""

    call: UUID
    done_at: datetime


class Undo(Body):
    """She wants back what she took away in one go. Where others decided with her, they decide anew."""

    call: UUID
    code_word: Typed
    deciders: Annotated[tuple[Decider, ...], Field(max_length=20)] | None = None
    language: ShortText | None = None
    taken_by: ShortText | None = None
    witness: ShortText | None = None


class Undone(BaseModel):
    """What is shared again, under new consents, and which of the old ones had run out meanwhile."""

    case: str
    call: UUID
    consents: tuple[ConsentRecorded, ...]
    run_out: tuple[UUID, ...]
