"""A kit's halves at an agency: kept as its own, attested, and sent to the gate, which matches them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency import repository
from amanat.agency.instruments import Instruments
from amanat.agency.reading import open_own
from amanat.agency.recording import By, fields_of, keep
from amanat.agency.schemas import HalfRecorded
from amanat.categories import Agency
from amanat.consent import own
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.records import CustodyHalf
from amanat.custody import NamedCounterpart, NewHalf, attested, canonical_sha256
from amanat.db import AnyRow
from amanat.directory import Directory
from amanat.errors import FieldError, InvalidInput, NotFound
from amanat.principal import Principal

Half = Literal["release", "receipt"]
KINDS: dict[Half, str] = {"release": "kit_released", "receipt": "kit_received"}
FACTS: dict[Half, type[KitReleased | KitReceived]] = {"release": KitReleased, "receipt": KitReceived}


class UnknownCounterpart(InvalidInput):
    code = "unknown-counterpart"
    title = "The directory knows no such organisation"
    title_ur = "ایسا کوئی ادارہ فہرست میں نہیں"


async def record_half(
    session: AsyncSession,
    principal: Principal,
    barcode: str,
    half: Half,
    body: NewHalf,
    now: datetime,
    instruments: Instruments,
) -> HalfRecorded | None:
    """Keeps a half that this organisation attests; None when no kit of that barcode was announced to it.

    Raises UnknownCounterpart (422).
    """
    check_counterpart(instruments.directory, body.counterpart)
    by = By.principal(principal)
    referral = await repository.lock_referral(session, by.access, repository.of_kit(by.access, barcode))
    if referral is None:
        return None
    kept = attested(body, principal, now)
    record_id = await keep_half(session, by, referral, barcode, half, kept, now=now, instruments=instruments)
    return HalfRecorded(barcode=barcode, half=half, attestation=record_id, sha256=canonical_sha256(kept))


async def record_known_half(
    session: AsyncSession,
    principal: Principal,
    barcode: str,
    half: Half,
    body: NewHalf,
    now: datetime,
    instruments: Instruments,
) -> HalfRecorded:
    """The same for a kit that must be known here. Raises NotFound, UnknownCounterpart."""
    recorded = await record_half(session, principal, barcode, half, body, now, instruments)
    if recorded is None:
        raise NotFound
    return recorded


async def keep_half(
    session: AsyncSession,
    by: By,
    referral: AnyRow,
    barcode: str,
    half: Half,
    kept: CustodyHalf,
    *,
    now: datetime,
    instruments: Instruments,
    becomes: str | None = None,
    record_id: UUID | None = None,
    recorded_at: datetime | None = None,
) -> UUID:
    """Writes an attested half of a referral that the caller has locked, and its fact."""
    fact = FACTS[half](referral=referral.code, barcode=barcode, half=kept)
    return await keep(
        session,
        by,
        referral,
        kind=KINDS[half],
        fields=half_fields(barcode, kept),
        fact=fact,
        becomes=becomes,
        now=now,
        instruments=instruments,
        record_id=record_id,
        recorded_at=recorded_at,
    )


async def half_recorded(
    session: AsyncSession, principal: Principal, barcode: str, half: Half, record_id: UUID, instruments: Instruments
) -> HalfRecorded | None:
    """The answer to a replay, rebuilt from the record; None when there is no such record of this organisation."""
    row = await repository.own_record(session, own(principal), record_id)
    if row is None:
        return None
    kept = half_of(open_own(instruments, row, principal.organisation, row.referral))
    return HalfRecorded(barcode=barcode, half=half, attestation=record_id, sha256=canonical_sha256(kept))


def half_fields(barcode: str, kept: CustodyHalf) -> dict[str, JsonValue]:
    """A half's fields as they are kept: the record's, and the barcode that it is of."""
    return {"barcode": barcode, **fields_of(kept)}


def half_of(fields: dict[str, JsonValue]) -> CustodyHalf:
    """The half of `half_fields`."""
    return CustodyHalf.model_validate({name: value for name, value in fields.items() if name != "barcode"})


def check_counterpart(directory: Directory, counterpart: NamedCounterpart) -> None:
    """Raises UnknownCounterpart: a half that names nobody of the directory could never be matched."""
    known = (
        directory.cell(counterpart.organisation)
        if counterpart.agency is Agency.INTAKE
        else directory.organisation(counterpart.agency, counterpart.organisation)
    )
    if known is None:
        raise UnknownCounterpart(
            [FieldError(pointer="/counterpart", code="unknown-counterpart", message="not in the directory")]
        )
