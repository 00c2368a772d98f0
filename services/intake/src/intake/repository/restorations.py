"""What the gate keeps of restores: whether it is closed, who answered, and what no epoch may repeat."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Text, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow
from intake.models import referrals, restoration_answers, restorations, shares

EPOCHS_SKIPPED = 1_000
NUMBERS_SKIPPED = 1_000_000
# An array and not one parameter each: an agency may report more than a statement takes parameters.
_CODES = func.any(bindparam("codes", type_=ARRAY(Text)))


async def open_request(session: AsyncSession) -> UUID | None:
    """The restore that is not reopened yet: while there is one, the gate is closed."""
    statement = select(restorations.c.request_id).where(restorations.c.reopened_at.is_(None))
    return (await session.execute(statement)).scalar_one_or_none()


async def begin(session: AsyncSession, request_id: UUID, now: datetime) -> None:
    """Close the gate by this restore, which takes the place of one that is not reopened yet."""
    await session.execute(update(restorations).where(restorations.c.reopened_at.is_(None)).values(reopened_at=now))
    await session.execute(insert(restorations).values(request_id=request_id, restored_at=now))


async def skip_numbers(session: AsyncSession) -> int:
    """Move epochs, sequence numbers and consent versions past all that may have been used after the backup was taken.

    Agencies keep what has the higher number: without this they would take the new for the old. Returns how many
    referrals were moved.
    """
    used = (
        select(func.coalesce(func.max(shares.c.epoch), 0))
        .where(shares.c.referral == referrals.c.code, shares.c.tenant == referrals.c.tenant)
        .scalar_subquery()
    )
    moved = await session.execute(
        update(referrals)
        .values(
            epoch_floor=func.greatest(referrals.c.epoch_floor, used) + EPOCHS_SKIPPED,
            next_seq=referrals.c.next_seq + NUMBERS_SKIPPED,
            consent_version=referrals.c.consent_version + NUMBERS_SKIPPED,
        )
        .returning(referrals.c.code)
    )
    return len(moved.all())


async def find_request(session: AsyncSession, request_id: UUID) -> AnyRow | None:
    """The restore of this id, closed or reopened."""
    statement = select(restorations).where(restorations.c.request_id == request_id)
    return (await session.execute(statement)).one_or_none()


async def last_request(session: AsyncSession) -> AnyRow | None:
    """The newest restore, if there ever was one."""
    statement = select(restorations).order_by(restorations.c.restored_at.desc()).limit(1)
    return (await session.execute(statement)).one_or_none()


async def note_part(
    session: AsyncSession,
    request_id: UUID,
    agency: str,
    piece: tuple[UUID, int, int],
    now: datetime,
    tombstones: int,
    applied: int,
) -> None:
    """Note one piece (answer, part, parts) of an agency's answer; the same piece again replaces it."""
    answer_id, part, parts = piece
    place = {"request_id": request_id, "agency": agency, "answer_id": answer_id, "part": part}
    values = {"answered_at": now, "tombstones": tombstones, "applied": applied}
    statement = upsert(restoration_answers).values(parts=parts, **place, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=list(place), set_=values))


async def answers(session: AsyncSession, request_id: UUID) -> Sequence[AnyRow]:
    """(agency, here, parts, tombstones, applied) of every answer, those of which most is missing first.

    Counted from the pieces each time: two that come at once need not know of each other.
    """
    told = restoration_answers.c
    here, parts = func.count(), func.max(told.parts)
    statement = (
        select(
            told.agency,
            here.label("here"),
            parts.label("parts"),
            func.sum(told.tombstones).label("tombstones"),
            func.sum(told.applied).label("applied"),
        )
        .where(told.request_id == request_id)
        .group_by(told.agency, told.answer_id)
        .order_by(told.agency, (parts - here).desc(), func.max(told.answered_at))
    )
    return (await session.execute(statement)).all()


async def reopen(session: AsyncSession, request_id: UUID, without: Sequence[str], now: datetime) -> None:
    """Open the gate again."""
    await session.execute(
        update(restorations)
        .where(restorations.c.request_id == request_id)
        .values(reopened_at=now, without=list(without))
    )


async def locate(session: AsyncSession, agency: str, codes: Sequence[str]) -> Sequence[AnyRow]:
    """(code, tenant, case_code, organisation) of those codes that are referrals to this agency."""
    statement = select(referrals.c.code, referrals.c.tenant, referrals.c.case_code, referrals.c.organisation).where(
        referrals.c.agency == agency, referrals.c.code == _CODES
    )
    return (await session.execute(statement, {"codes": list(codes)})).all()


async def ended_shares(session: AsyncSession, codes: Sequence[str]) -> Sequence[AnyRow]:
    """(referral, category, epoch, ended_at) of the ended shares of these referrals."""
    statement = select(shares.c.referral, shares.c.category, shares.c.epoch, shares.c.ended_at).where(
        shares.c.referral == _CODES, shares.c.ended_at.is_not(None)
    )
    return (await session.execute(statement, {"codes": list(codes)})).all()


async def raise_floor(session: AsyncSession, tenant: str, code: str, epoch: int) -> None:
    """No epoch up to this one is used again."""
    await session.execute(
        update(referrals)
        .where(referrals.c.tenant == tenant, referrals.c.code == code, referrals.c.epoch_floor < epoch)
        .values(epoch_floor=epoch)
    )


async def cases_after(session: AsyncSession, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """(tenant, case) with referrals, in their order, behind this one."""
    tenant, case = after
    statement = (
        select(referrals.c.tenant, referrals.c.case_code)
        .where(
            or_(
                referrals.c.tenant > tenant,
                and_(referrals.c.tenant == tenant, referrals.c.case_code > case),
            )
        )
        .distinct()
        .order_by(referrals.c.tenant, referrals.c.case_code)
        .limit(limit)
    )
    return [(row.tenant, row.case_code) for row in await session.execute(statement)]
