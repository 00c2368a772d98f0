"""Kits and custody: halves come from the cell's own tokens or as facts, and are matched here.

A release names who should receive; a receipt matches the oldest open release of that barcode to it. A half that stays
without its other one, a release recorded after its receipt or by somebody whom the kit is not with, and a parcel that
was long on its way are gaps: every holder is a future witness (DOMAIN.md, Custody).
"""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import verify
from amanat.categories import Agency
from amanat.clocks import due
from amanat.consent import own
from amanat.contracts.records import CustodyHalf
from amanat.custody import NewHalf, attested, canonical_sha256
from amanat.db import AnyRow
from amanat.errors import NotFound
from amanat.principal import Principal
from intake import schemas
from intake.changes import Changes
from intake.errors import AmbiguousKit, KitExists, unknown_recipient
from intake.repository import cases, custody
from intake.service.clocks import as_clock
from intake.service.documents import as_document, open_half
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, amend_all, load, plan_all, save, setting_of
from intake.service.sharing import announce_kit
from intake.service.sources import HALVES, line

Half = Literal["release", "receipt"]
SKEW = timedelta(seconds=verify.LATE_S)
"""Two services' clocks may differ by that much before an order of recording says anything."""
ON_THE_WAY = timedelta(seconds=verify.ON_THE_WAY_S)
"""How long a parcel may be on its way: what the cell is alarmed of and what a court is told have one number."""
UNMATCHED = {"release": "release_without_receipt", "receipt": "receipt_without_release"}
OTHER: dict[Half, Half] = {"release": "receipt", "receipt": "release"}


class HalfWithoutCounterpart(ValueError):
    """A half that names nobody at its other end cannot be matched; its event is parked."""


async def open_kit(
    session: AsyncSession,
    principal: Principal,
    code: str,
    body: schemas.NewKit,
    now: datetime,
    instruments: Instruments,
) -> schemas.KitOpened:
    """Opens a kit on a case and tells the barcode to the police and the laboratory that share the case.

    Raises NotFound, KitExists.
    """
    case = await load(session, own(principal), principal.cells, code, instruments)
    if await custody.find_kits(session, [case.tenant], body.barcode):
        raise KitExists
    try:
        await custody.add_kit(session, tenant=case.tenant, barcode=body.barcode, case=code, now=now)
    except IntegrityError as error:
        raise KitExists from error
    await cases.start_clocks(
        session, case.tenant, code, [as_clock(item) for item in due(instruments.clock_rules, "kit_sealed", now)]
    )
    changes = Changes()
    changes.timeline.append(
        {"at": now, "kind": "kit_opened", "agency": None, "organisation": None, "referral": None,
         "detail": {"barcode": body.barcode}}
    )  # fmt: skip
    changes.state("kit_opened", body.barcode, case=code)
    minter = instruments.minter()
    setting = setting_of(case, minter, instruments, now, opens=False)
    plan_all(changes, case, setting)
    for referral in case.referrals:
        case.replace(announce_kit(changes, referral, body.barcode, setting))
    await save(session, case, changes, minter, instruments, now)
    return schemas.KitOpened(case=code, barcode=body.barcode)


async def record_own_half(
    session: AsyncSession,
    principal: Principal,
    barcode: str,
    half: Half,
    body: NewHalf,
    now: datetime,
    instruments: Instruments,
) -> schemas.HalfRecorded:
    """Attests a half that the cell itself holds. Raises NotFound for a kit of another cell, UnknownRecipient."""
    kit = await _own_kit(session, principal, barcode)
    agency, organisation = body.counterpart.agency, body.counterpart.organisation
    if agency is not Agency.INTAKE and not instruments.directory.serves(agency, organisation, kit.tenant):
        raise unknown_recipient("/counterpart")
    case = await load(session, own(principal), [kit.tenant], kit.case_code, instruments)
    kept = attested(body, principal, now)
    half_id = await record_half(
        session, case, barcode=barcode, half=half,
        holder=(Agency.INTAKE, kit.tenant), body=kept, now=now, instruments=instruments,
    )  # fmt: skip
    return schemas.HalfRecorded(barcode=barcode, half=half, attestation=half_id, sha256=canonical_sha256(kept))


async def half_recorded(
    session: AsyncSession, principal: Principal, barcode: str, attestation: str, instruments: Instruments
) -> schemas.HalfRecorded:
    """A half that the cell recorded before. Raises NotFound."""
    kit = await _own_kit(session, principal, barcode)
    for row in await custody.read_halves(session, own(principal), kit.tenant, [barcode]):
        if str(row.id) == attestation:
            sha256 = canonical_sha256(open_half(row, instruments))
            return schemas.HalfRecorded(barcode=barcode, half=row.half, attestation=row.id, sha256=sha256)
    raise NotFound


async def _own_kit(session: AsyncSession, principal: Principal, barcode: str) -> AnyRow:
    """The kit of this barcode. Raises NotFound, AmbiguousKit if two of the client's cells have one."""
    found = await custody.find_kits(session, principal.cells, barcode)
    if not found:
        raise NotFound
    if len(found) > 1:
        raise AmbiguousKit
    return found[0]


