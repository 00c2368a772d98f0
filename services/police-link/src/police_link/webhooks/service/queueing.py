"""What enters the queue with a referral, what leaves it with a withdrawal, and what an attempt's outcome does to it.

Locks are taken subscription → delivery. An arrival locks its subscriptions against removal only (FOR KEY SHARE), which
no outcome waits for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.arriving import Referred
from amanat.db import AnyRow, Database
from police_link.webhooks import messages, schedule
from police_link.webhooks.attempt import Outcome
from police_link.webhooks.models import ACTIVE, FAILED, PAUSED
from police_link.webhooks.repository import deliveries, subscriptions
from police_link.webhooks.service.subscriptions import HEALTHY

LEASE = timedelta(seconds=30)
"""How long a claimed delivery is one worker's: an attempt takes 10 s at most, and then one transaction."""
AT_ONCE_PER_ENDPOINT = 4
PRUNED_AT_ONCE = 1000


def arrived(new_id: Callable[[], UUID]) -> Callable[[AsyncSession, Sequence[Referred], datetime], Awaitable[None]]:
    """The hook on arrivals: one delivery for each of the organisation's subscriptions, in the transaction that brings
    the referral. A subscription still to be verified, or paused, has its events kept for it. Of an arrival that was
    parked until after its withdrawal, nobody is told."""

    async def queue(session: AsyncSession, places: Sequence[Referred], now: datetime) -> None:
        receivers = await subscriptions.receivers(session, {organisation for organisation, _ in places})
        heard = [place for place in places if receivers.get(place[0])]
        told = await deliveries.worth_telling(session, heard)
        rows = [
            {
                "tenant": organisation,
                "id": new_id(),
                "subscription_id": subscription,
                "type": messages.OPENED,
                "referral": referral,
                "created_at": now,
                "next_attempt_at": now,
                "purged_at": None if (organisation, referral) in told else now,
            }
            for organisation, referral in heard
            for subscription in receivers[organisation]
        ]
        await deliveries.enqueue(session, rows)

    return queue


async def withdrawn(session: AsyncSession, places: Sequence[Referred], now: datetime) -> None:
    """The hook on withdrawals, after their tombstones are put: when nothing of a referral can be read any more, nobody
    is told of it any more, by a replay neither."""
    for organisation, referral in places:
        await deliveries.purge(session, organisation, referral, now)


async def disclosed(session: AsyncSession, places: Sequence[Referred], now: datetime) -> None:
    """The hook on disclosures: one category may have been withdrawn while another was still on its way, and then the
    arrival is told now."""
    await deliveries.restore(session, places, now)


async def claim(database: Database, claim: UUID, now: datetime, room: int) -> Sequence[AnyRow]:
    """Takes up to `room` due deliveries, committed before anything is sent."""
    async with database.transaction(()) as session:
        tenants = await deliveries.due_tenants(session, now)
    if not tenants:
        return ()
    async with database.transaction(tenants) as session:
        return await deliveries.claim(
            session, tenants, claim=claim, now=now, lease=LEASE, room=room, each=AT_ONCE_PER_ENDPOINT
        )


@dataclass(frozen=True)
class Settlement:
    """What an outcome came to, for logs and metrics."""

    gave_up: bool = False
    paused: bool = False


async def settle(
    session: AsyncSession, claimed: AnyRow, outcome: Outcome, now: datetime, chance: float, pause_after: timedelta
) -> Settlement:
    """Records an attempt's outcome on the endpoint and on the delivery. `chance` is in [0, 1)."""
    if outcome.delivered:
        await _delivered(session, claimed, outcome, now)
        return Settlement()
    return await _failed(session, claimed, outcome, now, chance, pause_after)


async def _delivered(session: AsyncSession, claimed: AnyRow, outcome: Outcome, now: datetime) -> None:
    health: dict[str, object] = {"failures": 0, "failing_since": None, "not_before": None}
    if claimed.type == messages.HANDSHAKE:
        health |= {"state": ACTIVE, "verified_at": now, **HEALTHY}
    await subscriptions.set_health(session, claimed.tenant, claimed.subscription_id, health)
    result = {"delivered_at": now, "last_reason": outcome.reason, "last_status": outcome.status}
    await deliveries.mark_delivered(session, claimed.tenant, claimed.id, result)


async def _failed(
    session: AsyncSession, claimed: AnyRow, outcome: Outcome, now: datetime, chance: float, pause_after: timedelta
) -> Settlement:
    endpoint = await subscriptions.note_failure(session, claimed.tenant, claimed.subscription_id, now)
    if endpoint is None:
        return Settlement()
    handshake = claimed.type == messages.HANDSHAKE
    again = schedule.retry_at(claimed.attempts, now, chance, handshake=handshake)
    health: dict[str, object] = {
        "not_before": schedule.rest_until(endpoint.failures, now, chance, outcome.retry_after_s)
    }
    long_enough = now - endpoint.failing_since >= pause_after
    paused = not handshake and (outcome.gone or long_enough)
    if paused:
        health |= {"state": PAUSED, "paused_at": now, "paused_because": "gone" if outcome.gone else "failing"}
    elif handshake and again is None:
        health["state"] = FAILED
    await subscriptions.set_health(session, claimed.tenant, claimed.subscription_id, health)
    result: dict[str, object] = {"last_reason": outcome.reason, "last_status": outcome.status}
    # What a pause interrupts is not given up: it waits for the replay that resumes the endpoint.
    result |= {"gave_up_at": now} if again is None and not paused else {"next_attempt_at": again or now}
    await deliveries.mark_failed(session, claimed.tenant, claimed.id, claimed.claim, result)
    return Settlement(gave_up=again is None and not paused, paused=paused)


async def prune(session: AsyncSession, now: datetime, retention: timedelta) -> int:
    """Deletes what is older than the retention, sent or not; a bounded number at once. How many."""
    return await deliveries.prune(session, now - retention, PRUNED_AT_ONCE)


async def queue_size(session: AsyncSession, now: datetime) -> tuple[int, float]:
    """How many deliveries wait, and how long the longest of them does, in seconds."""
    row = await deliveries.queue_size(session)
    return int(row.queued), (now - row.oldest).total_seconds() if row.oldest else 0.0
