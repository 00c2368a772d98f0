"""What happens on each event from the gate. Every effect may come twice, and in any order of categories and epochs.

| event | effect |
|---|---|
| `referral-opened` | the referral is there; `arrived` |
| `category-disclosed` | its sealed row, if newer and not withdrawn |
| `category-withdrawn` | the tombstone, confirmed to the gate in the same transaction; `withdrawn`; never parked |
| `kit-announced` | the barcode is known; `kit_announced` |
| `tombstones-requested` | all tombstones, in facts of a thousand each; never parked |

Locks are taken in the platform's order: inbox → referrals by code → tombstones → what hooks lock → outbox → ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import TypeVar

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.agency import arriving
from amanat.agency.arriving import Referred
from amanat.agency.instruments import Instruments
from amanat.agency.recording import send
from amanat.contracts.base import Event
from amanat.contracts.disclosures import (
    CategoryDisclosed,
    CategoryWithdrawn,
    KitAnnounced,
    ReferralOpened,
    TombstonesRequested,
)
from amanat.contracts.withdrawals import TOMBSTONES_AT_ONCE, Tombstone, TombstoneConfirmed, TombstonesReported
from amanat.inbox import Handler
from amanat.received import Received

_KIT_CONFLICTS = Counter("amanat_kit_conflicts_total", "Kits announced under a barcode of another referral")
_log = structlog.get_logger(__name__)

NEVER_PARK = frozenset({CategoryWithdrawn.type, TombstonesRequested.type})
EVERYBODY = "*"

OfReferrals = Callable[[AsyncSession, Sequence[Referred], datetime], Awaitable[None]]
"""(session, each referral once, now): part of the events' transaction; what it raises parks an event."""
OfKit = Callable[[AsyncSession, str, str, str, datetime], Awaitable[None]]
"""(session, referral, organisation, barcode, now), likewise."""
E = TypeVar("E", bound=Event)
T = TypeVar("T")


class Misaddressed(Exception):
    """An event whose header names another organisation than its body: the transaction would act for the wrong one."""


@dataclass(frozen=True)
class Hooks:
    """What a service does besides, in the same transaction: on referrals' arrival, on newly disclosed categories, on
    withdrawals (queued webhooks are purged there), on each newly announced kit."""

    arrived: Sequence[OfReferrals] = ()
    disclosed: Sequence[OfReferrals] = ()
    withdrawn: Sequence[OfReferrals] = ()
    kit_announced: Sequence[OfKit] = ()


def tenant_of(event: Received) -> str | None:
    """For whom an event is handled: its organisation; nobody in particular where it is for the agency as a whole."""
    return None if event.organisation == EVERYBODY else event.organisation


def build(instruments: Instruments, now: Callable[[], datetime], hooks: Hooks | None = None) -> Mapping[str, Handler]:
    """One handler for each type of event that the gate sends to an agency; any other type is parked."""
    each = _Effects(instruments, now, hooks or Hooks())
    return {
        ReferralOpened.type: each.referral_opened,
        CategoryDisclosed.type: each.category_disclosed,
        CategoryWithdrawn.type: each.category_withdrawn,
        KitAnnounced.type: each.kit_announced,
        TombstonesRequested.type: each.tombstones_requested,
    }