async def record_half(
    session: AsyncSession,
    case: LoadedCase,
    *,
    barcode: str,
    half: Half,
    holder: tuple[Agency, str],
    body: CustodyHalf,
    now: datetime,
    instruments: Instruments,
) -> UUID:
    """Keeps one half, matches it, puts it, and any gap, on the timeline, and sends it on under others' grants.

    Raises HalfWithoutCounterpart.
    """
    tenant, half_id = case.tenant, instruments.new_id()
    if body.counterpart is None or body.counterpart.agency is None or body.counterpart.organisation is None:
        raise HalfWithoutCounterpart
    counterpart = (body.counterpart.agency, body.counterpart.organisation)
    at = body.at or now
    other = await custody.oldest_open(session, tenant, barcode, OTHER[half], counterpart, holder)
    row = {
        "id": half_id,
        "tenant": tenant,
        "barcode": barcode,
        "half": half,
        "holder_agency": holder[0],
        "holder_organisation": holder[1],
        "counterpart_agency": counterpart[0],
        "counterpart_organisation": counterpart[1],
        "sealed": instruments.at_rest.seal(body.body(), **HALVES.at("sealed", half_id, tenant, barcode)),
        "recorded_at": now,
    }
    entries = [_entry(now, f"kit_{half}", holder, barcode=barcode, counterpart=counterpart[1])]
    # Asked at once: a holder's own halves come over one way and in their order, whatever others' do.
    if half == "release" and await custody.held(session, tenant, barcode, holder) < 1:
        entries.append(_entry(now, "custody_gap", holder, barcode=barcode, gap="released_by_no_holder"))
    await custody.add_half(session, row)
    if other is not None:
        release, receipt = (half_id, other.id) if half == "release" else (other.id, half_id)
        await custody.add_match(session, tenant=tenant, release=release, receipt=receipt, now=now)
        before = open_half(other, instruments)
        pair = ((body, now), (before, other.recorded_at))
        given, taken = pair if half == "release" else pair[::-1]
        took = _recorded(*taken) - _recorded(*given)
        if -took > SKEW:
            entries.append(_entry(now, "custody_gap", holder, barcode=barcode, gap="release_recorded_late"))
        if max(took, (taken[0].at or taken[1]) - (given[0].at or given[1])) > ON_THE_WAY:
            entries.append(_entry(now, "custody_gap", holder, barcode=barcode, gap="long_on_the_way"))
        if _seals_differ(body, before):
            entries.append(_entry(now, "custody_gap", holder, barcode=barcode, gap="seal_numbers_differ"))
    if body.seal_intact is False:
        entries.append(_entry(now, "custody_gap", holder, barcode=barcode, gap="seal_broken"))
    await cases.add_timeline(session, tenant, case.code, entries)
    if half == "receipt" and holder[0] is Agency.FORENSICS:
        await cases.stop_clock(session, tenant, case.code, ("dna_to_laboratory",), at)
    document = as_document(half_id, body, half, barcode, holder, now)
    case.documents.append(document)
    changes, minter = Changes(), instruments.minter()
    changes.ledger.append(line(HALVES, f"custody_{half}", barcode, row, sealed=body.body()))
    # A half opens nothing new; what has expired meanwhile ends first, so that the half does not go on under it.
    setting = setting_of(case, minter, instruments, now, opens=False, must_fit=False)
    plan_all(changes, case, setting)
    amend_all(changes, case, [document], setting)
    await save(session, case, changes, minter, instruments, now)
    return half_id


def _seals_differ(one: CustodyHalf, other: CustodyHalf) -> bool:
    numbers = {half.seal_number.strip().upper() for half in (one, other) if half.seal_number is not None}
    return len(numbers) > 1


async def note_unmatched(
    session: AsyncSession, tenant: str, case: str, receipts_before: datetime, releases_before: datetime, now: datetime
) -> None:
    """Puts halves on the timeline that have waited too long for their other one, each once.

    Not at once: the two holders report over different topics, and the later of two acts may be heard of first.
    """
    if await cases.lock_case(session, [tenant], case) is None:
        return
    rows = await custody.unmatched(session, tenant, case, receipts_before, releases_before)
    entries = [
        _entry(
            now,
            "custody_gap",
            (Agency(row.holder_agency), row.holder_organisation),
            barcode=row.barcode,
            gap=UNMATCHED[row.half],
            attestation=str(row.id),
        )
        for row in rows
    ]
    if entries:
        await cases.add_timeline(session, tenant, case, entries)
        await cases.touch_case(session, tenant, case)


def _recorded(half: CustodyHalf, kept: datetime) -> datetime:
    """When its holder recorded it, by the attestation; what bears none is recorded when the cell kept it."""
    return half.attestation.at if half.attestation is not None and half.attestation.at is not None else kept


def _entry(at: datetime, kind: str, holder: tuple[Agency, str], **detail: Any) -> dict[str, Any]:
    return {
        "at": at, "kind": kind, "agency": holder[0], "organisation": holder[1], "referral": None, "detail": detail,
    }  # fmt: skip
