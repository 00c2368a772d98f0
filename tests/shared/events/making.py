"""What the tests of events make: outbox rows, and events as they come from Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import outbox
from amanat.categories import Category
from amanat.contracts.base import Event
from amanat.contracts.disclosures import CategoryDisclosed, CategoryWithdrawn, KitAnnounced
from amanat.received import Received, received

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
P1, P2, P3 = "P-7KQ2-M4XD-3", "P-0000-0001-1", "P-0000-0002-2"
SADDAR, CLIFTON = "station-saddar", "station-clifton"
KIT = KitAnnounced.type
DISCLOSED = CategoryDisclosed.type
WITHDRAWN = CategoryWithdrawn.type


def kit(referral: str, number: int = 1, organisation: str = SADDAR) -> Event:
    """Unchecked, because these tests are about transport: any referral, any serial."""
    return KitAnnounced.model_construct(
        referral=referral, organisation=organisation, barcode=f"KIT-{number:04}", announced_at=NOW
    )


def disclosed(referral: str, category: str = "incident", epoch: int = 1) -> Event:
    return CategoryDisclosed.model_construct(
        referral=referral,
        organisation=SADDAR,
        category=Category(category),
        epoch=epoch,
        key_id=uuid4(),
        seq=1,
        sealed=b"",
    )


def withdrawn(referral: str, category: str = "incident", epoch: int = 1) -> Event:
    return CategoryWithdrawn.model_construct(
        referral=referral,
        organisation=SADDAR,
        category=Category(category),
        epoch=epoch,
        consent_version=2,
        withdrawn_at=NOW,
    )


async def say(
    session: AsyncSession, topic: str, *events: Event, tenant: str = SADDAR, now: datetime = NOW
) -> list[UUID]:
    """Adds events to the outbox; returns their ids."""
    ids = [uuid4() for _ in events]
    for seq, (event_id, event) in enumerate(zip(ids, events, strict=True), start=1):
        await outbox.add(
            session,
            outbox.row(topic=topic, event=event, event_id=event_id, tenant=tenant, seq=seq, now=now, source="/intake"),
        )
    return ids


def came(
    referral: str | None,
    type: str = KIT,
    body: bytes = b"{}",
    *,
    topic: str = "disclosures.police-link",
    offset: int = 0,
    event_id: UUID | None = None,
    organisation: str = SADDAR,
    headers: Sequence[tuple[str, bytes]] = (),
) -> Received:
    """An event as the consumer hands it over."""
    return received(
        topic=topic,
        partition=0,
        offset=offset,
        timestamp_ms=0,
        key=referral.encode() if referral else None,
        headers=[
            ("ce_id", str(event_id or uuid4()).encode()),
            ("ce_type", type.encode()),
            ("ce_source", b"/intake"),
            ("ce_time", NOW.isoformat().encode()),
            ("ce_organisation", organisation.encode()),
            *headers,
        ],
        body=body,
    )
