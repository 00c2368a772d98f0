"""An agency's Kafka process: takes what the gate discloses, relays what the organisation reports."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import uvloop

from amanat import parked, telemetry
from amanat.agency.handlers import NEVER_PARK, tenant_of
from amanat.agency.instruments import Instruments
from amanat.agency.reading import OWN_RECORDS
from amanat.agency.settings import WorkerSettings
from amanat.agency.telling import TELL_S, tell_of_looks
from amanat.categories import Agency
from amanat.db import Database
from amanat.inbox import Handler, Inbox
from amanat.kafka import Consumer, make_producer
from amanat.ledger.sources import Source
from amanat.ledger_duty import LedgerDuty
from amanat.looks import LOOKS
from amanat.outbox import prune
from amanat.relay import Relay
from amanat.worker import Every, Task, run_worker

Build = Callable[[Instruments, Callable[[], datetime]], Mapping[str, Handler]]
More = Callable[[Database, Instruments], Sequence[Task]]
AUDITED = (LOOKS, OWN_RECORDS)
"""Rows that every agency's ledger commits to."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def nothing_more(_: Database, __: Instruments) -> Sequence[Task]:
    """For a worker without tasks of its own."""
    return ()


async def work(
    agency: Agency,
    settings: WorkerSettings,
    handlers: Build,
    more: More = nothing_more,
    sources: Sequence[Source] = (),
) -> None:
    """Runs until told to stop. `handlers` makes the table of effects; `more` adds tasks of the service's own, `sources`
    rows of its own that its ledger commits to.
    """
    database = Database(settings.database_url, application_name=f"{agency}-worker")
    instruments = Instruments.from_settings(agency, settings, secrets.token_bytes)
    tenants = [each.id for each in instruments.directory.agencies[agency].organisations]
    ledger = LedgerDuty.of(
        agency, settings, instruments.directory, database, instruments.new_id, now,
        sources=[*AUDITED, *sources], at_rest=instruments.at_rest, tenants=tenants,
    )  # fmt: skip
    inbox = Inbox(database, handlers(instruments, now), never_park=NEVER_PARK, tenants_of=tenant_of)

    async def tidy() -> None:
        async with database.transaction(tenants) as session:
            await prune(session, settings, now())

    try:
        await run_worker(
            tasks=[
                Relay(database, make_producer(settings, f"{agency}-worker"), agency),
                Consumer(settings, [f"disclosures.{agency}"], agency, inbox.process),
                Every("parked", 2.0, lambda: parked.attend(database, inbox)),
                Every("prune", 60.0, tidy),
                Every("tell of looks", TELL_S, lambda: tell_of_looks(database, tenants, instruments, now)),
                *ledger.tasks(settings),
                *more(database, instruments),
            ],
            alarms=ledger.standing,
            host=settings.host,
            port=settings.port,
        )
    finally:
        await database.dispose()


def run(
    agency: Agency,
    settings: WorkerSettings,
    handlers: Build,
    more: More = nothing_more,
    sources: Sequence[Source] = (),
) -> None:
    """The process's main function. Raises SystemExit(1) when a task died."""
    telemetry.configure_logging(f"{agency}-worker", settings.log_level)
    telemetry.configure_tracing(f"{agency}-worker")
    uvloop.run(work(agency, settings, handlers, more, sources))