@dataclass(frozen=True)
class _Effects:
    instruments: Instruments
    now: Callable[[], datetime]
    hooks: Hooks

    async def referral_opened(self, session: AsyncSession, events: Sequence[Received]) -> None:
        now, opened = self.now(), [_addressed(each, ReferralOpened) for each in events]
        await arriving.in_order(session, {event.organisation for event in opened})
        for wave in _waves(opened, lambda event: event.referral):
            new = await arriving.add_referrals(session, wave, now)
            arrived = [(event.organisation, event.referral) for event in wave if event.referral in new]
            await _call(self.hooks.arrived, session, arrived, now)

    async def category_disclosed(self, session: AsyncSession, events: Sequence[Received]) -> None:
        now = self.now()
        rows = [
            dict(_addressed(each, CategoryDisclosed)) | {"event_id": each.event_id, "received_at": now}
            for each in events
        ]
        for wave in _waves(rows, lambda row: (row["organisation"], row["referral"], row["category"])):
            places = list(dict.fromkeys((row["organisation"], row["referral"]) for row in wave))
            # Parked while another category was withdrawn, it comes to a referral that readers have passed by.
            hidden = await arriving.hidden(session, places)
            await arriving.put_disclosures(session, [{**row, "tenant": row["organisation"]} for row in wave])
            for organisation, referral in hidden:
                await arriving.arrive_again(session, organisation, referral)
            await _call(self.hooks.disclosed, session, places, now)

    async def category_withdrawn(self, session: AsyncSession, events: Sequence[Received]) -> None:
        now, withdrawn = self.now(), [_read(each, CategoryWithdrawn) for each in events]
        seqs = [await arriving.note_withdrawal(session, event) for event in withdrawn]
        for event in withdrawn:
            await arriving.put_tombstone(session, event, now)
        places = list(dict.fromkeys((event.organisation, event.referral) for event in withdrawn))
        await _call(self.hooks.withdrawn, session, places, now)
        for event, seq in zip(withdrawn, seqs, strict=True):
            confirmed = TombstoneConfirmed(
                referral=event.referral, category=event.category, epoch=event.epoch, confirmed_at=now
            )
            await send(session, confirmed, tenant=event.organisation, seq=seq, now=now, instruments=self.instruments)
        entered = [
            ledger.Statement(
                event.organisation,
                "tombstone",
                event.referral,
                now,
                {"category": event.category.value, "epoch": event.epoch},
            )
            for received, event in zip(events, withdrawn, strict=True)
            # A withdrawal takes effect even when its header is wrong; then only its ledger row is beyond our reach.
            if received.organisation == event.organisation
        ]
        await ledger.enter(session, entered, self.instruments.at_rest, self.instruments.randomness)

    async def kit_announced(self, session: AsyncSession, events: Sequence[Received]) -> None:
        now = self.now()
        for each in events:
            event = _addressed(each, KitAnnounced)
            try:
                new = await arriving.put_kit(session, event)
            except arriving.KitElsewhere:
                # Two cells used one serial: an alarm for people, and no reason to hold back the second survivor's case.
                _KIT_CONFLICTS.inc()
                _log.error("kit_announced_twice", referral=event.referral)
                continue
            if new:
                for hook in self.hooks.kit_announced:
                    await hook(session, event.referral, event.organisation, event.barcode, now)

    async def tombstones_requested(self, session: AsyncSession, events: Sequence[Received]) -> None:
        now = self.now()
        for each in events:
            asked = _read(each, TombstonesRequested)
            held = [
                Tombstone(
                    referral=row.referral,
                    organisation=row.tenant,
                    category=row.category,
                    epoch=row.epoch,
                    withdrawn_at=row.withdrawn_at,
                )
                for row in await arriving.all_tombstones(session)
            ]
            answer_id = self.instruments.new_id()
            parts = max(1, ceil(len(held) / TOMBSTONES_AT_ONCE))
            for part in range(1, parts + 1):
                reported = TombstonesReported(
                    request_id=asked.request_id,
                    tombstones=tuple(held[(part - 1) * TOMBSTONES_AT_ONCE : part * TOMBSTONES_AT_ONCE]),
                    answer_id=answer_id,
                    part=part,
                    parts=parts,
                )
                await send(session, reported, tenant=EVERYBODY, seq=None, now=now, instruments=self.instruments)


async def _call(hooks: Sequence[OfReferrals], session: AsyncSession, places: Sequence[Referred], now: datetime) -> None:
    if places:
        for hook in hooks:
            await hook(session, places, now)


def _waves(each: Sequence[T], key: Callable[[T], object]) -> list[list[T]]:
    """All of them, in their order, in as few parts as hold each key once: one statement can change a row once."""
    waves: list[dict[object, T]] = []
    for one in each:
        wave = next((wave for wave in waves if key(one) not in wave), None)
        if wave is None:
            waves.append(wave := {})
        wave[key(one)] = one
    return [list(wave.values()) for wave in waves]


def _read(received: Received, kind: type[E]) -> E:
    event = received.event()
    if not isinstance(event, kind):
        raise TypeError("an event of another contract than its type's")
    return event


def _addressed(received: Received, kind: type[E]) -> E:
    event = _read(received, kind)
    if getattr(event, "organisation", None) != received.organisation:
        raise Misaddressed
    return event
