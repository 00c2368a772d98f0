"""Disclosures outside: what was asked for, and what was decided of it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from intake.break_glass.models import outside_decisions, outside_disclosures, outside_endings
from intake.repository.cases import own_only, page_of


async def add_disclosure(session: AsyncSession, row: dict[str, Any]) -> None:
    """Append what was asked for."""
    await session.execute(insert(outside_disclosures).values(**row))


async def add_decision(session: AsyncSession, row: dict[str, Any]) -> None:
    """Append what was decided. A second decision of one disclosure raises IntegrityError; the case's lock is before."""
    await session.execute(insert(outside_decisions).values(**row))


async def add_ending(session: AsyncSession, row: dict[str, Any]) -> None:
    """Append that one ended before its time. A second ending raises IntegrityError; the case's lock is before."""
    await session.execute(insert(outside_endings).values(**row))


async def read_disclosures(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """A case's disclosures outside with what was decided, and how they ended early, oldest first."""
    statement = _with_decision().where(
        outside_disclosures.c.tenant == tenant, outside_disclosures.c.case_code == case, own_only(access)
    )
    return (await session.execute(statement.order_by(outside_disclosures.c.position))).all()


async def read_disclosure(
    session: AsyncSession, access: Access, tenant: str, case: str, disclosure: UUID
) -> AnyRow | None:
    """One of a case's disclosures outside with what was decided. The case is locked where something is to follow."""
    statement = _with_decision().where(
        outside_disclosures.c.id == disclosure,
        outside_disclosures.c.tenant == tenant,
        outside_disclosures.c.case_code == case,
        own_only(access),
    )
    return (await session.execute(statement)).one_or_none()


async def secret_disclosures(
    session: AsyncSession, access: Access, tenant: str, case: str, now: datetime
) -> Sequence[AnyRow]:
    """A case's approved disclosures of which she is not told at `now`, whether or not they have ended."""
    statement = _with_decision().where(
        outside_disclosures.c.tenant == tenant,
        outside_disclosures.c.case_code == case,
        outside_disclosures.c.secret_until > now,
        outside_decisions.c.decision == "approved",
        own_only(access),
    )
    return (await session.execute(statement)).all()


async def cases_with_lapsed(session: AsyncSession, now: datetime, limit: int, skip: int) -> list[tuple[str, str]]:
    """(tenant, case) of disclosures that nobody decided in time."""
    return await _cases(session, func.min(outside_disclosures.c.lapses_at), _lapsed(now), limit, skip)


async def lapsed(session: AsyncSession, tenant: str, case: str, now: datetime) -> Sequence[AnyRow]:
    """A case's disclosures that nobody decided in time, oldest first. The case is locked by the caller."""
    statement = (
        select(outside_disclosures)
        .where(outside_disclosures.c.tenant == tenant, outside_disclosures.c.case_code == case, *_lapsed(now))
        .order_by(outside_disclosures.c.position)
    )
    return (await session.execute(statement)).all()


async def cases_with_ended_secrecy(
    session: AsyncSession, now: datetime, limit: int, skip: int
) -> list[tuple[str, str]]:
    """(tenant, case) of disclosures whose secrecy has come to its review, which nobody noted."""
    return await _cases(session, func.min(outside_disclosures.c.secret_until), _no_longer_secret(now), limit, skip)


async def note_ended_secrecy(session: AsyncSession, tenant: str, case: str, now: datetime) -> Sequence[AnyRow]:
    """Say that it is on the timeline now; returns them. The case is locked by the caller."""
    noted = await session.execute(
        update(outside_disclosures)
        .where(outside_disclosures.c.tenant == tenant, outside_disclosures.c.case_code == case, *_no_longer_secret(now))
        .values(secrecy_ended_noted_at=now)
        .returning(
            outside_disclosures.c.id,
            outside_disclosures.c.position,
            outside_disclosures.c.agency,
            outside_disclosures.c.organisation,
        )
    )
    return sorted(noted.all(), key=lambda row: int(row.position))


async def approved_of(session: AsyncSession, tenant: str, disclosures: Collection[UUID]) -> Sequence[UUID]:
    """Those of these disclosures that a second person approved."""
    statement = select(outside_decisions.c.disclosure).where(
        outside_decisions.c.tenant == tenant,
        outside_decisions.c.disclosure.in_(disclosures),
        outside_decisions.c.decision == "approved",
    )
    return list(await session.scalars(statement))


def _with_decision() -> Select[*tuple[Any, ...]]:
    decided, ended = outside_decisions.c, outside_endings.c
    return select(
        outside_disclosures,
        decided.id.label("decision_id"),
        decided.decision,
        decided.consent,
        decided.reason_sealed,
        decided.subject.label("decided_by"),
        decided.unit.label("decided_by_unit"),
        decided.decided_at,
        ended.id.label("ending_id"),
        ended.reason_sealed.label("ending_reason_sealed"),
        ended.subject.label("ended_by"),
        ended.unit.label("ended_by_unit"),
        ended.ended_at,
    ).select_from(
        outside_disclosures.outerjoin(
            outside_decisions,
            and_(decided.disclosure == outside_disclosures.c.id, decided.tenant == outside_disclosures.c.tenant),
        ).outerjoin(
            outside_endings,
            and_(ended.disclosure == outside_disclosures.c.id, ended.tenant == outside_disclosures.c.tenant),
        )
    )


def _lapsed(now: datetime) -> tuple[ColumnElement[bool], ...]:
    decided = exists().where(
        outside_decisions.c.disclosure == outside_disclosures.c.id,
        outside_decisions.c.tenant == outside_disclosures.c.tenant,
    )
    return outside_disclosures.c.lapses_at <= now, ~decided


def _no_longer_secret(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return outside_disclosures.c.secret_until <= now, outside_disclosures.c.secrecy_ended_noted_at.is_(None)


async def _cases(
    session: AsyncSession,
    first: ColumnElement[Any],
    found: tuple[ColumnElement[bool], ...],
    limit: int,
    skip: int,
) -> list[tuple[str, str]]:
    statement = (
        select(outside_disclosures.c.tenant, outside_disclosures.c.case_code)
        .where(*found)
        .group_by(outside_disclosures.c.tenant, outside_disclosures.c.case_code)
        .order_by(first, outside_disclosures.c.case_code)
    )
    return await page_of(session, statement, limit, skip)
