"""How a client reaches and enters Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol

from aiokafka.errors import IllegalOperation, KafkaError

# At its DEBUG level the library writes keys and values into its log.
logging.getLogger("aiokafka").setLevel(logging.WARNING)

_STOP_S = 5.0
BROKEN = (KafkaError, IllegalOperation, OSError, TimeoutError, RuntimeError)
"""What a client raises whose connections broke: RuntimeError is uvloop's, for a write to what was closed meanwhile."""


class KafkaAccess(Protocol):
    """The settings that reach Kafka (`amanat.settings.KafkaSettings`)."""

    @property
    def kafka_bootstrap(self) -> str: ...

    @property
    def kafka_security(self) -> str: ...

    @property
    def kafka_user(self) -> str: ...

    @property
    def kafka_password(self) -> str: ...


def access(settings: KafkaAccess) -> dict[str, Any]:
    """The arguments with which aiokafka's clients reach and enter Kafka."""
    where: dict[str, Any] = {"bootstrap_servers": settings.kafka_bootstrap}
    if settings.kafka_security == "scram":
        where |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    return where


class Stoppable(Protocol):
    """A client of either end."""

    async def stop(self) -> None: ...


async def stopped(client: Stoppable) -> None:
    """Closes a client's connections, in whatever state it is, within a few seconds."""
    with contextlib.suppress(*BROKEN):
        async with asyncio.timeout(_STOP_S):
            await _stop(client)


async def _stop(client: Stoppable) -> None:
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        await client.stop()
    except asyncio.CancelledError:
        if task is None or task.cancelling() > before:
            raise
        # Nobody cancelled us: a consumer that ends within a fetch stumbles over the fetch that it cancelled itself, and
        # leaves its connections open.
        connections = getattr(client, "_client", None)
        if connections is not None:
            await connections.close()
