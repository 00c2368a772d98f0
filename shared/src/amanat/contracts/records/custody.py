"""One half of a kit's way from hand to hand: a release or a receipt, attested by who recorded it."""

from typing import Annotated, Literal

from pydantic import Field

from amanat.categories import Agency, Category
from amanat.contracts.base import Part, Record
from amanat.contracts.values import Barcode, Celsius, Flag, Identifier, Line, Moment, Paragraph, Sha256


class Counterpart(Part):
    """An organisation at either end of the transfer."""

    agency: Annotated[Agency | None, Category.LABORATORY] = None
    organisation: Annotated[Identifier | None, Category.LABORATORY] = None


class Attestation(Part):
    """Who recorded the half: the token's subject and id, when, and the SHA-256 of the request's canonical body."""

    subject: Annotated[Line | None, Category.LABORATORY] = None
    token_id: Annotated[Line | None, Category.LABORATORY] = None
    at: Annotated[Moment | None, Category.LABORATORY] = None
    sha256: Annotated[Sha256 | None, Category.LABORATORY] = None


class CustodyHalf(Record):
    """A release or a receipt. All of it is `laboratory`, so that a disclosed half is whole; times are the holder's.

    Whose half it is of which kit stands beside it where it is kept and reported; `half`, `barcode` and `holder` are
    filled in when it goes on to others, and are no part of what its holder attested.
    """

    half: Annotated[Literal["release", "receipt"] | None, Category.LABORATORY] = None
    barcode: Annotated[Barcode | None, Category.LABORATORY] = None
    holder: Annotated[Counterpart | None, Category.LABORATORY] = None
    counterpart: Annotated[Counterpart | None, Category.LABORATORY] = None
    at: Annotated[Moment | None, Category.LABORATORY] = None
    place: Annotated[Line | None, Category.LABORATORY] = None
    purpose: Annotated[Line | None, Category.LABORATORY] = None
    seal_number: Annotated[Line | None, Category.LABORATORY] = None
    seal_intact: Annotated[Flag | None, Category.LABORATORY] = None
    condition: Annotated[Paragraph | None, Category.LABORATORY] = None
    temperature_c: Annotated[Celsius | None, Category.LABORATORY] = None
    road_certificate: Annotated[Line | None, Category.LABORATORY] = None
    person_name: Annotated[Line | None, Category.LABORATORY] = None
    person_rank: Annotated[Line | None, Category.LABORATORY] = None
    person_identity_no: Annotated[Line | None, Category.LABORATORY] = None
    accepted: Annotated[Flag | None, Category.LABORATORY] = None
    rejection_reasons: Annotated[tuple[Line, ...], Field(max_length=50), Category.LABORATORY] = ()
    discrepancy: Annotated[Paragraph | None, Category.LABORATORY] = None
    attestation: Annotated[Attestation | None, Category.LABORATORY] = None
