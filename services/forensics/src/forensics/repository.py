"""Forensics' SQL: parcels here, the rest as every agency's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.repository import lock_referral, of_code, of_kit, own_of, state_of
from amanat.consent import Access
from amanat.db import AnyRow
from forensics.models import parcels

__all__ = [
    "add_parcel",
    "find_parcel",
    "lock_referral",
    "of_code",
    "of_kit",
    "one_at_a_time",
    "own_of",
    "set_matched",
    "state_of",
    "unmatched",
]

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:parcel, 4703393))").bindparams(
    bindparam("parcel")
)


async def one_at_a_time(session: AsyncSession, access: Access, barcode: str) -> None:
    """Until this transaction ends nobody else takes in, or matches, this organisation's parcels of the barcode.

    Else a receipt that sees no kit, and an announcement that sees no parcel, could pass each other unseen.
    """
    await session.execute(_ONE_AT_A_TIME, {"parcel": f"parcel {access.organisation} {barcode}"})


async def add_parcel(session: AsyncSession, values: dict[str, Any]) -> None:
    """Keeps a parcel's receipt, sealed at rest, until its kit is known."""
    await session.execute(insert(parcels).values(**values))


async def unmatched(session: AsyncSession, access: Access, barcode: str) -> Sequence[AnyRow]:
    """The organisation's parcels of a barcode that no kit explains yet, oldest first."""
    statement = (
        select(parcels)
        .where(parcels.c.tenant == access.organisation, parcels.c.barcode == barcode, parcels.c.matched_at.is_(None))
        .order_by(parcels.c.recorded_at, parcels.c.id)
    )
    return (await session.execute(statement)).all()


async def find_parcel(session: AsyncSession, access: Access, parcel_id: UUID) -> AnyRow | None:
    """One of the organisation's parcels, matched or not."""
    statement = select(parcels).where(parcels.c.tenant == access.organisation, parcels.c.id == parcel_id)
    return (await session.execute(statement)).one_or_none()


async def set_matched(session: AsyncSession, access: Access, parcel_id: UUID, now: datetime) -> None:
    """Notes that the parcel's kit is known, and its receipt kept as the organisation's own record."""
    await session.execute(
        update(parcels).where(parcels.c.tenant == access.organisation, parcels.c.id == parcel_id).values(matched_at=now)
    )
