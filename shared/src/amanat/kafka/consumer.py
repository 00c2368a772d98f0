"""A consumer that loses nothing and never stalls unseen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from prometheus_client import Counter, Gauge

from amanat.kafka.access import BROKEN, KafkaAccess, access, stopped
from amanat.received import Received, received
from amanat.waiting import ended, waited

_CONSUMED = Counter("amanat_consumed_total", "Events taken from Kafka and settled", ["group"])
_RETRIED = Counter("amanat_batch_retried_total", "Batches that were tried again", ["group", "error"])
_LAG = Gauge("amanat_consumer_lag", "Events on the assigned partitions not settled yet", ["group"])
_START_S = 60.0
_ASK_S = 10.0
_POLL_MS = 500
_SHORTEST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_log = structlog.get_logger(__name__)

OnBatch = Callable[[Sequence[Received]], Awaitable[None]]


class Stalled(Exception):
    """Events wait and none was settled for too long: the process ends, and starts anew from what is committed."""


class Consumer:
    """Reads `topics` as `group` from the earliest event on, in batches, each settled before the next is taken.

    `on_batch` returns when a batch is settled in the database; then its offsets are committed. When it raises, the same
    batch is tried again, with growing pauses, until it settles or the process ends. A broker that goes away is waited
    for; one whose coordinator does not answer is connected to anew; one that lost its log is read from its beginning.

    `instance` is this process's place in the group (static membership): a restart takes its partitions again without a
    rebalance. It must differ between replicas; the host name makes it so where each has its own.
    """

    def __init__(
        self,
        settings: KafkaAccess,
        topics: Collection[str],
        group: str,
        on_batch: OnBatch,
        *,
        instance: str | None = None,
        max_records: int = 200,
        stall_seconds: float = 120.0,
    ) -> None:
        self.name = f"consumer {group}"
        self._settings = settings
        self._topics = sorted(topics)
        self._group = group
        self._on_batch = on_batch
        self._instance = instance or f"{group}-{socket.gethostname()}"
        self._max_records = max_records
        self._stall_seconds = stall_seconds
        self._client: AIOKafkaConsumer | None = None
        self._in_hand = 0
        self._last_progress = 0.0

    @property
    def ready(self) -> bool:
        """Whether partitions have been assigned and the connection has not been given up since."""
        return self._client is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop`; the batch in hand is settled first. Raises Stalled."""
        self._last_progress = asyncio.get_running_loop().time()
        work = asyncio.create_task(self._work(stop))
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended([work, watch])
        for task in (work, watch):
            if not task.cancelled():
                task.result()

    async def _work(self, stop: asyncio.Event) -> None:
        wait = _SHORTEST_WAIT_S
        while not stop.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self._connected(stop)
            except (*BROKEN, ConsumerStoppedError, IllegalStateError) as error:
                _log.warning("consumer_reconnects", group=self._group, error=type(error).__name__)
            if asyncio.get_running_loop().time() - began > _START_S:
                wait = _SHORTEST_WAIT_S
            await waited(stop, wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    async def _connected(self, stop: asyncio.Event) -> None:
        client = self._new()
        try:
            async with asyncio.timeout(_START_S):
                await client.start()
            self._client = client
            self._progressed()
            while not stop.is_set():
                fetched = await client.getmany(timeout_ms=_POLL_MS, max_records=self._max_records)
                if fetched and await self._settled(fetched, stop):
                    await self._commit(client, fetched)
        finally:
            self._client = None
            await stopped(client)

    def _new(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            *self._topics,
            **access(self._settings),
            client_id=self._instance,
            group_id=self._group,
            # The embedded stack's broker, the only one without users, knows no static members: it would keep the place
            # of one that left until its session ends, and a restart would wait for that.
            group_instance_id=self._instance if self._settings.kafka_security != "plaintext" else None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=2_000,
            # A batch may wait for a database that restarts; the watchdog, not Kafka, says when it waits too long.
            max_poll_interval_ms=int(self._stall_seconds * 2_000),
            fetch_max_wait_ms=_POLL_MS,
            metadata_max_age_ms=60_000,
        )

    async def _settled(self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]], stop: asyncio.Event) -> bool:
        batch = [_received(record) for records in fetched.values() for record in records]
        wait = _SHORTEST_WAIT_S
        self._in_hand = len(batch)
        try:
            while True:
                try:
                    await self._on_batch(batch)
                except Exception as error:  # whatever it is, skipping the batch would lose it
                    _RETRIED.labels(self._group, type(error).__name__).inc()
                    _log.warning("batch_retried", group=self._group, events=len(batch), error=type(error).__name__)
                    if stop.is_set():
                        return False
                    await waited(stop, wait)
                    wait = min(2 * wait, _LONGEST_WAIT_S)
                else:
                    _CONSUMED.labels(self._group).inc(len(batch))
                    self._progressed()
                    return True
        finally:
            self._in_hand = 0

    async def _commit(
        self, client: AIOKafkaConsumer, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> None:
        offsets = {partition: records[-1].offset + 1 for partition, records in fetched.items()}
        try:
            async with asyncio.timeout(_ASK_S):
                await client.commit(offsets)
        except (*BROKEN, IllegalStateError) as error:
            # The effects are committed; at worst the events come again and the inbox knows them.
            _log.warning("offsets_not_committed", group=self._group, error=type(error).__name__)
            if isinstance(error, TimeoutError | RuntimeError):
                # After a broker's crash a client was seen to read on and never again to be heard by its coordinator.
                raise

    def _progressed(self) -> None:
        self._last_progress = asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self._stall_seconds / 4))
            client = self._client
            if client is None:
                # Waiting for a broker is no stall: nothing can be known to wait there.
                self._progressed()
                continue
            behind = await _behind(client)
            if behind is None:
                continue
            lag = self._in_hand + behind
            _LAG.labels(self._group).set(lag)
            if not lag:
                self._progressed()
            elif asyncio.get_running_loop().time() - self._last_progress > self._stall_seconds:
                _log.error("consumer_stalled", group=self._group, lag=lag)
                raise Stalled


async def _behind(client: AIOKafkaConsumer) -> int | None:
    try:
        async with asyncio.timeout(_ASK_S):
            ends = await client.end_offsets(client.assignment())
            lag = 0
            for partition, end in ends.items():
                lag += max(0, end - await client.position(partition))
    except (*BROKEN, IllegalStateError, ConsumerStoppedError):
        return None
    return lag


def _received(record: ConsumerRecord) -> Received:
    return received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        headers=record.headers,
        body=record.value,
    )
