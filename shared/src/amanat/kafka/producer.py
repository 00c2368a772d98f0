"""A producer that keeps order and never hangs."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
from aiokafka.partitioner import DefaultPartitioner
from prometheus_client import Counter

from amanat.kafka.access import BROKEN, KafkaAccess, access, stopped
from amanat.outbox import WITHDRAWN

REQUEST_S = 10.0
SEND_S = 2 * REQUEST_S + 5
_BATCH_BYTES = 512 * 1024
# What is wrong with the record itself: the broker is well, and other records would be taken.
_OF_THE_RECORD = (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
_PUBLISHED = Counter("amanat_published_total", "Events that Kafka acknowledged", ["topic"])
_SEND_FAILED = Counter("amanat_send_failed_total", "Sends that Kafka did not acknowledge", ["topic", "error"])
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outgoing:
    """One row to publish. `id` is the outbox's; rows of one key are sent in the order in which they are given."""

    id: int
    topic: str
    key: str | None
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def passes(self) -> bool:
        """A withdrawal waits for nothing: neither for an earlier row of its key that Kafka refuses for itself."""
        return self.headers.get("ce_type") == WITHDRAWN


@dataclass
class Published:
    """What became of a publish: ids that Kafka holds, and what must be held back for a while."""

    sent: list[int] = field(default_factory=list)
    failed_topics: set[str] = field(default_factory=set)
    failed_keys: set[str] = field(default_factory=set)


class Producer:
    """acks=all, idempotent, sends bounded in time; made anew after an error that the library may not survive."""

    def __init__(self, settings: KafkaAccess, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._client: AIOKafkaProducer | None = None
        self._partitioner = DefaultPartitioner()

    async def publish(self, rows: Sequence[Outgoing]) -> Published:
        """Sends rows, those of one partition in their order, partitions side by side; returns what Kafka acknowledged.

        A partition's first failure holds back the rest of that partition, so no row overtakes an earlier one of its
        key. A record that Kafka refuses for itself holds back only its own key.
        """
        outcome = Published()
        topics: dict[str, list[Outgoing]] = defaultdict(list)
        for row in rows:
            topics[row.topic].append(row)
        try:
            client = await self._started()
        except BROKEN as error:
            for topic in topics:
                self._failed(topic, error, outcome)
            return outcome
        await asyncio.gather(*(self._topic(client, topic, its, outcome) for topic, its in topics.items()))
        if outcome.failed_topics:
            # Whatever state the library is in after a failed send, a new client starts from none of it.
            await self.stop()
        return outcome

    async def stop(self) -> None:
        """Closes the connections within a few seconds; the next publish opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await stopped(client)

    async def _started(self) -> AIOKafkaProducer:
        if self._client is None:
            client = AIOKafkaProducer(
                **access(self._settings),
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=int(REQUEST_S * 1000),
                max_batch_size=_BATCH_BYTES,
                # A cap on requests, which may carry batches of several partitions; records are capped by the broker.
                max_request_size=8 * _BATCH_BYTES,
            )
            try:
                async with asyncio.timeout(SEND_S):
                    await client.start()
            except BaseException:
                await stopped(client)
                raise
            self._client = client
        return self._client

    async def _topic(self, client: AIOKafkaProducer, topic: str, rows: list[Outgoing], outcome: Published) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                known = sorted(await client.partitions_for(topic))
        except BROKEN as error:
            self._failed(topic, error, outcome)
            return
        partitions: dict[int, deque[Outgoing]] = defaultdict(deque)
        for row in rows:
            key = row.key.encode() if row.key else None
            partitions[self._partitioner(key, known, known)].append(row)
        await asyncio.gather(*(self._partition(client, topic, p, its, outcome) for p, its in partitions.items()))

    async def _partition(
        self, client: AIOKafkaProducer, topic: str, partition: int, rows: deque[Outgoing], outcome: Published
    ) -> None:
        single = False
        while rows:
            batch, packed = client.create_batch(), list[Outgoing]()
            while rows and not (single and packed):
                if rows[0].key in outcome.failed_keys and not rows[0].passes:
                    rows.popleft()
                elif _append(batch, rows[0]):
                    packed.append(rows.popleft())
                else:
                    break
            if not packed:
                return
            batch.close()
            try:
                async with asyncio.timeout(SEND_S):
                    acknowledged = await client.send_batch(batch, topic, partition=partition)
                    await acknowledged
            except _OF_THE_RECORD as error:
                if len(packed) == 1:
                    self._refused(packed[0], error, outcome)
                else:
                    # One of them is at fault: each alone, so that the others go on.
                    single = True
                    rows.extendleft(reversed(packed))
            except BROKEN as error:
                self._failed(topic, error, outcome)
                return
            else:
                outcome.sent.extend(row.id for row in packed)
                _PUBLISHED.labels(topic).inc(len(packed))

    def _failed(self, topic: str, error: BaseException, outcome: Published) -> None:
        outcome.failed_topics.add(topic)
        _SEND_FAILED.labels(topic, type(error).__name__).inc()
        _log.warning("send_failed", topic=topic, error=type(error).__name__)

    def _refused(self, row: Outgoing, error: BaseException, outcome: Published) -> None:
        if row.key is not None:
            outcome.failed_keys.add(row.key)
        _SEND_FAILED.labels(row.topic, type(error).__name__).inc()
        _log.error("record_refused", topic=row.topic, outbox_id=row.id, error=type(error).__name__)


def make_producer(settings: KafkaAccess, client_id: str = "amanat-relay") -> Producer:
    """A producer that connects at its first publish: a service starts while its broker is away."""
    return Producer(settings, client_id)


def _append(batch: Any, row: Outgoing) -> bool:
    headers = [(name, value.encode()) for name, value in row.headers.items()]
    key = row.key.encode() if row.key else None
    return batch.append(key=key, value=row.body, timestamp=None, headers=headers) is not None
