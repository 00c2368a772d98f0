"""The rows of one transaction as a single statement that pgbench can repeat: what PostgreSQL alone makes of them.

Every value that must differ from one transaction to the next (what stands in a unique index and is no name) is derived
from pgbench's `:n`, the same wherever it stands, so that foreign keys hold.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

_CODE = re.compile(r"[A-Z]-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]|bench-\d+-\d+|/v1/.*[A-Z]-[0-9A-Z]{4}-.*")
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_TABLES = """
SELECT c.relname AS name,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
          FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attidentity = '' AND a.attgenerated = '') AS columns,
       (SELECT coalesce(array_agg(DISTINCT a.attname::text), '{}')
          FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
         WHERE i.indrelid = c.oid AND i.indisunique) AS unique_columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind = 'r' AND NOT c.relispartition AND c.relname <> 'alembic_version'
 ORDER BY c.relname
"""


@dataclass(frozen=True)
class Written:
    """One table's share of a transaction."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    types: Mapping[str, str]
    unique: frozenset[str]


async def written_by(database: asyncpg.Connection[Any], case: str) -> list[Written]:
    """What the transaction wrote that opened this case and nobody has touched since; parents before children."""
    transaction = await database.fetchval("SELECT xmin::text FROM cases WHERE code = $1", case)
    found = []
    for table in await database.fetch(_TABLES):
        types = dict(
            await database.fetch(
                "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid = ('public.' || quote_ident($1))::regclass AND attnum > 0 AND NOT attisdropped",
                table["name"],
            )
        )
        rows = await database.fetch(f'SELECT * FROM "{table["name"]}" WHERE xmin::text = $1', transaction)
        if rows:
            found.append(Written(table["name"], table["columns"], rows, types, frozenset(table["unique_columns"])))
    if {"cases", "idempotency", "outbox", "ledger_entries"} - {each.table for each in found}:
        raise AssertionError("the transaction's rows were touched since, or are not all there")
    return found


def statement(written: Sequence[Written]) -> str:
    """All of it as one statement, one round trip."""
    changing = {
        _as_text(row[column])
        for each in written
        for row in each.rows
        for column in each.unique & set(each.columns)
        if _changes(row[column])
    }
    parts = ["new (n) AS MATERIALIZED (SELECT :n::text)"]
    for number, each in enumerate(written):
        rows = [[_sql(row[column], each.types[column], changing) for column in each.columns] for row in each.rows]
        values = "\n  UNION ALL ".join(f"SELECT {', '.join(row)} FROM new" for row in rows)
        columns = ", ".join(f'"{column}"' for column in each.columns)
        parts.append(f'w{number} AS (INSERT INTO "{each.table}" ({columns})\n  {values})')
    return "WITH " + ",\n".join(parts) + "\nSELECT 1;\n"


def pgbench(program: Path, url: str, script: Path, connections: int, seconds: int) -> float:
    """Transactions a second. Raises AssertionError when any of them failed."""
    done = subprocess.run(
        [str(program), "-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", str(seconds),
         "-f", str(script), url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = _TPS.search(done.stdout)
    if done.returncode or found is None or "number of failed transactions: 0 " not in done.stdout:
        raise AssertionError(f"pgbench: {done.stderr[-2000:]} {done.stdout[-500:]}")
    return float(found[1])


def script_of(written: Sequence[Written]) -> str:
    """What pgbench repeats."""
    return "\\set n random(1, 9000000000000000)\n" + statement(written)


def _changes(value: Any) -> bool:
    return isinstance(value, UUID | bytes) or (isinstance(value, str) and _CODE.fullmatch(value) is not None)


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _sql(value: Any, kind: str, changing: set[str]) -> str:
    text = "" if value is None else _as_text(value)
    if value is None:
        made = f"NULL::{kind}"
    elif isinstance(value, list):
        made = "ARRAY[" + ", ".join(_sql(each, kind.removesuffix("[]"), changing) for each in value) + f"]::{kind}"
    elif text in changing:
        made = _derived(text, kind)
    elif isinstance(value, bytes):
        made = f"'\\x{text}'::bytea"
    else:
        made = "'" + text.replace("'", "''") + f"'::{kind}"
    return made


def _derived(text: str, kind: str) -> str:
    """As long as the value was, and another one for each `n`."""
    own = f"md5('{text[:40]}' || n)"
    if kind == "uuid":
        return f"{own}::uuid"
    if kind == "bytea":
        return f"decode({own} || '{text[32:]}', 'hex')"
    return f"left('{text[:2]}' || {own}, {len(text)})"
