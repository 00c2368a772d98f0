"""The webhooks' share in police-link's worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from amanat.agency.handlers import Hooks
from amanat.agency.instruments import Instruments
from amanat.db import Database
from amanat.worker import Every, Task
from police_link.webhooks.connection import Caller
from police_link.webhooks.delivery import Deliveries, Rules
from police_link.webhooks.service.queueing import arrived, disclosed, withdrawn
from police_link.webhooks.settings import WebhookSettings

UPKEEP_S = 30.0


def hooks(instruments: Instruments) -> Hooks:
    """What webhooks do on the gate's events, in each event's transaction."""
    return Hooks(arrived=(arrived(instruments.new_id),), disclosed=(disclosed,), withdrawn=(withdrawn,))


def tasks(database: Database, instruments: Instruments, settings: WebhookSettings) -> Sequence[Task]:
    """Sending, and upkeep."""
    rules = Rules(
        public_url=settings.public_url,
        pause_after=timedelta(days=settings.webhook_pause_after_days),
        retention=timedelta(days=settings.webhook_retention_days),
    )
    caller = Caller(allow_private=settings.webhook_allow_private)
    sending = Deliveries(database, instruments, caller, rules, lambda: datetime.now(UTC))
    return (sending, Every("webhook-upkeep", UPKEEP_S, sending.upkeep))
