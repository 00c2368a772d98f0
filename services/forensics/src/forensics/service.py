"""What a laboratory does with a kit: receive it, known or not, report on it, hand it back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.agency.custody import (
    KINDS,
    Half,
    check_counterpart,
    half_fields,
    half_of,
    half_recorded,
    keep_half,
)
from amanat.agency.instruments import Instruments
from amanat.agency.reading import open_own
from amanat.agency.recording import By, fields_of, keep
from amanat.agency.schemas import HalfRecorded, Reported
from amanat.categories import Agency
from amanat.consent import own
from amanat.contracts.forensics import KitReported
from amanat.contracts.records import CustodyHalf, LaboratoryReport
from amanat.custody import NewHalf, attested, canonical_sha256
from amanat.db import AnyRow
from amanat.errors import NotFound
from amanat.principal import Principal
from forensics import repository
from forensics.errors import KitNotAccepted
from forensics.models import parcels
from forensics.schemas import NewReport

COLUMN = "sealed"
PARCELS = ledger.Source(
    parcels, ("tenant", "id", "barcode", "recorded_at", "recorded_by"), sealed=(COLUMN,), bound=("tenant", "barcode")
)
REPORTED = "reported"
_UNMATCHED = Counter("amanat_unmatched_parcels_total", "Parcels received that no known kit explains", ["organisation"])
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Laboratory:
    """The organisation in whose name a parcel that waited is recorded."""

    organisation: str
    agency: Agency = Agency.FORENSICS


async def receive(
    session: AsyncSession,
    principal: Principal,
    barcode: str,
    half: Half,
    body: NewHalf,
    now: datetime,
    instruments: Instruments,
) -> HalfRecorded:
    """Keeps a receipt. A barcode that is not known here, or is another's, gets the same answer; it is kept as an
    unmatched parcel with an alarm. Raises UnknownCounterpart.
    """
    check_counterpart(instruments.directory, body.counterpart)
    by, kept = By.principal(principal), attested(body, principal, now)
    await repository.one_at_a_time(session, by.access, barcode)
    referral = await repository.lock_referral(session, by.access, repository.of_kit(by.access, barcode))
    if referral is None:
        record_id = await _keep_parcel(session, by, barcode, kept, now, instruments)
    else:
        record_id = await keep_half(
            session, by, referral, barcode, half, kept,
            becomes=_state(referral.state, kept), now=now, instruments=instruments,
        )  # fmt: skip
    return HalfRecorded(barcode=barcode, half=half, attestation=record_id, sha256=canonical_sha256(kept))


async def received(
    session: AsyncSession, principal: Principal, barcode: str, half: Half, record_id: UUID, instruments: Instruments
) -> HalfRecorded | None:
    """The answer to a replayed receipt, whether its parcel has been matched meanwhile or not."""
    made = await half_recorded(session, principal, barcode, half, record_id, instruments)
    if made is not None:
        return made
    row = await repository.find_parcel(session, own(principal), record_id)
    if row is None:
        return None
    kept = _open_parcel(instruments, row)
    return HalfRecorded(barcode=barcode, half=half, attestation=record_id, sha256=canonical_sha256(kept))


async def match_parcels(
    session: AsyncSession, referral: str, organisation: str, barcode: str, now: datetime, instruments: Instruments
) -> None:
    """A kit was announced: receipts that waited for it become records of its referral, and go to the gate.

    Raises LookupError when parcels wait and the referral is not here; the event is parked until it is.
    """
    access = own(Laboratory(organisation))
    await repository.one_at_a_time(session, access, barcode)
    for parcel in await repository.unmatched(session, access, barcode):
        locked = await repository.lock_referral(session, access, repository.of_code(referral))
        if locked is None:
            raise LookupError("a kit of a referral that is not here")
        kept = _open_parcel(instruments, parcel)
        token_id = (kept.attestation.token_id if kept.attestation else None) or ""
        await keep_half(
            session, By(access, parcel.recorded_by, token_id), locked, barcode, "receipt", kept,
            becomes=_state(locked.state, kept), now=now, instruments=instruments,
            record_id=parcel.id, recorded_at=parcel.recorded_at,
        )  # fmt: skip
        await repository.set_matched(session, access, parcel.id, now)


async def report_kit(
    session: AsyncSession, principal: Principal, barcode: str, body: NewReport, now: datetime, instruments: Instruments
) -> Reported:
    """Reports on a kit that this laboratory received and accepted; a later one supplements an earlier.

    Raises NotFound, KitNotAccepted.
    """
    by = By.principal(principal)
    referral = await repository.lock_referral(session, by.access, repository.of_kit(by.access, barcode))
    if referral is None:
        raise NotFound
    if not await _accepted(session, by, referral.code, barcode, instruments):
        raise KitNotAccepted
    record = LaboratoryReport.model_validate(body.model_dump())
    record_id = await keep(
        session,
        by,
        referral,
        kind="laboratory_report",
        fields={"barcode": barcode, **fields_of(record)},
        fact=KitReported(referral=referral.code, barcode=barcode, record=record),
        becomes=REPORTED,
        now=now,
        instruments=instruments,
    )
    return Reported(referral=referral.code, state=REPORTED, record=record_id)


async def kit_reported(session: AsyncSession, principal: Principal, barcode: str, record: UUID) -> Reported:
    """The answer to a replay, as it stands now. Raises NotFound."""
    access = own(principal)
    referral = await repository.lock_referral(session, access, repository.of_kit(access, barcode))
    if referral is None:
        raise NotFound
    return Reported(referral=referral.code, state=referral.state, record=record)


async def _accepted(session: AsyncSession, by: By, referral: str, barcode: str, instruments: Instruments) -> bool:
    receipts = await repository.own_of(session, by.access, referral, [KINDS["receipt"]])
    opened = [open_own(instruments, row, by.access.organisation, referral) for row in receipts]
    of_kit = [fields for fields in opened if fields["barcode"] == barcode]
    return bool(of_kit) and of_kit[-1].get("accepted") is True


async def _keep_parcel(
    session: AsyncSession, by: By, barcode: str, kept: CustodyHalf, now: datetime, instruments: Instruments
) -> UUID:
    parcel_id, tenant, fields = instruments.new_id(), by.access.organisation, half_fields(barcode, kept)
    plaintext = json.dumps(fields).encode()
    row = {
        "tenant": tenant,
        "id": parcel_id,
        "barcode": barcode,
        "sealed": instruments.at_rest.seal(plaintext, **PARCELS.at(COLUMN, parcel_id, tenant, barcode)),
        "recorded_at": now,
        "recorded_by": by.subject,
    }
    await repository.add_parcel(session, row)
    statement = PARCELS.statement("unmatched_parcel", barcode, now, row, {COLUMN: plaintext}, token=by.token_id)
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)
    _UNMATCHED.labels(tenant).inc()
    _log.warning("unmatched_parcel", organisation=tenant, parcel=str(parcel_id))
    return parcel_id


def _open_parcel(instruments: Instruments, parcel: AnyRow) -> CustodyHalf:
    place = PARCELS.at(COLUMN, parcel.id, parcel.tenant, parcel.barcode)
    opened = instruments.at_rest.open(parcel.sealed, **place)
    return half_of(json.loads(opened))


def _state(now: str, kept: CustodyHalf) -> str | None:
    """What a receipt makes of the referral: accepted or rejected, unless something was reported already."""
    if now == REPORTED:
        return None
    return "accepted" if kept.accepted else "rejected"
