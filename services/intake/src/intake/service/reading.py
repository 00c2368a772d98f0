"""A case as its own cell reads it. The look is on record before anything is opened (law 6)."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import PERSONAL, Agency
from amanat.consent import own
from amanat.contracts.records import RECORDS
from amanat.db import Database
from amanat.errors import NotFound
from amanat.looks import fetch
from amanat.principal import Principal
from intake import schemas
from intake.repository import cases, consents, custody, looks
from intake.service.documents import open_half
from intake.service.instruments import Instruments
from intake.service.loading import as_referral, load_grants
from intake.service.referrals import state_of
from intake.service.sources import HALVES, RECORDS_OF_CASES

PURPOSE = "care"


async def look_at_case(
    database: Database, principal: Principal, code: str, now: datetime, instruments: Instruments
) -> Sequence[Row[Any]]:
    """The case's rows, sealed; the look, or the refusal, is committed. Raises NotFound."""
    rows = await fetch(
        database,
        tenants=principal.tenants,
        look=instruments.look(
            principal,
            tenant=await keeper(database, principal, code),
            code=code,
            purpose=PURPOSE,
            categories=PERSONAL,
            at=now,
        ),
        statement=cases.case_statement(own(principal), principal.tenants, code),
    )
    if not rows:
        raise NotFound
    return rows


async def keeper(database: Database, principal: Principal, code: str) -> str:
    """The cell on whose record a look goes: the one that keeps the case, whichever else the client serves."""
    if principal.cells == {principal.organisation}:
        return principal.organisation
    async with database.transaction(principal.tenants) as session:
        tenant = await cases.tenant_of(session, own(principal), principal.cells, code)
    return tenant or principal.organisation


async def show_case(
    session: AsyncSession, principal: Principal, rows: Sequence[Row[Any]], now: datetime, instruments: Instruments
) -> schemas.CaseShown:
    """The whole case with one timeline. `rows` come from `look_at_case`: without a look there is nothing to show."""
    first, access = rows[0], own(principal)
    tenant, code = first.tenant, first.code
    return schemas.CaseShown(
        case=code,
        cell=tenant,
        opened_at=first.opened_at,
        presented_at=first.presented_at,
        records=tuple(_record(row, instruments) for row in rows if row.record_id is not None),
        referrals=await _states(session, principal, code, instruments),
        clocks=tuple(
            schemas.ClockShown(
                kind=row.kind,
                trigger_at=row.trigger_at,
                due_at=row.due_at,
                met_at=row.met_at,
                overdue=(row.met_at or now) > row.due_at,
                source=row.source,
            )
            for row in await cases.read_clocks(session, access, tenant, code)
        ),
        kits=await _kits(session, principal, tenant, code, instruments),
        timeline=tuple(
            schemas.TimelineEntry(
                at=row.at,
                kind=row.kind,
                agency=row.agency,
                organisation=row.organisation,
                referral=row.referral,
                detail=row.detail,
            )
            for row in await cases.read_timeline(session, access, tenant, code)
        ),
        looks=tuple(
            schemas.LooksShown(
                agency=row.agency,
                organisation=row.organisation,
                categories=tuple(row.categories),
                purpose=row.purpose,
                first_at=row.first_at,
                last_at=row.last_at,
                times=row.times,
            )
            for row in await looks.read_looks(session, access, tenant, code)
        ),
    )


def _record(row: Row[Any], instruments: Instruments) -> schemas.RecordShown:
    whose = (row.record_id, row.tenant, row.code)
    opened = instruments.at_rest.open(row.sealed, **RECORDS_OF_CASES.at("sealed", *whose))
    reason = (
        instruments.at_rest.open(row.reason_sealed, **RECORDS_OF_CASES.at("reason_sealed", *whose))
        if row.reason_sealed is not None
        else None
    )
    record = RECORDS[row.kind].parse(opened)
    return schemas.RecordShown(
        record=row.record_id,
        kind=row.kind,
        author=f"{row.author_agency}/{row.author_organisation}",
        recorded_at=row.recorded_at,
        corrects=row.corrects,
        corrected_by=row.corrected_by,
        reason=reason.decode() if reason is not None else None,
        content=record.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    )


