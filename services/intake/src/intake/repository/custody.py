"""Kits and the halves of their custody. Halves are append-only; a match joins a release with its receipt."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency
from amanat.consent import Access
from amanat.db import AnyRow
from intake.models import custody_halves, custody_matches, kits, timeline
from intake.repository.cases import own_only, page_of


async def add_kit(session: AsyncSession, *, tenant: str, barcode: str, case: str, now: datetime) -> None:
    """Open a kit; a barcode that this cell used already raises IntegrityError."""
    await session.execute(insert(kits).values(tenant=tenant, barcode=barcode, case_code=case, opened_at=now))


async def find_kits(session: AsyncSession, tenants: Collection[str], barcode: str) -> Sequence[AnyRow]:
    """The kits of this barcode at these cells: a serial is unique within a cell only."""
    statement = select(kits).where(kits.c.tenant.in_(tenants), kits.c.barcode == barcode).order_by(kits.c.tenant)
    return (await session.execute(statement)).all()


async def barcodes_of(session: AsyncSession, tenant: str, case: str) -> list[str]:
    """Barcodes of the case's kits, oldest first."""
    statement = (
        select(kits.c.barcode)
        .where(kits.c.tenant == tenant, kits.c.case_code == case)
        .order_by(kits.c.opened_at, kits.c.barcode)
    )
    return list((await session.execute(statement)).scalars())


async def read_kits(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's kits, oldest first."""
    statement = (
        select(kits)
        .where(kits.c.tenant == tenant, kits.c.case_code == case, own_only(access))
        .order_by(kits.c.opened_at, kits.c.barcode)
    )
    return (await session.execute(statement)).all()


async def add_half(session: AsyncSession, values: dict[str, Any]) -> None:
    """Append one sealed half."""
    await session.execute(insert(custody_halves).values(**values))


async def read_halves(
    session: AsyncSession, access: Access, tenant: str, barcodes: Collection[str]
) -> Sequence[AnyRow]:
    """The halves of these kits in the order in which the cell learned of them, with their match."""
    statement = (
        select(custody_halves, custody_matches.c.release_id, custody_matches.c.receipt_id)
        .outerjoin(
            custody_matches,
            and_(
                custody_matches.c.tenant == custody_halves.c.tenant,
                (custody_matches.c.release_id == custody_halves.c.id)
                | (custody_matches.c.receipt_id == custody_halves.c.id),
            ),
        )
        .where(custody_halves.c.tenant == tenant, custody_halves.c.barcode.in_(barcodes), own_only(access))
        .order_by(custody_halves.c.position)
    )
    return (await session.execute(statement)).all()


async def held(session: AsyncSession, tenant: str, barcode: str, holder: tuple[str, str]) -> int:
    """How often the kit came to this (agency, organisation) more than it left: a kit begins with its cell.

    The kit's case is locked by the caller.
    """
    came = func.count().filter(custody_halves.c.half == "receipt")
    left = func.count().filter(custody_halves.c.half == "release")
    statement = select(came - left).where(
        custody_halves.c.tenant == tenant,
        custody_halves.c.barcode == barcode,
        custody_halves.c.holder_agency == holder[0],
        custody_halves.c.holder_organisation == holder[1],
    )
    begins = int(holder == (Agency.INTAKE, tenant))
    return begins + int((await session.execute(statement)).scalar_one())


async def oldest_open(
    session: AsyncSession,
    tenant: str,
    barcode: str,
    half: str,
    holder: tuple[str, str],
    counterpart: tuple[str, str],
) -> AnyRow | None:
    """The oldest unmatched half of this kind that `holder` recorded towards `counterpart`, both (agency, organisation).

    The kit's case is locked by the caller, so that two receipts never take the same release.
    """
    statement = (
        select(custody_halves)
        .where(
            custody_halves.c.tenant == tenant,
            custody_halves.c.barcode == barcode,
            custody_halves.c.half == half,
            custody_halves.c.holder_agency == holder[0],
            custody_halves.c.holder_organisation == holder[1],
            custody_halves.c.counterpart_agency == counterpart[0],
            custody_halves.c.counterpart_organisation == counterpart[1],
            ~_matched(),
        )
        .order_by(custody_halves.c.position)
        .limit(1)
    )
    return (await session.execute(statement)).one_or_none()


async def add_match(session: AsyncSession, *, tenant: str, release: UUID, receipt: UUID, now: datetime) -> None:
    """Join a release with its receipt."""
    await session.execute(
        insert(custody_matches).values(tenant=tenant, release_id=release, receipt_id=receipt, matched_at=now)
    )


async def cases_with_unmatched(
    session: AsyncSession, receipts_before: datetime, releases_before: datetime, limit: int, skip: int = 0
) -> list[tuple[str, str]]:
    """(tenant, case) of halves recorded before these times, unmatched and not yet on the timeline as such."""
    statement = (
        select(kits.c.tenant, kits.c.case_code)
        .join(
            custody_halves, and_(custody_halves.c.tenant == kits.c.tenant, custody_halves.c.barcode == kits.c.barcode)
        )
        .where(*_waiting_too_long(receipts_before, releases_before))
        .distinct()
        .order_by(kits.c.tenant, kits.c.case_code)
    )
    return await page_of(session, statement, limit, skip)


async def unmatched(
    session: AsyncSession, tenant: str, case: str, receipts_before: datetime, releases_before: datetime
) -> Sequence[AnyRow]:
    """The same halves of one case, in the order in which the cell learned of them."""
    statement = (
        select(custody_halves)
        .join(kits, and_(custody_halves.c.tenant == kits.c.tenant, custody_halves.c.barcode == kits.c.barcode))
        .where(kits.c.tenant == tenant, kits.c.case_code == case, *_waiting_too_long(receipts_before, releases_before))
        .order_by(custody_halves.c.position)
    )
    return (await session.execute(statement)).all()


def _waiting_too_long(receipts_before: datetime, releases_before: datetime) -> tuple[ColumnElement[bool], ...]:
    noted = exists().where(
        timeline.c.tenant == kits.c.tenant,
        timeline.c.case_code == kits.c.case_code,
        timeline.c.kind == "custody_gap",
        timeline.c.detail["attestation"].astext == cast(custody_halves.c.id, Text),
    )
    waits = or_(
        and_(custody_halves.c.half == "receipt", custody_halves.c.recorded_at <= receipts_before),
        and_(custody_halves.c.half == "release", custody_halves.c.recorded_at <= releases_before),
    )
    return (waits, ~_matched(), ~noted)


def _matched() -> ColumnElement[bool]:
    return exists().where(
        custody_matches.c.tenant == custody_halves.c.tenant,
        (custody_matches.c.release_id == custody_halves.c.id) | (custody_matches.c.receipt_id == custody_halves.c.id),
    )
