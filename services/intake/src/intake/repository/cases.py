"""Cases, their records, timeline and clocks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    false,
    func,
    insert,
    select,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from amanat.categories import Agency
from amanat.consent import Access
from amanat.db import AnyRow
from intake.models import agency_looks, case_index, cases, clocks, records, timeline


async def lock_case(session: AsyncSession, tenants: Collection[str], code: str) -> AnyRow | None:
    """The case, locked until the transaction ends, if one of these tenants keeps it. First in the order of locks."""
    statement = select(cases).where(cases.c.code == code, cases.c.tenant.in_(tenants)).with_for_update()
    return (await session.execute(statement)).one_or_none()


async def lock_cases(session: AsyncSession, codes: Collection[str]) -> None:
    """Locks these cases by code until the transaction ends: for the gate, which takes facts on several at once."""
    named = func.any(bindparam("codes", type_=ARRAY(Text)))
    statement = select(cases.c.code).where(cases.c.code == named).order_by(cases.c.code).with_for_update()
    await session.execute(statement, {"codes": list(codes)})


async def touch_case(session: AsyncSession, tenant: str, code: str) -> None:
    """Raise the case's version, which its ETag follows."""
    await session.execute(
        update(cases).where(cases.c.tenant == tenant, cases.c.code == code).values(version=cases.c.version + 1)
    )


async def version_of(session: AsyncSession, access: Access, tenants: Collection[str], code: str) -> AnyRow | None:
    """The case's {version, looks_told}, if one of these tenants keeps it."""
    statement = select(cases.c.version, _looks_told()).where(
        cases.c.code == code, cases.c.tenant.in_(tenants), own_only(access)
    )
    return (await session.execute(statement)).one_or_none()


async def tenant_of(session: AsyncSession, access: Access, tenants: Collection[str], code: str) -> str | None:
    """The cell that keeps the case, if it is one of these."""
    statement = select(cases.c.tenant).where(cases.c.code == code, cases.c.tenant.in_(tenants), own_only(access))
    return (await session.execute(statement)).scalar_one_or_none()


def case_statement(access: Access, tenants: Collection[str], code: str) -> Select[Any]:
    """The statement that a look runs: the case and all its records, oldest first; no row if it is not theirs."""
    corrected = aliased(records)
    later = (
        select(corrected.c.corrects, corrected.c.id.label("corrected_by"))
        .where(corrected.c.case_code == code, corrected.c.tenant.in_(tenants), corrected.c.corrects.is_not(None))
        .subquery()
    )
    return (
        select(
            cases.c.tenant,
            cases.c.code,
            cases.c.opened_at,
            cases.c.presented_at,
            cases.c.version,
            _looks_told(),
            records.c.id.label("record_id"),
            records.c.kind,
            records.c.author_agency,
            records.c.author_organisation,
            records.c.sealed,
            records.c.recorded_at,
            records.c.corrects,
            records.c.reason_sealed,
            later.c.corrected_by,
        )
        .select_from(
            cases.outerjoin(records, and_(records.c.case_code == cases.c.code, records.c.tenant == cases.c.tenant))
        )
        .outerjoin(later, later.c.corrects == records.c.id)
        .where(cases.c.code == code, cases.c.tenant.in_(tenants), own_only(access))
        .order_by(records.c.position)
    )


def _looks_told() -> ColumnElement[int]:
    """How many looks agencies told of: what there is to read grows by them, the case's version does not."""
    return (
        select(func.count())
        .where(agency_looks.c.tenant == cases.c.tenant, agency_looks.c.case_code == cases.c.code)
        .scalar_subquery()
        .label("looks_told")
    )


def own_only(access: Access) -> ColumnElement[bool]:
    """Only the cell's own access reads originals; any other access reads nothing."""
    return true() if access.agency is Agency.INTAKE and access.basis == "own" else false()


async def current_records(
    session: AsyncSession, access: Access, tenant: str, code: str, *, kind: str | None = None
) -> Sequence[AnyRow]:
    """The sealed records of a case that no later one corrects, oldest first; of one kind, if it is given."""
    newer = aliased(records)
    statement = (
        select(records)
        .outerjoin(newer, and_(newer.c.corrects == records.c.id, newer.c.tenant == records.c.tenant))
        .where(records.c.case_code == code, records.c.tenant == tenant, newer.c.id.is_(None), own_only(access))
        .order_by(records.c.position)
    )
    if kind is not None:
        statement = statement.where(records.c.kind == kind)
    return (await session.execute(statement)).all()