async def _kits(
    session: AsyncSession, principal: Principal, tenant: str, code: str, instruments: Instruments
) -> tuple[schemas.KitShown, ...]:
    access = own(principal)
    kits = await custody.read_kits(session, access, tenant, code)
    halves = await custody.read_halves(session, access, tenant, [kit.barcode for kit in kits])
    return tuple(
        schemas.KitShown(
            barcode=kit.barcode,
            opened_at=kit.opened_at,
            halves=tuple(_half(row, instruments) for row in halves if row.barcode == kit.barcode),
            gaps=tuple(
                sorted({gap for row in halves if row.barcode == kit.barcode for gap in _gaps(row, instruments)})
            ),
        )
        for kit in kits
    )


def _half(row: Row[Any], instruments: Instruments) -> dict[str, Any]:
    opened = instruments.at_rest.open(row.sealed, **HALVES.at("sealed", row.id, row.tenant, row.barcode))
    content: Mapping[str, Any] = json.loads(opened)
    return {
        **content,
        "attestation_id": str(row.id),
        "half": row.half,
        "holder": {"agency": Agency(row.holder_agency), "organisation": row.holder_organisation},
        "recorded_at": row.recorded_at.isoformat(),
        "matched": row.release_id is not None,
    }


def _gaps(row: Row[Any], instruments: Instruments) -> list[str]:
    gaps = ["seal_broken"] if open_half(row, instruments).seal_intact is False else []
    if row.release_id is None:
        gaps.append("receipt_without_release" if row.half == "receipt" else "release_without_receipt")
    return gaps


async def version_of(session: AsyncSession, principal: Principal, code: str) -> Row[Any] | None:
    """The case's {version, looks_told} if it is one of this client's cells'; operational, so no look."""
    return await cases.version_of(session, own(principal), principal.cells, code)


async def must_be_own(session: AsyncSession, principal: Principal, code: str) -> None:
    """Raises NotFound unless the case is one of this client's cells'."""
    if await version_of(session, principal, code) is None:
        raise NotFound


async def opened(
    session: AsyncSession, principal: Principal, code: str, instruments: Instruments
) -> schemas.CaseOpened:
    """The answer to the request that opened a case, made anew: referrals as they stand now. Raises NotFound."""
    return schemas.CaseOpened(case=code, referrals=await _states(session, principal, code, instruments))


async def consent_recorded(
    session: AsyncSession, principal: Principal, code: str, consent: UUID, instruments: Instruments
) -> schemas.ConsentRecorded:
    """The answer to the request that recorded a consent, made anew. Raises NotFound."""
    tenant = await _tenant_of(session, principal, code)
    grants = await load_grants(session, own(principal), tenant, code, instruments)
    grant = next((grant for grant in grants if grant.grant_id == consent), None)
    states = await _states(session, principal, code, instruments)
    for state in states:
        if grant is not None and (state.agency, state.organisation) == (grant.agency, grant.organisation):
            return schemas.ConsentRecorded(case=code, consent=consent, referral=state)
    raise NotFound


async def _tenant_of(session: AsyncSession, principal: Principal, code: str) -> str:
    tenant = await cases.tenant_of(session, own(principal), principal.cells, code)
    if tenant is None:
        raise NotFound
    return tenant


async def _states(
    session: AsyncSession, principal: Principal, code: str, instruments: Instruments
) -> tuple[schemas.ReferralState, ...]:
    access = own(principal)
    tenant = await _tenant_of(session, principal, code)
    grants = await load_grants(session, access, tenant, code, instruments)
    rows = await consents.read_referrals(session, access, tenant, code)
    share_rows = await consents.read_shares(session, tenant, [row.code for row in rows])
    return tuple(state_of(as_referral(row, share_rows), row.progress, grants, instruments) for row in rows)
