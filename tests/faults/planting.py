"""Leaks made on purpose, in every sink and every encoding, so that a search that finds nothing means something."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # documented there, but not marked as exported
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from amanat_local.broker import PARTITIONS
from amanat_local.stack import Stack

from .callers import Heard
from .canaries import URDU_DIGITS, Flock, written
from .collector import Collector
from .sinks import PLANTED, kafka_access


def forms(flock: Flock) -> Mapping[str, str]:
    """What is planted, by encoding: a text in Latin letters and Urdu ones, and as it would lie among others."""
    return {
        f"{encoding} of {mark}": form for mark in (flock.latin, flock.urdu) for encoding, form in written(mark).items()
    }


async def in_rows(stack: Stack, flock: Flock) -> None:
    """A table in each database, and a message in the WAL alone."""
    for addresses in stack.info["databases"].values():
        connection = await asyncpg.connect(addresses["admin"])
        try:
            await connection.execute("CREATE TABLE planted (told text, document jsonb, raw bytea)")
            for form in forms(flock).values():
                await connection.execute(
                    "INSERT INTO planted VALUES ($1, jsonb_build_object('told', $1::text), convert_to($1, 'UTF8'))",
                    form,
                )
                await connection.execute("SELECT pg_logical_emit_message(false, 'planted', $1::text)", form)
            await connection.execute("INSERT INTO planted (told) VALUES ($1)", flock.moment("planted.at"))
            pin = flock.digits("planted.pin")
            for written in (pin, pin.translate(URDU_DIGITS), pin.encode().hex()):
                await connection.execute("INSERT INTO planted (told) VALUES ($1)", written)
        finally:
            await connection.close()


async def remove_rows(stack: Stack) -> None:
    """Takes the tables away again."""
    for addresses in stack.info["databases"].values():
        connection = await asyncpg.connect(addresses["admin"])
        await connection.execute("DROP TABLE IF EXISTS planted")
        await connection.close()


async def in_kafka(stack: Stack, flock: Flock) -> None:
    """Records on a topic of their own, in the key, in a header and in the value."""
    if stack.kind == "real":
        from amanat_local.real import Real

        infrastructure = stack._infrastructure
        assert isinstance(infrastructure, Real)
        administrator = infrastructure.server.administer()  # held: its answers die with it
        for made in administrator.create_topics([NewTopic(PLANTED, PARTITIONS, 1)]).values():
            made.result(30)
    producer = AIOKafkaProducer(**kafka_access(stack.info, "admin"))
    await producer.start()
    try:
        for form in forms(flock).values():
            raw = form.encode()
            await producer.send_and_wait(PLANTED, value=raw)
            await producer.send_and_wait(PLANTED, key=raw, value=b"")
            await producer.send_and_wait(PLANTED, value=b"", headers=[("told", raw)])
    finally:
        await producer.stop()


async def in_logs(stack: Stack, flock: Flock, log: Path) -> None:
    """Lines in a service's log, and in PostgreSQL's."""
    with log.open("a") as file:
        file.writelines(f'{{"event": "{form}"}}\n' for form in forms(flock).values())
    connection = await asyncpg.connect(stack.info["databases"]["intake"]["admin"])
    try:
        for form in forms(flock).values():
            quoted = await connection.fetchval("SELECT quote_literal($1::text)", form)
            await connection.execute(f"DO $do$ BEGIN RAISE LOG '%', {quoted}; END $do$")
    finally:
        await connection.close()


def in_spans(collector: Collector, flock: Flock) -> None:
    """An exporter like the services' own sends a span's name and attributes."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces")))
    for form in forms(flock).values():
        with provider.get_tracer("planted").start_as_current_span(form) as span:
            span.set_attribute("told", form)
    provider.shutdown()


def in_answers(heard: Heard, flock: Flock) -> None:
    """A refusal that echoes, in its body and in a header."""
    for form in forms(flock).values():
        request = httpx.Request("GET", "http://planted.test")
        header = {"x-told": form.encode().decode("latin-1").encode("latin-1")}
        heard.note(httpx.Response(422, request=request, content=form.encode(), headers=header))
