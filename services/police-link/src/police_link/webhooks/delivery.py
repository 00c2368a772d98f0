"""The task that sends webhooks: claims what is due, sends each under its own lease, records what came of it.

Killed in the middle, it loses nothing: the lease ends and the delivery is due again, under the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge, Histogram

from amanat.agency.instruments import Instruments
from amanat.db import AnyRow, Database
from amanat.worker import Every
from police_link.webhooks import messages
from police_link.webhooks.attempt import Calls, Outcome, attempt
from police_link.webhooks.service import queueing
from police_link.webhooks.service.subscriptions import open_endpoint

POLL_S = 0.25
IN_FLIGHT = 24

_ATTEMPTS = Counter("amanat_webhook_attempts_total", "Attempts by outcome", ["type", "outcome"])
_DELAY = Histogram(
    "amanat_webhook_delivery_seconds",
    "From the referral's arrival to the endpoint's acceptance",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 21600, 86400, 259200),
)
_GAVE_UP = Counter("amanat_webhook_given_up_total", "Deliveries and handshakes that were given up", ["type"])
_PAUSED = Counter("amanat_webhook_paused_total", "Endpoints paused because they failed for days or wanted no more")
_QUEUED = Gauge("amanat_webhook_queued", "Deliveries that wait, those of paused endpoints too")
_OLDEST = Gauge("amanat_webhook_oldest_seconds", "How long the longest of them has waited")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rules:
    """What the settings say. `public_url` is that of police-link's HTTP process."""

    public_url: str
    pause_after: timedelta
    retention: timedelta


class Deliveries:
    """A task of the worker (`amanat.worker.Task`)."""

    name = "webhooks"

    def __init__(
        self, database: Database, instruments: Instruments, caller: Calls, rules: Rules, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._caller = caller
        self._rules = rules
        self._now = now
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; then waits for the attempts under way, at most 10 s."""
        try:
            await Every(self.name, POLL_S, self.turn).run(stop)
        finally:
            await self.drained()

    async def turn(self) -> int:
        """Claims what is due and begins to send it; how many. A slow endpoint keeps nobody else waiting."""
        room = IN_FLIGHT - len(self._in_flight)
        if room <= 0:
            return 0
        claimed = await queueing.claim(self._database, self._instruments.new_id(), self._now(), room)
        for each in claimed:
            task = asyncio.create_task(self._deliver(each))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
        return len(claimed)

    async def drained(self) -> None:
        """Returns when nothing is under way."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def upkeep(self) -> None:
        """Deletes what is too old to be sent, and measures the queue."""
        async with self._database.transaction(()) as session:
            await queueing.prune(session, self._now(), self._rules.retention)
            queued, oldest = await queueing.queue_size(session, self._now())
        _QUEUED.set(queued)
        _OLDEST.set(oldest)

    async def _deliver(self, claimed: AnyRow) -> None:
        ids = {"subscription": str(claimed.subscription_id), "delivery": str(claimed.id), "type": claimed.type}
        try:
            outcome = await self._attempt(claimed)
            now, chance = self._now(), int.from_bytes(self._instruments.randomness(4), "big") / 2**32
            async with self._database.transaction([claimed.tenant]) as session:
                settled = await queueing.settle(session, claimed, outcome, now, chance, self._rules.pause_after)
        except Exception as error:
            # Not lost: when its lease is over it is due again.
            _ATTEMPTS.labels(claimed.type, "fault").inc()
            _log.error("webhook_fault", error=type(error).__name__, **ids)
            return
        _ATTEMPTS.labels(claimed.type, outcome.reason).inc()
        if outcome.delivered and claimed.type == messages.OPENED:
            _DELAY.observe(max((now - claimed.created_at).total_seconds(), 0))
        if settled.gave_up:
            _GAVE_UP.labels(claimed.type).inc()
        if settled.paused:
            _PAUSED.inc()
        tell = _log.info if outcome.delivered else _log.warning
        tell(
            "webhook_attempted",
            outcome=outcome.reason,
            status=outcome.status,
            attempt=claimed.attempts,
            gave_up=settled.gave_up,
            paused=settled.paused,
            **ids,
        )

    async def _attempt(self, claimed: AnyRow) -> Outcome:
        endpoint = open_endpoint(
            self._instruments.at_rest,
            claimed.tenant,
            claimed.subscription_id,
            claimed.url_sealed,
            claimed.secret_sealed,
        )
        challenge = None
        if claimed.type == messages.HANDSHAKE:
            challenge = messages.challenge(self._instruments.macs, claimed.id)
            body = messages.handshake_body(challenge, claimed.created_at)
        else:
            body = messages.opened_body(claimed.referral, self._rules.public_url, claimed.created_at)
        return await attempt(
            self._caller,
            url=endpoint.url,
            secret=endpoint.secret,
            delivery=claimed.id,
            body=body,
            challenge=challenge,
            now=self._now(),
        )
