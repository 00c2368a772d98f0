"""What the ledger asks of a service's Kafka process: sequence, publish, witness, audit, and show what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency
from amanat.contracts.checkpoints import CheckpointCosigned, CheckpointPublished, ConsistencyShown
from amanat.db import Database
from amanat.directory import Directory
from amanat.inbox import Inbox
from amanat.kafka import Consumer
from amanat.ledger import alarms, tree
from amanat.ledger.alarms import Board
from amanat.ledger.audit import audit
from amanat.ledger.checkpoints import Speaker, publish
from amanat.ledger.entries import Seals
from amanat.ledger.known import Ledgers
from amanat.ledger.sources import Source
from amanat.ledger.witness import SILENT_AFTER, TOPIC, Witness
from amanat.notes import NoteSigner
from amanat.received import Received
from amanat.settings import KafkaSettings, LedgerSettings
from amanat.worker import Every, Task, Timetable

TYPES = frozenset({ConsistencyShown.type, CheckpointPublished.type, CheckpointCosigned.type})
SEQUENCE_S = 0.5
WATCH_S = 5.0
ATTENTIVE_S = 60.0
"""Between two watches at most, or listening counts as begun anew: while the database was away, or the process stood
still, nothing could be heard."""
_WAITING = Gauge("amanat_ledger_waiting", "Entries that the sequencer has not yet taken", ["service"])
_SIZE = Gauge("amanat_ledger_size", "Entries in the tree of the checkpoint published last", ["service"])
_log = structlog.get_logger(__name__)


class NoLedgerKey(ValueError):
    """The key file is no Ed25519 key, or not the one that the directory names for this service. Names no secret."""


class Ear:
    """Since when a process has listened without a gap; `last` is its last watch that went well."""

    def __init__(self, now: datetime) -> None:
        self._since = self.last = now

    def listens_since(self, now: datetime) -> datetime:
        """As of now."""
        if (now - self.last).total_seconds() > ATTENTIVE_S:
            self._since = now
        return self._since


@dataclass(frozen=True)
class LedgerDuty:
    """One service's part in the ledgers: its own, and its eyes on the others'."""

    service: str
    database: Database
    speaker: Speaker
    witness: Witness
    board: Board
    every_s: float
    audit_s: float
    sources: Sequence[Source]
    at_rest: Seals
    tenants: Collection[str]
    now: Callable[[], datetime]
    ear: Ear

    @classmethod
    def of(
        cls,
        service: str,
        settings: LedgerSettings,
        directory: Directory,
        database: Database,
        new_id: Callable[[], UUID],
        now: Callable[[], datetime],
        *,
        sources: Sequence[Source],
        at_rest: Seals,
        tenants: Collection[str],
    ) -> LedgerDuty:
        """An audit reads `sources`: all tenants' or, where row-level security asks for them, those of `tenants`.

        Raises NoLedgerKey unless the key file fits the directory.
        """
        ledgers = Ledgers.of(directory)
        signer = _signer(settings.ledger_key_file, directory, service)
        speaker = Speaker(service, signer, new_id)
        witness = Witness(speaker, ledgers, settings.checkpoint_seconds)
        board, every_s, audit_s = Board(database), settings.checkpoint_seconds, settings.audit_seconds
        return cls(
            service, database, speaker, witness, board, every_s, audit_s, sources, at_rest, tenants, now, Ear(now())
        )

    @property
    def topics(self) -> list[str]:
        """What the process reads besides its own."""
        return [f"{TOPIC}{service}" for service in self.witness.ledgers.verifiers if service != self.service]

    async def process(self, batch: Sequence[Received]) -> None:
        """Takes what came on the other services' topics. It has an inbox and a consumer of its own: nothing that
        another service writes there is ever handled as the gate's word, or keeps it waiting. Raises as `Inbox.process`.
        """
        strangers = [event for event in batch if event.type not in TYPES]
        for event in strangers:
            async with self.database.transaction(()) as session:
                await self.witness.refuse(session, event, self.now())
        inbox = Inbox(self.database, dict.fromkeys(TYPES, self._hear), TYPES, lambda _: None)
        await inbox.process([event for event in batch if event.type in TYPES])

    async def _hear(self, session: AsyncSession, events: Sequence[Received]) -> None:
        # Each ledger in its own order; ledgers by name, so that two transactions lock them in one order.
        for event in sorted(events, key=lambda each: each.topic):
            await self.witness.hear(session, event, self.now())

    def tasks(self, settings: KafkaSettings) -> list[Task]:
        """What runs beside the process's own relay and consumer."""
        return [
            Consumer(settings, self.topics, f"{self.service}-ledger", self.process),
            Every("sequence", SEQUENCE_S, self._sequence),
            Timetable("checkpoint", self.every_s, self._publish),
            Every("witness", WATCH_S, self._watch),
            Every("audit", self.audit_s, self._audit),
        ]

    def standing(self) -> Sequence[str]:
        """For `/readyz`: what stands, as "kind: origin"."""
        return self.board.told

    async def _sequence(self) -> None:
        try:
            await tree.integrate(self.database)
        except tree.Damaged as damage:
            # Until it is mended, twice a second: an alarm that stands is not raised, nor logged, again.
            await alarms.raise_alarm(self.database, self.speaker.origin, damage.alarm, {}, self.now())

    async def _publish(self, at: datetime) -> None:
        checkpoint = await publish(self.database, self.speaker, at, self.every_s)
        if checkpoint is not None:
            _SIZE.labels(self.service).set(checkpoint.size)

    async def _audit(self) -> None:
        origin, now = self.speaker.origin, self.now()
        done = await audit(self.database, self.sources, self.at_rest, origin, now, tenants=self.tenants)
        _log.info("ledger_audited", leaves=done.leaves, erased=done.erased, alarms=done.alarms)

    async def _watch(self) -> None:
        now = self.now()
        await self.witness.watch(self.database, self.ear.listens_since(now), now)
        async with self.database.transaction(()) as session:
            number, oldest = await tree.waiting(session)
            _WAITING.labels(self.service).set(number)
            if oldest is not None and (now - oldest).total_seconds() > SILENT_AFTER * self.every_s:
                await alarms.add(session, self.speaker.origin, alarms.SEQUENCER_WAITS, {}, now)
            else:
                await alarms.end(session, self.speaker.origin, {alarms.SEQUENCER_WAITS}, now)
        await self.board.look()
        self.ear.last = now


def _signer(path: Path, directory: Directory, service: str) -> NoteSigner:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        raise NoLedgerKey("the ledger's key file is no private key in PEM") from None
    entry = directory.ledgers.get(Agency(service))
    if entry is None or not isinstance(key, Ed25519PrivateKey):
        raise NoLedgerKey("the directory names no ledger of this service, or its key file is no Ed25519 key")
    if key.public_key().public_bytes_raw() not in [each.public_key for each in entry.keys]:
        raise NoLedgerKey("the ledger's key is none that the directory names for this service")
    return NoteSigner(key, entry.origin)
