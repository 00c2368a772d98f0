"""Clinical emergencies: whose case it is, what they open, and who answers for them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from amanat.consent import Access
from amanat.db import AnyRow
from intake.break_glass.models import emergencies, emergency_looks, emergency_reviews
from intake.models import case_index, cases, records
from intake.repository.cases import own_only, page_of

LISTED = 200


async def locate_code(
    session: AsyncSession, access: Access, cells: Collection[str], code: str
) -> Sequence[tuple[str, str]]:
    """(cell, code) of the case, whichever of these cells keeps it."""
    statement = select(cases.c.tenant, cases.c.code).where(
        cases.c.code == code, cases.c.tenant.in_(cells), own_only(access)
    )
    return [(row.tenant, row.code) for row in await session.execute(statement)]


async def locate(
    session: AsyncSession, access: Access, field: str, digests: Mapping[str, bytes]
) -> Sequence[tuple[str, str]]:
    """(cell, code) of the cases that bear an identifier: of each cell by that cell's own digest, {cell: digest}."""
    statement = (
        select(cases.c.tenant, cases.c.code)
        .join(case_index, and_(case_index.c.case_code == cases.c.code, case_index.c.tenant == cases.c.tenant))
        .where(
            case_index.c.field == field,
            tuple_(case_index.c.tenant, case_index.c.digest).in_(list(digests.items())),
            own_only(access),
        )
        .distinct()
        .order_by(cases.c.tenant, cases.c.code)
    )
    return [(row.tenant, row.code) for row in await session.execute(statement)]


async def add_emergency(session: AsyncSession, row: dict[str, Any]) -> None:
    """Append one emergency."""
    await session.execute(insert(emergencies).values(**row))


async def find_of_clinician(
    session: AsyncSession, access: Access, cell: str, subject: str, emergency: UUID
) -> AnyRow | None:
    """The clinician's own emergency, {tenant, case_code}: over or not, whichever cell's case it is of."""
    statement = select(emergencies.c.tenant, emergencies.c.case_code).where(
        emergencies.c.id == emergency,
        emergencies.c.clinician_cell == cell,
        emergencies.c.subject == subject,
        own_only(access),
    )
    return (await session.execute(statement)).one_or_none()


async def find_of_cell(session: AsyncSession, access: Access, cells: Collection[str], emergency: UUID) -> AnyRow | None:
    """An emergency at a case of one of these cells."""
    statement = select(emergencies).where(
        emergencies.c.id == emergency, emergencies.c.tenant.in_(cells), own_only(access)
    )
    return (await session.execute(statement)).one_or_none()


def reading_statement(
    access: Access,
    tenant: str,
    emergency: UUID,
    clinician: tuple[str, str],
    categories: Collection[str],
    now: datetime,
) -> Select[Any]:
    """The statement that a look of an emergency runs: its case's current records that hold any of these categories,
    oldest first. No row unless it is this clinician's (cell and subject), its time is not over, and no reviewer found
    it unjustified.
    """
    newer = aliased(records)
    current = (
        select(records)
        .outerjoin(newer, and_(newer.c.corrects == records.c.id, newer.c.tenant == records.c.tenant))
        .where(records.c.tenant == tenant, newer.c.id.is_(None), records.c.categories.op("&&")(list(categories)))
        .subquery("current")
    )
    return (
        select(
            emergencies.c.id.label("emergency"),
            emergencies.c.tenant,
            emergencies.c.case_code,
            emergencies.c.opened_at,
            emergencies.c.open_until,
            emergencies.c.review_due_at,
            current.c.id.label("record_id"),
            current.c.kind,
            current.c.sealed,
            current.c.recorded_at,
        )
        .select_from(
            emergencies.outerjoin(
                current, and_(current.c.case_code == emergencies.c.case_code, current.c.tenant == emergencies.c.tenant)
            )
        )
        .where(
            emergencies.c.id == emergency,
            emergencies.c.tenant == tenant,
            emergencies.c.clinician_cell == clinician[0],
            emergencies.c.subject == clinician[1],
            emergencies.c.open_until > now,
            ~_reviewed(emergency_reviews.c.finding == "not_justified"),
            own_only(access),
        )
        .order_by(current.c.position)
    )


