"""Attempts to sign in, of codes that exist and of codes that do not: the same statements and the same writes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, exists, func, insert, literal, or_, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow
from intake.my_case.models import claims, sign_ins

_NAME = text("SELECT set_config('amanat.claim', :digest, true)")
_HOLD = text("SELECT set_config('amanat.claim', :digest, true), pg_advisory_xact_lock(:number)")


@dataclass(frozen=True)
class Attempt:
    """One attempt, on record. `misses` were before it on its day, at most as many as were asked about; `again` if its
    form was sent before."""

    id: int
    misses: int
    again: bool


async def name_claim(session: AsyncSession, digest: bytes) -> None:
    """Lets this transaction see the claim and the attempts of this digest, whatever the tenant: no others."""
    await session.execute(_NAME, {"digest": digest.hex()})


async def hold_claim(session: AsyncSession, digest: bytes) -> None:
    """Names the digest, and makes others who try it wait until this transaction ends."""
    number = int.from_bytes(digest[:8], "big", signed=True)
    await session.execute(_HOLD, {"digest": digest.hex(), "number": number})


async def add_attempt(
    session: AsyncSession, digest: bytes, form: bytes, since: datetime, at: datetime, *, up_to: int
) -> Attempt:
    """Puts an attempt on record as a miss. The caller holds the digest."""
    missed = (
        select(literal(1))
        .where(sign_ins.c.digest == digest, sign_ins.c.at >= since, sign_ins.c.outcome != "hit")
        .limit(up_to)
        .subquery()
    )
    before = select(
        select(func.count()).select_from(missed).scalar_subquery().label("misses"),
        exists().where(and_(sign_ins.c.digest == digest, sign_ins.c.form == form)).label("again"),
    ).cte("before")
    added = (
        insert(sign_ins).values(digest=digest, form=form, at=at, outcome="miss").returning(sign_ins.c.id).cte("added")
    )
    # Both parts see what was there when the statement began: the attempt does not count itself.
    both = select(added.c.id, before.c.misses, before.c.again).select_from(added.join(before, true()))
    row = (await session.execute(both)).one()
    return Attempt(row.id, row.misses, row.again)


async def find_claim(session: AsyncSession, digest: bytes) -> AnyRow | None:
    """The live claim of this digest, whatever its tenant. Two of one digest are as good as none."""
    statement = select(claims).where(claims.c.digest == digest, claims.c.ended_at.is_(None))
    rows = (await session.execute(statement)).all()
    return rows[0] if len(rows) == 1 else None


async def settle(session: AsyncSession, digest: bytes, attempt: int, outcome: str) -> None:
    """Says what an attempt came to. A miss is written as well: every attempt costs the same."""
    await session.execute(
        update(sign_ins).where(sign_ins.c.digest == digest, sign_ins.c.id == attempt).values(outcome=outcome)
    )


async def cases_with_duress(session: AsyncSession, limit: int, skip: int = 0) -> list[tuple[str, str]]:
    """(tenant, case) of duress PINs that were used and are not on the timeline yet."""
    statement = (
        select(claims.c.tenant, claims.c.case_code)
        .join(sign_ins, sign_ins.c.digest == claims.c.digest)
        .where(sign_ins.c.outcome == "duress", sign_ins.c.noted_at.is_(None))
        .group_by(claims.c.tenant, claims.c.case_code)
        .order_by(func.min(sign_ins.c.at), claims.c.case_code)
        .limit(limit)
        .offset(skip)
    )
    return [(row.tenant, row.case_code) for row in await session.execute(statement)]


async def note_duress(session: AsyncSession, tenant: str, case: str, now: datetime) -> list[datetime]:
    """Says that the case's uses of the duress PIN are on its timeline now; returns their times."""
    noted = await session.execute(
        update(sign_ins)
        .where(
            sign_ins.c.digest == claims.c.digest,
            claims.c.tenant == tenant,
            claims.c.case_code == case,
            sign_ins.c.outcome == "duress",
            sign_ins.c.noted_at.is_(None),
        )
        .values(noted_at=now)
        .returning(sign_ins.c.at)
    )
    return sorted(noted.scalars())


async def prune(session: AsyncSession, before: datetime, limit: int) -> None:
    """Deletes attempts from before this time; a use of the duress PIN only once it is on the timeline."""
    old = (
        select(sign_ins.c.id)
        .where(sign_ins.c.at < before, or_(sign_ins.c.outcome != "duress", sign_ins.c.noted_at.is_not(None)))
        .limit(limit)
    )
    await session.execute(delete(sign_ins).where(sign_ins.c.id.in_(old)))
