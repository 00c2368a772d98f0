"""The gate: intake's worker and its only Kafka client. It relays disclosures, takes facts, leases keys, sweeps.

Alone it holds the private half of the key-encryption key and the keys that open facts (DESIGN.md, "One picture").
"""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import uvloop
from fastapi import FastAPI

from amanat import parked, telemetry
from amanat.consent import own
from amanat.db import Database, ready
from amanat.facts import FactOpener
from amanat.http import add_check, create_app
from amanat.inbox import Inbox
from amanat.kafka import Consumer, make_producer
from amanat.kek import FileKekPrivate, FileKekPublic
from amanat.ledger_duty import LedgerDuty
from amanat.outbox import prune
from amanat.relay import Relay
from amanat.worker import Every, Listener, run_worker
from intake.api.leases import LeaseDesk, router
from intake.handlers import NEVER_PARK, TOPICS, handlers, holding
from intake.my_case.service.duress import forget_attempts, note_duress
from intake.service.gatekeeper import GateItself
from intake.service.instruments import Instruments
from intake.service.rotation import rotate_if_due
from intake.service.sources import SOURCES
from intake.service.sweeps import sweep
from intake.settings import GateSettings

GROUP = "intake"
AT_ONCE = 10
"""Facts of one transaction: it holds their cases locked, and leases and withdrawals of these wait as long."""


def build(
    settings: GateSettings, database: Database, instruments: Instruments, alarms: Callable[[], Sequence[str]] = tuple
) -> FastAPI:
    """The internal listener: leases, and nothing else."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await database.dispose()

    app = create_app(
        title="Amanat: the gate", service="intake-gate", settings=settings, routers=[router], lifespan=lifespan
    )
    kek = FileKekPrivate(settings.kek_public_dir, settings.kek_private_dir)
    app.state.leases = LeaseDesk(database, kek, instruments)
    app.state.alarms = alarms
    add_check(app, "database", lambda: ready(database))
    return app


async def run(settings: GateSettings) -> None:
    """Starts everything the gate does; ends when any of it does."""
    database = Database(settings.database_url, pool_size=8, application_name="intake-gate")
    instruments = Instruments.from_settings(settings, FileKekPublic(settings.kek_public_dir), secrets.token_bytes)
    opener = FactOpener.from_dir(settings.facts_key_dir, instruments.directory)
    gate = own(GateItself())
    ledger = LedgerDuty.of(
        "intake", settings, instruments.directory, database, instruments.new_id, _now,
        sources=SOURCES, at_rest=instruments.at_rest, tenants=(),
    )  # fmt: skip
    inbox = Inbox(
        database,
        handlers(opener, gate, instruments, _now, remembers=timedelta(days=settings.inbox_retention_days)),
        never_park=NEVER_PARK,
        tenants_of=lambda _: None,
        hold=holding(opener),
    )

    async def tidy() -> None:
        async with database.transaction(()) as session:
            await prune(session, settings, _now())
            await forget_attempts(session, _now())

    began = _now()

    async def look_around() -> None:
        await sweep(database, gate, _now(), instruments, listening_since=began)
        await note_duress(database, _now())

    private = FileKekPrivate(settings.kek_public_dir, settings.kek_private_dir)
    a_generation = timedelta(hours=settings.rotate_hours)

    async def rotate() -> None:
        await rotate_if_due(database, private, instruments.kek, instruments, now=_now, every=a_generation)

    await run_worker(
        tasks=[
            Listener(build(settings, database, instruments, ledger.standing), host=settings.host, port=settings.port),
            Relay(database, make_producer(settings, "intake-gate"), "intake"),
            Consumer(settings, list(TOPICS), GROUP, inbox.process, max_records=AT_ONCE),
            Every("parked", 2.0, lambda: parked.attend(database, inbox)),
            Every("sweep", settings.sweep_seconds, look_around),
            Every("prune", 60.0, tidy),
            Every("rotate", 300.0, rotate),
            *ledger.tasks(settings),
        ],
        port=None,
    )


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    loaded = GateSettings.load()
    telemetry.configure_logging("intake-gate", loaded.log_level)
    telemetry.configure_tracing("intake-gate")
    uvloop.run(run(loaded))
