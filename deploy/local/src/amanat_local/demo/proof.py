"""Proves a withdrawal honestly, from outside the services: raw rows, raw Kafka records, and every key still leased."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from amanat import sealing
from amanat_local import tokens

DISCLOSED = "pk.amanat.category-disclosed.v1"


@dataclass(frozen=True)
class Copy:
    """A sealed copy of one category, wherever it was found, with what its associated data needs."""

    where: str
    category: str
    epoch: int
    key_id: UUID
    event_id: UUID
    contract: str
    sealed: bytes

    def opens(self, referral: str, key: bytes) -> bool:
        """Whether this key opens it."""
        aad = sealing.associated_data(
            referral=referral,
            category=self.category,
            event_id=self.event_id,
            contract=self.contract,
            key_id=self.key_id,
            epoch=self.epoch,
        )
        try:
            sealing.open_sealed(key, self.sealed, aad)
        except sealing.Unopenable:
            return False
        return True


def lease(info: dict[str, Any], referral: str, organisation: str) -> dict[str, bytes]:
    """Every key that the gate leases to police-link's own credentials for a referral, {key id: key}."""
    token = tokens.token(info, "police-link-service")
    answer = httpx.post(
        f"{info['gate']}/internal/v1/leases",
        json={"items": [{"referral": referral, "organisation": organisation, "purpose": "investigation"}]},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    answer.raise_for_status()
    [item] = answer.json()["leases"]
    return {key["key_id"]: base64.b64decode(key["key"]) for key in item["keys"]}


def wraps(info: dict[str, Any], key_ids: list[UUID]) -> int:
    """How many of these keys the gate's database still has a wrap of."""

    async def count() -> int:
        connection = await asyncpg.connect(info["databases"]["intake"]["admin"])
        try:
            return int(await connection.fetchval("SELECT count(*) FROM keys WHERE key_id = ANY($1)", key_ids))
        finally:
            await connection.close()

    return asyncio.run(count())


def raw_rows(info: dict[str, Any], referral: str) -> list[Copy]:
    """The sealed rows of a referral in police-link's table, read as superuser."""

    async def read() -> list[Copy]:
        connection = await asyncpg.connect(info["databases"]["police_link"]["admin"])
        try:
            rows = await connection.fetch("SELECT * FROM disclosures WHERE referral = $1", referral)
        finally:
            await connection.close()
        return [
            Copy(
                "police-link's row",
                row["category"],
                row["epoch"],
                row["key_id"],
                row["event_id"],
                row["contract"],
                row["sealed"],
            )
            for row in rows
        ]

    return asyncio.run(read())


def raw_records(info: dict[str, Any], referral: str) -> list[Copy]:
    """The sealed records of a referral on the topic, read with police-link's Kafka credentials."""
    kafka = info["kafka"]
    access: dict[str, Any] = {"bootstrap_servers": kafka["bootstrap"]}
    if kafka["security"] == "scram":
        access |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "police-link",
            "sasl_plain_password": kafka["users"]["police-link"],
        }

    async def read() -> list[Copy]:
        consumer = AIOKafkaConsumer(**access, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        found: list[Copy] = []
        try:
            # Assigned by hand: joining the group would take the partitions from the worker.
            consumer.assign([TopicPartition("disclosures.police-link", number) for number in range(4)])
            ends = await consumer.end_offsets(consumer.assignment())
            await consumer.seek_to_beginning()
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [copy for record in records if (copy := _copy(record, referral)) is not None]
        finally:
            await consumer.stop()
        return found

    return asyncio.run(read())


def _copy(record: Any, referral: str) -> Copy | None:
    headers = {name: value.decode() for name, value in record.headers}
    if headers.get("ce_type") != DISCLOSED or headers.get("ce_subject") != referral:
        return None
    event = json.loads(record.value)
    return Copy(
        "the Kafka record",
        event["category"],
        event["epoch"],
        UUID(event["key_id"]),
        UUID(headers["ce_id"]),
        event["contract"],
        base64.b64decode(event["sealed"]),
    )
