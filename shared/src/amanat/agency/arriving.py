"""The SQL of what the gate tells: written by the worker alone, tenant by tenant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Select, Text, and_, bindparam, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.recording import SENT
from amanat.agency.repository import expected, not_withdrawn
from amanat.contracts.disclosures import CategoryWithdrawn, KitAnnounced, ReferralOpened
from amanat.db import AnyRow
from amanat.tables import disclosures, kits, own_records, referrals, tombstones

_IN_ORDER = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('arrival ' || tenant, 4703392))"
    " FROM (SELECT tenant FROM unnest(:tenants) AS given (tenant) ORDER BY tenant) AS ordered"
).bindparams(bindparam("tenants", type_=ARRAY(Text)))


async def in_order(session: AsyncSession, tenants: Collection[str]) -> None:
    """Until this transaction ends no other numbers arrivals of these tenants: what has a lower number is seen first."""
    await session.execute(_IN_ORDER, {"tenants": sorted(set(tenants))})


async def add_referral(session: AsyncSession, event: ReferralOpened, now: datetime) -> bool:
    """Whether the referral is new here, or open again after all of it was withdrawn: then it arrives again in the feed.

    Raises LookupError if the code is another organisation's.
    """
    added = await session.scalar(
        insert(referrals)
        .values(
            code=event.referral,
            tenant=event.organisation,
            purpose=event.purpose,
            state=SENT,
            opened_at=event.opened_at,
            received_at=now,
            consent_version=event.consent_version,
            opened_version=event.consent_version,
        )
        .on_conflict_do_nothing(index_elements=[referrals.c.code])
        .returning(referrals.c.code)
    )
    if added is not None:
        return True
    known = (referrals.c.code == event.referral, referrals.c.tenant == event.organisation)
    again = await session.scalar(
        update(referrals)
        .where(*known, referrals.c.consent_version < event.consent_version)
        .values(
            opened_at=event.opened_at,
            received_at=now,
            consent_version=event.consent_version,
            opened_version=event.consent_version,
            version=referrals.c.version + 1,
            arrival=text("DEFAULT"),
        )
        .returning(referrals.c.code)
    )
    if again is None and await session.scalar(select(referrals.c.code).where(*known)) is None:
        raise LookupError("a referral of that code is another organisation's")
    return again is not None


def _disclosed(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=disclosures.c[name].type)


_NAMES = ("tenant", "referral", "category", "epoch", "key_id", "seq", "event_id", "contract", "sealed", "received_at")


async def put_disclosure(session: AsyncSession, values: dict[str, object]) -> None:
    """Keeps a category's sealed projection, replacing an older one. What is withdrawn already is not kept: an epoch
    never revives."""
    given = {name: _disclosed(name) for name in _NAMES}
    living: Select[Any] = select(*given.values()).where(
        not_withdrawn(given["tenant"], given["referral"], given["category"], given["epoch"])
    )
    new = insert(disclosures).from_select(list(given), living)
    await session.execute(
        new.on_conflict_do_update(
            index_elements=[disclosures.c.tenant, disclosures.c.referral, disclosures.c.category],
            set_={name: new.excluded[name] for name in _NAMES[3:]},
            where=(new.excluded.seq > disclosures.c.seq) & (new.excluded.epoch >= disclosures.c.epoch),
        ),
        values,
    )


async def is_hidden(session: AsyncSession, tenant: str, referral: str) -> bool:
    """Whether the feed has passed over the referral: it is here, and there is nothing to read of it nor on its way."""
    read = and_(
        disclosures.c.tenant == tenant,
        disclosures.c.referral == referral,
        not_withdrawn(tenant, referral, disclosures.c.category, disclosures.c.epoch),
    )
    recorded = and_(own_records.c.tenant == tenant, own_records.c.referral == referral)
    statement = select(
        exists().where(
            referrals.c.tenant == tenant,
            referrals.c.code == referral,
            ~or_(exists().where(read), exists().where(recorded), expected()),
        )
    )
    return bool(await session.scalar(statement))


async def arrive_again(session: AsyncSession, tenant: str, referral: str) -> None:
    """Puts the referral at the feed's end, for readers who are past its place."""
    await in_order(session, {tenant})
    await session.execute(
        update(referrals)
        .where(referrals.c.tenant == tenant, referrals.c.code == referral)
        .values(arrival=text("DEFAULT"))
    )


async def note_withdrawal(session: AsyncSession, event: CategoryWithdrawn) -> int | None:
    """Raises the referral's consent version, and takes the `seq` of the confirmation; None while it is unknown here."""
    taken: int | None = await session.scalar(
        update(referrals)
        .where(referrals.c.code == event.referral, referrals.c.tenant == event.organisation)
        .values(
            consent_version=func.greatest(referrals.c.consent_version, event.consent_version),
            next_seq=referrals.c.next_seq + 1,
            version=referrals.c.version + 1,
        )
        .returning(referrals.c.next_seq - 1)
    )
    return taken


async def put_tombstone(session: AsyncSession, event: CategoryWithdrawn, now: datetime) -> None:
    """Puts the tombstone, or raises it to the higher epoch."""
    new = insert(tombstones).values(
        tenant=event.organisation,
        referral=event.referral,
        category=event.category,
        epoch=event.epoch,
        consent_version=event.consent_version,
        withdrawn_at=event.withdrawn_at,
        applied_at=now,
    )
    await session.execute(
        new.on_conflict_do_update(
            index_elements=[tombstones.c.tenant, tombstones.c.referral, tombstones.c.category],
            set_={name: new.excluded[name] for name in ("epoch", "consent_version", "withdrawn_at", "applied_at")},
            where=new.excluded.epoch > tombstones.c.epoch,
        )
    )


async def all_tombstones(session: AsyncSession) -> Sequence[AnyRow]:
    """Every tombstone of the agency, by the background policy."""
    return (await session.execute(select(tombstones).order_by(*tombstones.primary_key.columns))).all()


class KitElsewhere(Exception):
    """The barcode belongs to another referral of this organisation."""


async def put_kit(session: AsyncSession, event: KitAnnounced) -> bool:
    """Whether the kit is new here. Raises KitElsewhere if the barcode belongs to another referral of this tenant."""
    added = await session.scalar(
        insert(kits)
        .values(
            tenant=event.organisation,
            barcode=event.barcode,
            referral=event.referral,
            announced_at=event.announced_at,
        )
        .on_conflict_do_nothing(index_elements=[kits.c.tenant, kits.c.barcode])
        .returning(kits.c.referral)
    )
    if added is not None:
        return True
    known = await session.scalar(
        select(kits.c.referral).where(kits.c.tenant == event.organisation, kits.c.barcode == event.barcode)
    )
    if known != event.referral:
        raise KitElsewhere("a kit of that barcode belongs to another referral")
    return False
