"""The SQL of an agency's tables. Every read of case data takes an `Access`, whose organisation the statement joins.

Row-level security stands behind these joins as the backstop, not instead of them: a transaction may see the union of
several tenants, and each statement still keeps to its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    column,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from amanat.lease_wire import LeasedKey
from amanat.tables import disclosures, kits, own_records, referrals, tombstones

PART, OWN = "part", "own"


def not_withdrawn(
    tenant: ColumnElement[str] | str, referral: ColumnElement[str] | str, category: Any, epoch: Any
) -> ColumnElement[bool]:
    """The tombstone join: no withdrawal of this category reaches up to this epoch.

    Correlated with all that stands around it, however deep: left to itself it looks one level out, and a referral's row
    from further out would be joined anew, so that any referral's withdrawal would count.
    """
    return ~(
        exists()
        .where(
            tombstones.c.tenant == tenant,
            tombstones.c.referral == referral,
            tombstones.c.category == category,
            tombstones.c.epoch >= epoch,
        )
        .correlate_except(tombstones)
    )


def _asked(access: Access) -> ColumnElement[bool]:
    """The tenant join: a referral belongs to the asking organisation, whatever else the transaction may see."""
    return referrals.c.tenant == access.organisation


def of_code(code: str) -> ColumnElement[bool]:
    """The referral of this code."""
    return referrals.c.code == code


def of_kit(access: Access, barcode: str) -> ColumnElement[bool]:
    """The referral that a kit was announced to this organisation with."""
    return referrals.c.code == (
        select(kits.c.referral).where(kits.c.tenant == access.organisation, kits.c.barcode == barcode).scalar_subquery()
    )


def _kits() -> ColumnElement[Any]:
    barcodes = (
        select(kits.c.barcode)
        .where(kits.c.tenant == referrals.c.tenant, kits.c.referral == referrals.c.code)
        .order_by(kits.c.barcode)
        .scalar_subquery()
    )
    return func.array(barcodes, type_=ARRAY(Text)).label("kits")


async def versions(session: AsyncSession, access: Access, which: ColumnElement[bool]) -> Sequence[AnyRow]:
    """What there is to read of a referral, without any of it: one row per category that is not withdrawn (one row of
    nulls when there is none); no row when the referral is not this organisation's.
    """
    own_seq = (
        select(func.max(own_records.c.seq))
        .where(own_records.c.tenant == access.organisation, own_records.c.referral == referrals.c.code)
        .scalar_subquery()
    )
    live = and_(
        disclosures.c.tenant == access.organisation,
        disclosures.c.referral == referrals.c.code,
        not_withdrawn(access.organisation, referrals.c.code, disclosures.c.category, disclosures.c.epoch),
    )
    statement = (
        select(
            referrals.c.code,
            referrals.c.version,
            _kits(),
            own_seq.label("own_seq"),
            disclosures.c.category,
            disclosures.c.epoch,
            disclosures.c.seq,
            disclosures.c.key_id,
        )
        .select_from(referrals.outerjoin(disclosures, live))
        .where(which, _asked(access))
    )
    return (await session.execute(statement)).all()


def parts_statement(leased: Access, own: Access, code: str, keys: Sequence[tuple[UUID, LeasedKey]]) -> Select[Any]:
    """The statement that a look runs: what of one referral is disclosed, granted now and not withdrawn, and what the
    organisation itself recorded; a bare row when something is granted and nothing has come yet; else no row.

    `leased` says what may be opened and `own` whose records they are; `keys` are the lease's.
    """
    usable = [(key_id, key) for key_id, key in keys if key.category in leased.categories]
    granted = _granted(leased, code, usable)
    disclosed = (
        select(
            literal(PART).label("part"),
            disclosures.c.category.label("category"),
            disclosures.c.epoch.label("epoch"),
            disclosures.c.key_id.label("key_id"),
            disclosures.c.seq.label("seq"),
            disclosures.c.event_id.label("id"),
            disclosures.c.contract.label("kind"),
            disclosures.c.sealed.label("sealed"),
            disclosures.c.received_at.label("at"),
        )
        .join(
            granted,
            and_(
                granted.c.category == disclosures.c.category,
                granted.c.epoch == disclosures.c.epoch,
                granted.c.key_id == disclosures.c.key_id,
            ),
        )
        .where(disclosures.c.tenant == leased.organisation, disclosures.c.referral == code)
    )
    recorded = select(
        literal(OWN),
        null(),
        null(),
        null(),
        own_records.c.seq,
        own_records.c.id,
        own_records.c.kind,
        own_records.c.sealed,
        own_records.c.recorded_at,
    ).where(own_records.c.tenant == own.organisation, own_records.c.referral == code)
    items = union_all(disclosed, recorded).subquery("items")
    return (
        select(referrals.c.code, referrals.c.state, referrals.c.opened_at, referrals.c.version, _kits(), items)
        .select_from(referrals.outerjoin(items, true()))
        .where(of_code(code), _asked(own), or_(items.c.part.is_not(None), exists(select(granted.c.category))))
    )


def _granted(leased: Access, code: str, keys: Sequence[tuple[UUID, LeasedKey]]) -> Any:
    table = (
        func.unnest(
            bindparam("leased_categories", [str(key.category) for _, key in keys], type_=ARRAY(Text)),
            bindparam("leased_epochs", [key.epoch for _, key in keys], type_=ARRAY(Integer)),
            bindparam("leased_keys", [key_id for key_id, _ in keys], type_=ARRAY(Uuid)),
        )
        .table_valued(column("category", Text), column("epoch", Integer), column("key_id", Uuid))
        .render_derived(name="leased")
    )
    return (
        select(table.c.category, table.c.epoch, table.c.key_id)
        .where(not_withdrawn(leased.organisation, code, table.c.category, table.c.epoch))
        .cte("granted")
    )


def expected() -> ColumnElement[bool]:
    """Nothing of the referral was withdrawn since it was last opened: what is not here yet is on its way."""
    return ~(
        exists()
        .where(
            tombstones.c.tenant == referrals.c.tenant,
            tombstones.c.referral == referrals.c.code,
            tombstones.c.consent_version > referrals.c.opened_version,
        )
        .correlate_except(tombstones)
    )


async def arrivals(session: AsyncSession, access: Access, *, after: int, limit: int) -> Sequence[AnyRow]:
    """The organisation's referrals by arrival: those with something to read, something of its own, or something on its
    way. What was taken back whole is not listed."""
    live = and_(
        disclosures.c.tenant == access.organisation,
        disclosures.c.referral == referrals.c.code,
        not_withdrawn(access.organisation, referrals.c.code, disclosures.c.category, disclosures.c.epoch),
    )
    recorded = and_(own_records.c.tenant == access.organisation, own_records.c.referral == referrals.c.code)
    statement = (
        select(
            referrals.c.arrival,
            referrals.c.code,
            referrals.c.state,
            referrals.c.opened_at,
            select(func.count()).select_from(disclosures).where(live).scalar_subquery().label("categories"),
        )
        .where(
            _asked(access),
            referrals.c.arrival > after,
            or_(exists().where(live), exists().where(recorded), expected()),
        )
        .order_by(referrals.c.arrival)
        .limit(limit)
    )
    return (await session.execute(statement)).all()


async def lock_referral(session: AsyncSession, access: Access, which: ColumnElement[bool]) -> AnyRow | None:
    """The referral, locked until the transaction ends, if it is this organisation's: {code, state, next_seq}."""
    statement = (
        select(referrals.c.code, referrals.c.state, referrals.c.next_seq).where(which, _asked(access)).with_for_update()
    )
    return (await session.execute(statement)).one_or_none()


