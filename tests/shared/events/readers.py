"""What the tests of Kafka's two ends send and read with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

from amanat.kafka import Consumer, KafkaAccess, Outgoing, Producer, Received

from .making import KIT, SADDAR


def outgoing(topic: str, key: str | None, body: bytes, id: int = 0) -> Outgoing:
    headers = {"ce_id": str(uuid4()), "ce_type": KIT, "ce_subject": key or "", "ce_organisation": SADDAR}
    return Outgoing(id, topic, key, headers, body)


class Group:
    """A consumer at work that notes what it takes."""

    def __init__(
        self, kafka: KafkaAccess, topic: str, group: str, *, fails: int = 0, stall_seconds: float = 60
    ) -> None:
        self.taken: list[Received] = []
        self.attempts = 0
        self.before_settling: Callable[[], Awaitable[None]] | None = None
        self._fails = fails
        self._stop = asyncio.Event()
        self.consumer = Consumer(
            kafka, [topic], group, self._take, instance=f"{group}-here", stall_seconds=stall_seconds
        )

    async def _take(self, batch: Sequence[Received]) -> None:
        self.attempts += 1
        if self.attempts <= self._fails:
            raise ConnectionResetError
        if self.before_settling is not None:
            await self.before_settling()
        self.taken.extend(batch)

    async def __aenter__(self) -> Group:
        self.task = asyncio.create_task(self.consumer.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self.task

    def bodies(self, key: str) -> list[bytes]:
        return [event.body for event in self.taken if event.key == key]


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def published(producer: Producer, *rows: Outgoing) -> None:
    """As the relay does, again when Kafka does not take it yet: a new broker's ACLs need a moment to hold."""
    async with asyncio.timeout(30):
        while (outcome := await producer.publish(rows)).failed_topics:
            await asyncio.sleep(0.2)
    assert len(outcome.sent) == len(rows)
