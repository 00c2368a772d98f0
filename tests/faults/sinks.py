"""Everywhere a personal field could come to lie, as bytes under a name; and the search through them.

A file that was not touched since the canaries were made cannot hold one, so it is not read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from amanat_local.broker import PARTITIONS, TOPICS
from amanat_local.stack import Stack

from .canaries import Flock, encodings

CHUNK = 1 << 25
OVERLAP = 4096
PLANTED = "planted"
"""The topic, and the table, that leaks are planted in."""
Named = tuple[str, bytes]


@dataclass(frozen=True)
class Finding:
    """A canary where none may be. `what` is the field or the shared mark, never the surroundings."""

    sink: str
    what: str
    encoding: str

    @property
    def kind(self) -> str:
        """The sink's own kind: rows, files, logs, kafka, segments, spans, errors, headers, webhooks."""
        return self.sink.partition(" ")[0]


class Search:
    """Finds every canary of a flock in every encoding; binary instants `besides` some fields'."""

    def __init__(self, flock: Flock, *, besides: Callable[[str], bool] = lambda where: False) -> None:
        self._known: dict[bytes, set[tuple[str, str]]] = defaultdict(set)
        for what, text in flock.needles():
            for encoding, form in encodings(text).items():
                self._known[form].add((what, encoding))
        self._instants = {form: what for what, form in flock.instants() if not besides(what)}
        # Of two that begin alike the longer one first: an alternation takes the first that fits.
        self._pattern = re.compile(b"|".join(re.escape(form) for form in sorted(self._known, key=len, reverse=True)))

    def through(self, pieces: Iterable[Named]) -> set[Finding]:
        """All findings. A piece that begins with `files ` is searched for PostgreSQL's binary instants as well."""
        found: set[Finding] = set()
        for sink, piece in pieces:
            for match in self._pattern.finditer(piece):
                found |= {Finding(sink, what, encoding) for what, encoding in self._known[match[0]]}
            if sink.startswith("files "):
                instants = [(what, form) for form, what in self._instants.items() if form in piece]
                found |= {Finding(sink, what, "binary instant") for what, _ in instants}
        return found


def files(kind: str, folder: Path, since: float, *, under: Path | None = None) -> Iterator[Named]:
    """Every file below a folder that was written since, in overlapping chunks."""
    for path in sorted(folder.rglob("*")):
        try:
            if not path.is_file() or path.stat().st_mtime < since:
                continue
            with path.open("rb") as file:
                kept = b""
                while chunk := file.read(CHUNK):
                    yield f"{kind} {path.relative_to(under or folder)}", kept + chunk
                    kept = chunk[-OVERLAP:]
        except FileNotFoundError:  # a server removed it meanwhile
            continue


def postgres_files(stack: Stack, since: float) -> Iterator[Named]:
    """The cluster's data directory with its WAL, and PostgreSQL's own log, after all that is in memory was written."""
    assert stack.postgres is not None
    stack.postgres.sql("postgres", "CHECKPOINT")
    yield from files("files", stack.postgres.data, since)
    yield "logs postgres.log", stack.postgres.log.read_bytes()


async def rows(stack: Stack) -> list[Named]:
    """Every column of every table as SQL text, and once more every `bytea` as the bytes that it is."""
    found: list[Named] = []
    for db, addresses in stack.info["databases"].items():
        connection = await asyncpg.connect(addresses["admin"])
        try:
            for table, column, binary in await connection.fetch(_COLUMNS):
                sink, only = f"rows {db} {table}.{column}", f"SELECT {column} FROM {table}"
                found.append((sink, await _copied(connection, only)))
                if binary:
                    raw = await connection.fetch(f"{only} WHERE {column} IS NOT NULL")
                    found.append((f"{sink} raw", b"\n".join(row[0] for row in raw)))
            for view in ("pg_stat_activity", "pg_prepared_statements"):
                found.append((f"rows {db} {view}", await _copied(connection, f"SELECT * FROM {view}")))
            # The planner's statistics hold the most frequent values of each column, gathered yet or not.
            await connection.execute("ANALYZE")
            for column, said in await connection.fetch(_STATISTICS):
                found.append((f"rows {db} pg_stats {column}", said.encode()))
        finally:
            await connection.close()
    return found


_COLUMNS = """
    SELECT c.oid::regclass::text, quote_ident(a.attname), a.atttypid = 'bytea'::regtype
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND a.attnum > 0 AND NOT a.attisdropped
"""

_STATISTICS = "SELECT format('%I.%I', tablename, attname), s::text FROM pg_stats s WHERE schemaname = 'public'"


async def _copied(connection: asyncpg.Connection, query: str) -> bytes:
    pieces = bytearray()

    async def take(piece: bytes) -> None:
        pieces.extend(piece)

    await connection.copy_from_query(query, output=take, format="csv")  # which escapes no backslash
    return bytes(pieces)


def kafka_access(info: Mapping[str, Any], user: str) -> dict[str, Any]:
    """How `user` reaches the stack's broker; the embedded one knows no users."""
    kafka = info["kafka"]
    if kafka["security"] != "scram":
        return {"bootstrap_servers": kafka["bootstrap"]}
    return {
        "bootstrap_servers": kafka["bootstrap"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": kafka["users"][user],
    }


async def records(stack: Stack) -> list[Named]:
    """Every record on the broker as its administrator reads it: key, headers, value."""
    access = kafka_access(stack.info, "admin")
    consumer = AIOKafkaConsumer(**access, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        # The embedded broker lists no topics, and makes one at first sight.
        listed = await consumer.topics() if stack.kind == "real" else {*TOPICS, PLANTED}
        topics = sorted(topic for topic in listed if not topic.startswith("__"))
        assigned = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        await consumer.seek_to_beginning()
        found: list[Named] = []
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            for at, batch in (await consumer.getmany(timeout_ms=500)).items():
                found += [(f"kafka {at.topic}", _record(record)) for record in batch]
        return found
    finally:
        await consumer.stop()


def _record(record: Any) -> bytes:
    headers = [part for name, value in record.headers for part in (name.encode(), value or b"")]
    return b"\n".join([record.key or b"", *headers, record.value or b""])


def segments(stack: Stack, since: float) -> Iterator[Named]:
    """Kafka's own files; the embedded broker has none."""
    if stack.kind == "real":
        yield from files("segments", stack.home / "kafka", since)


def logs(stack: Stack, since: float) -> Iterator[Named]:
    """What every process wrote, access logs among them: there is no other place where URLs are kept."""
    yield from files("logs", stack.logs, since)