async def state_of(session: AsyncSession, access: Access, code: str) -> str | None:
    """The referral's state, if it is this organisation's."""
    statement = select(referrals.c.state).where(of_code(code), _asked(access))
    return (await session.execute(statement)).scalar_one_or_none()


async def advance(session: AsyncSession, access: Access, code: str, values: dict[str, Any]) -> None:
    """Sets the referral's values, takes one `seq` and raises the version, which ETags follow. The caller locked it."""
    await session.execute(
        update(referrals)
        .where(of_code(code), _asked(access))
        .values(next_seq=referrals.c.next_seq + 1, version=referrals.c.version + 1, **values)
    )


async def add_own_record(session: AsyncSession, values: dict[str, Any]) -> None:
    """Appends one record of the organisation's own, sealed at rest."""
    await session.execute(insert(own_records).values(**values))


async def own_of(session: AsyncSession, access: Access, code: str, kinds: Collection[str]) -> Sequence[AnyRow]:
    """The organisation's own records of these kinds on a referral, sealed, oldest first."""
    statement = (
        select(own_records.c.id, own_records.c.kind, own_records.c.sealed)
        .where(
            own_records.c.tenant == access.organisation,
            own_records.c.referral == code,
            own_records.c.kind.in_(kinds),
        )
        .order_by(own_records.c.seq)
    )
    return (await session.execute(statement)).all()


async def own_record(session: AsyncSession, access: Access, record_id: UUID) -> AnyRow | None:
    """One record of the organisation's own, sealed."""
    statement = select(own_records).where(own_records.c.tenant == access.organisation, own_records.c.id == record_id)
    return (await session.execute(statement)).one_or_none()
