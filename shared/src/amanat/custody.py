"""Custody halves as their holder attests them, the same at intake, police-link and forensics.

A half is an attestation: subject, token id, time, and the SHA-256 of the canonical body. Every holder is a future
witness (DOMAIN.md, "Custody"; NIJ best practices: every release and receipt logged).
"""

import hashlib
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from amanat import canonical
from amanat.categories import Agency
from amanat.contracts.records.custody import Attestation, Counterpart, CustodyHalf
from amanat.contracts.values import Celsius, Flag, Identifier, Line, Moment, Paragraph
from amanat.principal import Principal


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedCounterpart(_Body):
    """The organisation at the other end, by its name in the directory."""

    agency: Agency
    organisation: Identifier


class NewHalf(_Body):
    """What a holder says of one release or receipt. Who says it comes from the token, never from here."""

    counterpart: NamedCounterpart
    at: Moment | None = Field(default=None, description="when it changed hands; the time of recording when absent")
    place: Line | None = None
    purpose: Line | None = None
    seal_number: Line | None = None
    seal_intact: Flag | None = None
    condition: Paragraph | None = None
    temperature_c: Celsius | None = None
    road_certificate: Line | None = None
    person_name: Line | None = None
    person_rank: Line | None = None
    person_identity_no: Line | None = None
    discrepancy: Paragraph | None = None


class NewReceiptAtLaboratory(NewHalf):
    """A receipt with the laboratory's decision: the seal verified or not, accepted or rejected with reasons."""

    accepted: Flag
    rejection_reasons: Annotated[tuple[Line, ...], Field(max_length=50)] = ()


def attested(body: NewHalf, principal: Principal, now: datetime) -> CustodyHalf:
    """The half as it is kept and as it travels: the body, the time it happened, and its attestation."""
    half = CustodyHalf(
        **{
            **body.model_dump(exclude={"counterpart"}),
            "counterpart": Counterpart(agency=body.counterpart.agency, organisation=body.counterpart.organisation),
            "at": body.at or now,
        }
    )
    attestation = Attestation(
        subject=principal.subject, token_id=principal.token_id, at=now, sha256=canonical_sha256(half)
    )
    return half.model_copy(update={"attestation": attestation})


def canonical_sha256(half: CustodyHalf) -> str:
    """SHA-256 in hexadecimal of the half's canonical JSON (RFC 8785), without its attestation."""
    return hashlib.sha256(
        canonical.dumps(half.model_dump(mode="json", exclude={"attestation"}, exclude_none=True))
    ).hexdigest()
