"""Who looked: the looks that agencies told of, the cell's own, and the leases that none of them accounts for."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, exists, func, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency
from amanat.consent import Access
from amanat.db import AnyRow
from amanat.tables import looks
from intake.break_glass.models import emergency_looks
from intake.models import agency_looks, leases, referrals
from intake.repository.cases import own_only, page_of

_TOLD = (
    leases.c.id,
    leases.c.at,
    leases.c.categories,
    leases.c.referral,
    referrals.c.agency,
    referrals.c.organisation,
)
_OPEN = (leases.c.accounted_at.is_(None), leases.c.alarmed_at.is_(None))


async def add_looks(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Append looks that an agency told of; returns those that were not known, in their order."""
    added = await session.scalars(
        insert(agency_looks)
        .values(list(rows))
        .on_conflict_do_nothing(index_elements=["tenant", "referral", "look_id"])
        .returning(agency_looks.c.id)
    )
    new = set(added)
    return [row for row in rows if row["id"] in new]


async def read_looks(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The looks at a case as {agency, organisation, categories, purpose, first_at, last_at, times}, newest last: those
    that agencies told of, and the cells' own.
    """
    told = (
        select(
            referrals.c.agency.label("agency"),
            referrals.c.organisation.label("organisation"),
            agency_looks.c.categories.label("categories"),
            agency_looks.c.purpose.label("purpose"),
            *_counted(agency_looks.c.at),
        )
        .join(referrals, and_(referrals.c.code == agency_looks.c.referral, referrals.c.tenant == agency_looks.c.tenant))
        .where(agency_looks.c.tenant == tenant, agency_looks.c.case_code == case, own_only(access))
        .group_by(referrals.c.agency, referrals.c.organisation, agency_looks.c.categories, agency_looks.c.purpose)
    )
    # In an emergency it was another cell's clinician who looked.
    cell = func.coalesce(emergency_looks.c.clinician_cell, looks.c.tenant)
    own = (
        select(
            literal(Agency.INTAKE.value, Text),
            cell.label("organisation"),
            looks.c.categories,
            looks.c.purpose,
            *_counted(looks.c.at),
        )
        .outerjoin(
            emergency_looks, and_(emergency_looks.c.look_id == looks.c.id, emergency_looks.c.tenant == looks.c.tenant)
        )
        .where(looks.c.tenant == tenant, looks.c.referral == case, own_only(access))
        .group_by(cell, looks.c.categories, looks.c.purpose)
    )
    both = union_all(told, own).subquery("both")
    statement = select(both).order_by(
        both.c.last_at, both.c.agency, both.c.organisation, both.c.purpose, both.c.categories
    )
    return (await session.execute(statement)).all()


def _counted(at: ColumnElement[datetime]) -> tuple[ColumnElement[Any], ...]:
    return func.min(at).label("first_at"), func.max(at).label("last_at"), func.count().label("times")


async def account(
    session: AsyncSession, tenant: str, case: str, before: timedelta, after: timedelta, now: datetime
) -> Sequence[AnyRow]:
    """Note which of the case's leases a look accounts for: one between `before` the lease and `after` it. Returns
    those that were alarmed of. The case is locked by the caller.
    """
    looked = exists().where(
        agency_looks.c.tenant == leases.c.tenant,
        agency_looks.c.referral == leases.c.referral,
        agency_looks.c.at.between(leases.c.at - before, leases.c.at + after),
    )
    noted = await session.execute(
        update(leases)
        .where(*_of_case(tenant, case), leases.c.accounted_at.is_(None), looked)
        .values(accounted_at=now)
        .returning(*_TOLD, leases.c.alarmed_at)
    )
    return _in_order(row for row in noted if row.alarmed_at is not None)


async def cases_with_unaccounted(
    session: AsyncSession, leased_before: datetime, limit: int, skip: int = 0
) -> list[tuple[str, str]]:
    """(tenant, case) of leases from before this time that no look accounts for and no alarm was raised of."""
    statement = (
        select(referrals.c.tenant, referrals.c.case_code)
        .join(leases, and_(leases.c.referral == referrals.c.code, leases.c.tenant == referrals.c.tenant))
        .where(leases.c.at <= leased_before, *_OPEN)
        .group_by(referrals.c.tenant, referrals.c.case_code)
        .order_by(func.min(leases.c.at), referrals.c.case_code)
    )
    return await page_of(session, statement, limit, skip)


async def note_unaccounted(
    session: AsyncSession, tenant: str, case: str, leased_before: datetime, now: datetime
) -> Sequence[AnyRow]:
    """Say that these leases are on the timeline now; returns them. The case is locked by the caller."""
    noted = await session.execute(
        update(leases)
        .where(*_of_case(tenant, case), leases.c.at <= leased_before, *_OPEN)
        .values(alarmed_at=now)
        .returning(*_TOLD)
    )
    return _in_order(noted)


def _of_case(tenant: str, case: str) -> tuple[ColumnElement[bool], ...]:
    return (
        leases.c.tenant == tenant,
        referrals.c.tenant == tenant,
        referrals.c.case_code == case,
        referrals.c.code == leases.c.referral,
    )


def _in_order(rows: Iterable[AnyRow]) -> list[AnyRow]:
    return sorted(rows, key=lambda row: (row.at, row.id))
