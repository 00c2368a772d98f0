"""Claims, the calls that a cell owes, and what was taken back from afar."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from amanat.tables import looks
from intake.models import leases, referrals
from intake.my_case.models import afar_withdrawals, calls, claims
from intake.repository.cases import own_only


async def add_claim(session: AsyncSession, values: dict[str, Any]) -> None:
    """Keeps a new claim. The caller has locked the case and ended the one before."""
    await session.execute(insert(claims).values(**values))


async def end_claim(session: AsyncSession, tenant: str, case: str, now: datetime) -> UUID | None:
    """Ends the case's live claim, and with it every visit that it opened; None if it has none."""
    ended = await session.execute(
        update(claims)
        .where(claims.c.tenant == tenant, claims.c.case_code == case, claims.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(claims.c.id)
    )
    claim: UUID | None = ended.scalar_one_or_none()
    return claim


async def read_claim(session: AsyncSession, tenants: Collection[str], case: str) -> AnyRow | None:
    """The live claim of a case that one of these tenants keeps."""
    statement = select(claims).where(
        claims.c.tenant.in_(tenants), claims.c.case_code == case, claims.c.ended_at.is_(None)
    )
    return (await session.execute(statement)).one_or_none()


async def read_claim_of(session: AsyncSession, tenants: Collection[str], claim: UUID | None) -> AnyRow | None:
    """A claim by its id, live or ended."""
    statement = select(claims).where(claims.c.tenant.in_(tenants), claims.c.id == claim)
    return (await session.execute(statement)).one_or_none()


async def last_ended(session: AsyncSession, tenants: Collection[str], case: str) -> datetime | None:
    """When the case's last claim ended, None if it never had one."""
    statement = select(func.max(claims.c.ended_at)).where(claims.c.tenant.in_(tenants), claims.c.case_code == case)
    at: datetime | None = (await session.execute(statement)).scalar_one_or_none()
    return at


def claim_statement(access: Access, tenant: str, case: str, claim: UUID) -> Select[Any]:
    """What her own look runs: {case_code} of the case's claim while it lives."""
    return select(claims.c.case_code).where(
        claims.c.tenant == tenant,
        claims.c.case_code == case,
        claims.c.id == claim,
        claims.c.ended_at.is_(None),
        own_only(access),
    )


async def read_unaccounted(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """Leases of the case's keys that were alarmed of and that no look accounts for since, oldest first."""
    statement = (
        select(referrals.c.agency, referrals.c.organisation, leases.c.categories, leases.c.at)
        .join(referrals, and_(referrals.c.code == leases.c.referral, referrals.c.tenant == leases.c.tenant))
        .where(
            leases.c.tenant == tenant,
            referrals.c.case_code == case,
            leases.c.alarmed_at.is_not(None),
            leases.c.accounted_at.is_(None),
            own_only(access),
        )
        .order_by(leases.c.at)
    )
    return (await session.execute(statement)).all()


async def read_own_looks(
    session: AsyncSession, access: Access, tenant: str, case: str, purpose: str, this: UUID
) -> AnyRow:
    """{times, last_before}: looks at the case for this purpose, and the last one before `this`."""
    earlier = func.max(looks.c.at).filter(looks.c.id != this)
    statement = select(func.count().label("times"), earlier.label("last_before")).where(
        looks.c.tenant == tenant, looks.c.referral == case, looks.c.purpose == purpose, own_only(access)
    )
    row: AnyRow = (await session.execute(statement)).one()
    return row


async def add_call(session: AsyncSession, values: dict[str, Any]) -> None:
    """Tells the cell to call by the safe channel."""
    await session.execute(insert(calls).values(**values))


async def open_calls(session: AsyncSession, tenants: Collection[str], *, after: int, limit: int) -> Sequence[AnyRow]:
    """Calls of these cells that nobody has made yet, oldest first, after a position."""
    statement = (
        select(calls)
        .where(calls.c.tenant.in_(tenants), calls.c.done_at.is_(None), calls.c.position > after)
        .order_by(calls.c.position)
        .limit(limit)
    )
    return (await session.execute(statement)).all()


async def find_call(session: AsyncSession, tenants: Collection[str], call: UUID) -> AnyRow | None:
    """The call, if it is one of these cells'."""
    statement = select(calls).where(calls.c.tenant.in_(tenants), calls.c.id == call)
    return (await session.execute(statement)).one_or_none()


async def finish_call(session: AsyncSession, tenant: str, call: UUID, by: str, now: datetime) -> bool:
    """Says that the call was made; whether it was not before. The case is locked by the caller."""
    done = await session.execute(
        update(calls)
        .where(calls.c.tenant == tenant, calls.c.id == call, calls.c.done_at.is_(None))
        .values(done_at=now, done_by=by)
        .returning(calls.c.id)
    )
    return done.first() is not None


async def add_afar(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Keeps which consents were taken back from afar."""
    await session.execute(insert(afar_withdrawals), rows)


async def read_afar(session: AsyncSession, tenants: Collection[str], called: Collection[UUID]) -> Sequence[AnyRow]:
    """What was taken back from afar, of these calls."""
    statement = (
        select(afar_withdrawals)
        .where(afar_withdrawals.c.tenant.in_(tenants), afar_withdrawals.c.call_id.in_(called))
        .order_by(afar_withdrawals.c.agency, afar_withdrawals.c.organisation, afar_withdrawals.c.id)
    )
    return (await session.execute(statement)).all()


async def undo_afar(session: AsyncSession, tenant: str, call: UUID, now: datetime) -> Sequence[AnyRow]:
    """Says that this was undone, and returns it: each once. The case is locked by the caller."""
    undone = await session.execute(
        update(afar_withdrawals)
        .where(
            afar_withdrawals.c.tenant == tenant,
            afar_withdrawals.c.call_id == call,
            afar_withdrawals.c.undone_at.is_(None),
        )
        .values(undone_at=now)
        .returning(afar_withdrawals)
    )
    return sorted(undone.all(), key=lambda row: (row.agency, row.organisation, str(row.consent_id)))