async def add_look(session: AsyncSession, tenant: str, look_id: UUID, clinician_cell: str) -> None:
    """Note that a look at a cell's case was another office's, or its own in an emergency."""
    await session.execute(insert(emergency_looks).values(tenant=tenant, look_id=look_id, clinician_cell=clinician_cell))


async def list_unreviewed(session: AsyncSession, access: Access, cells: Collection[str]) -> Sequence[AnyRow]:
    """Emergencies that nobody has reviewed: at these cells' cases, and by these cells' clinicians elsewhere."""
    statement = (
        select(emergencies)
        .where(
            or_(emergencies.c.tenant.in_(cells), emergencies.c.clinician_cell.in_(cells)),
            ~_reviewed(),
            own_only(access),
        )
        .order_by(emergencies.c.review_due_at, emergencies.c.id)
        .limit(LISTED)
    )
    return (await session.execute(statement)).all()


def review_statement(access: Access, cells: Collection[str], emergency: UUID) -> Select[Any]:
    """The statement that a reviewer's look runs: the emergency and what was found of it."""
    return (
        select(
            emergencies.c.id.label("emergency"),
            emergencies.c.tenant,
            emergencies.c.case_code,
            emergencies.c.subject,
            emergencies.c.clinician_cell,
            emergencies.c.unit,
            emergencies.c.found_by,
            emergencies.c.reason_sealed,
            emergencies.c.opened_at,
            emergencies.c.open_until,
            emergencies.c.review_due_at,
            emergency_reviews.c.id.label("review"),
            emergency_reviews.c.finding,
            emergency_reviews.c.note_sealed,
            emergency_reviews.c.subject.label("reviewed_by"),
            emergency_reviews.c.reviewed_at,
        )
        .select_from(
            emergencies.outerjoin(
                emergency_reviews,
                and_(
                    emergency_reviews.c.emergency == emergencies.c.id,
                    emergency_reviews.c.tenant == emergencies.c.tenant,
                ),
            )
        )
        .where(emergencies.c.id == emergency, emergencies.c.tenant.in_(cells), own_only(access))
    )


async def review_of(session: AsyncSession, access: Access, tenant: str, emergency: UUID) -> AnyRow | None:
    """What was found of an emergency, if anybody has reviewed it."""
    statement = select(emergency_reviews).where(
        emergency_reviews.c.emergency == emergency, emergency_reviews.c.tenant == tenant, own_only(access)
    )
    return (await session.execute(statement)).one_or_none()


async def add_review(session: AsyncSession, row: dict[str, Any]) -> bool:
    """Append a review; false if there is one already."""
    added = await session.execute(
        insert_once(emergency_reviews).values(**row).on_conflict_do_nothing().returning(emergency_reviews.c.id)
    )
    return added.first() is not None


async def cases_with_unreviewed(session: AsyncSession, now: datetime, limit: int, skip: int) -> list[tuple[str, str]]:
    """(tenant, case) of emergencies whose review is overdue and was not told of."""
    statement = (
        select(emergencies.c.tenant, emergencies.c.case_code)
        .where(*_overdue(now))
        .group_by(emergencies.c.tenant, emergencies.c.case_code)
        .order_by(func.min(emergencies.c.review_due_at), emergencies.c.case_code)
    )
    return await page_of(session, statement, limit, skip)


async def note_unreviewed(session: AsyncSession, tenant: str, case: str, now: datetime) -> Sequence[AnyRow]:
    """Say that these are on the timeline now; returns them. The case is locked by the caller."""
    noted = await session.execute(
        update(emergencies)
        .where(emergencies.c.tenant == tenant, emergencies.c.case_code == case, *_overdue(now))
        .values(overdue_noted_at=now)
        .returning(emergencies.c.id, emergencies.c.clinician_cell, emergencies.c.review_due_at)
    )
    return sorted(noted.all(), key=lambda row: (row.review_due_at, row.id))


def _overdue(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return emergencies.c.review_due_at <= now, emergencies.c.overdue_noted_at.is_(None), ~_reviewed()


def _reviewed(*of_kind: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        emergency_reviews.c.emergency == emergencies.c.id,
        emergency_reviews.c.tenant == emergencies.c.tenant,
        *of_kind,
    )