async def hold_identities(session: AsyncSession, digests: Collection[bytes]) -> None:
    """Makes others who ask for one of these digests wait until this transaction ends."""
    await session.execute(_HOLD, {"locks": sorted(map(identity_lock, digests))})


def identity_lock(digest: bytes) -> int:
    """The number of a digest's advisory lock."""
    return int.from_bytes(digest[:8], "big", signed=True)


_HOLD = text("SELECT pg_advisory_xact_lock(held.lock) FROM unnest(:locks) AS held (lock)").bindparams(
    bindparam("locks", type_=ARRAY(BigInteger))
)


async def add_index(session: AsyncSession, *, tenant: str, case: str, digests: dict[str, bytes]) -> None:
    """Make the case findable by these blind digests, {field: digest}."""
    if digests:
        await session.execute(
            insert(case_index),
            [{"tenant": tenant, "field": f, "digest": d, "case_code": case} for f, d in digests.items()],
        )


async def find_by_index(
    session: AsyncSession, access: Access, tenants: Collection[str], field: str, digests: Collection[bytes]
) -> list[str]:
    """Codes of these tenants' cases that bear one of the digests, oldest first."""
    statement = (
        select(cases.c.code)
        .join(case_index, and_(case_index.c.case_code == cases.c.code, case_index.c.tenant == cases.c.tenant))
        .where(
            cases.c.tenant.in_(tenants),
            case_index.c.field == field,
            case_index.c.digest.in_(digests),
            own_only(access),
        )
        .group_by(cases.c.code, cases.c.opened_at)
        .order_by(cases.c.opened_at, cases.c.code)
    )
    return list((await session.execute(statement)).scalars())


async def has_index(session: AsyncSession, tenant: str, case: str, field: str) -> set[bytes]:
    """Digests of one field that the case has already."""
    statement = select(case_index.c.digest).where(
        case_index.c.tenant == tenant, case_index.c.case_code == case, case_index.c.field == field
    )
    return set((await session.execute(statement)).scalars())


async def page_of(session: AsyncSession, found: Select[Any], limit: int, skip: int) -> list[tuple[str, str]]:
    """A page of what a sweep finds: (tenant, case) of rows {tenant, case_code}, which come in an order that stays."""
    return [(row.tenant, row.case_code) for row in await session.execute(found.limit(limit).offset(skip))]


async def add_timeline(session: AsyncSession, tenant: str, case: str, entries: Sequence[dict[str, Any]]) -> None:
    """Append entries {at, kind, agency, organisation, referral, detail} to the case's timeline."""
    if entries:
        await session.execute(insert(timeline), [{"tenant": tenant, "case_code": case, **entry} for entry in entries])


async def read_timeline(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's timeline, oldest first."""
    statement = (
        select(timeline)
        .where(timeline.c.tenant == tenant, timeline.c.case_code == case, own_only(access))
        .order_by(timeline.c.position)
    )
    return (await session.execute(statement)).all()


async def start_clocks(session: AsyncSession, tenant: str, case: str, rows: Sequence[dict[str, Any]]) -> None:
    """Start clocks {kind, trigger_at, due_at, source}; one that runs already keeps its trigger."""
    for row in rows:
        running = await session.execute(
            select(clocks.c.kind).where(
                clocks.c.tenant == tenant, clocks.c.case_code == case, clocks.c.kind == row["kind"]
            )
        )
        if running.one_or_none() is None:
            await session.execute(insert(clocks).values(tenant=tenant, case_code=case, **row))


async def stop_clock(session: AsyncSession, tenant: str, case: str, kinds: Collection[str], at: datetime) -> None:
    """Note when what a clock asks for was done; the first time stands."""
    await session.execute(
        update(clocks)
        .where(
            clocks.c.tenant == tenant,
            clocks.c.case_code == case,
            clocks.c.kind.in_(kinds),
            clocks.c.met_at.is_(None),
        )
        .values(met_at=at)
    )


async def read_clocks(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's clocks by due time."""
    statement = (
        select(clocks)
        .where(clocks.c.tenant == tenant, clocks.c.case_code == case, own_only(access))
        .order_by(clocks.c.due_at)
    )
    return (await session.execute(statement)).all()
