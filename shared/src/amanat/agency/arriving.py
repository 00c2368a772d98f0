"""The SQL of what the gate tells: written by the worker alone, tenant by tenant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ARRAY, Text, and_, bindparam, exists, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.recording import SENT
from amanat.agency.repository import expected, not_withdrawn
from amanat.contracts.disclosures import CategoryWithdrawn, KitAnnounced, ReferralOpened
from amanat.db import AnyRow
from amanat.tables import Instant, disclosures, kits, own_records, referrals, tombstones
from amanat.unnested import unnested

Referred = tuple[str, str]
"""An organisation, and its referral."""

_IN_ORDER = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('arrival ' || tenant, 4703392))"
    " FROM (SELECT tenant FROM unnest(:tenants) AS given (tenant) ORDER BY tenant) AS ordered"
).bindparams(bindparam("tenants", type_=ARRAY(Text)))


async def in_order(session: AsyncSession, tenants: Collection[str]) -> None:
    """Until this transaction ends no other numbers arrivals of these tenants: what has a lower number is seen first."""
    await session.execute(_IN_ORDER, {"tenants": sorted(set(tenants))})


async def add_referrals(session: AsyncSession, events: Sequence[ReferralOpened], now: datetime) -> set[str]:
    """Those of these referrals, each named once, that are new here, or open again after all of it was withdrawn: then
    it arrives again in the feed.

    Raises LookupError if a code is another organisation's.
    """
    given = unnested(
        "given",
        {name: referrals.c[name].type for name in ("code", "tenant", "purpose", "opened_at", "consent_version")},
        [(each.referral, each.organisation, each.purpose, each.opened_at, each.consent_version) for each in events],
    )
    columns = given.c
    names = {
        "code": columns.code,
        "tenant": columns.tenant,
        "purpose": columns.purpose,
        "state": literal(SENT, Text),
        "opened_at": columns.opened_at,
        "received_at": literal(now, Instant),
        "consent_version": columns.consent_version,
        "opened_version": columns.consent_version,
    }
    new = insert(referrals).from_select(list(names), select(*names.values()).order_by(columns.place))
    added = set(
        await session.scalars(new.on_conflict_do_nothing(index_elements=[referrals.c.code]).returning(referrals.c.code))
    )
    return added | {e.referral for e in events if e.referral not in added and await _open_again(session, e, now)}


async def _open_again(session: AsyncSession, event: ReferralOpened, now: datetime) -> bool:
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


_NAMES = ("tenant", "referral", "category", "epoch", "key_id", "seq", "event_id", "contract", "sealed", "received_at")


async def put_disclosures(session: AsyncSession, rows: Sequence[Mapping[str, object]]) -> None:
    """Keeps categories' sealed projections, each category of a referral once, replacing older ones. What is withdrawn
    already is not kept: an epoch never revives."""
    ordered = sorted(rows, key=lambda row: (row["tenant"], row["referral"], row["category"]))
    kinds = {name: disclosures.c[name].type for name in _NAMES}
    given = unnested("given", kinds, [[row[name] for name in _NAMES] for row in ordered])
    living = (
        select(*(given.c[name] for name in _NAMES))
        .where(not_withdrawn(given.c.tenant, given.c.referral, given.c.category, given.c.epoch))
        # By key, so that two workers with the same events do not wait for each other in a circle.
        .order_by(given.c.place)
    )
    new = insert(disclosures).from_select(list(_NAMES), living)
    await session.execute(
        new.on_conflict_do_update(
            index_elements=[disclosures.c.tenant, disclosures.c.referral, disclosures.c.category],
            set_={name: new.excluded[name] for name in _NAMES[3:]},
            where=(new.excluded.seq > disclosures.c.seq) & (new.excluded.epoch >= disclosures.c.epoch),
        )
    )


async def hidden(session: AsyncSession, referred: Collection[Referred]) -> list[Referred]:
    """Those of these referrals that the feed has passed over: it is here, and there is nothing to read of it nor on its
    way."""
    asked = unnested("asked", {"tenant": Text(), "referral": Text()}, sorted(referred))
    read = and_(
        disclosures.c.tenant == referrals.c.tenant,
        disclosures.c.referral == referrals.c.code,
        not_withdrawn(referrals.c.tenant, referrals.c.code, disclosures.c.category, disclosures.c.epoch),
    )
    recorded = and_(own_records.c.tenant == referrals.c.tenant, own_records.c.referral == referrals.c.code)
    statement = (
        select(referrals.c.tenant, referrals.c.code)
        .join(asked, and_(asked.c.tenant == referrals.c.tenant, asked.c.referral == referrals.c.code))
        .where(~or_(exists().where(read), exists().where(recorded), expected()))
        .order_by(asked.c.place)
    )
    return [(row.tenant, row.code) for row in await session.execute(statement)]


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
