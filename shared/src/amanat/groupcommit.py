"""Many requests' rows in one transaction and one statement.

A request that only adds rows, and reads nothing that is stored, need not have a transaction to itself: up to two
flushers take whatever waits, without a timer, so that a lone request waits for nobody and many at once share a commit.
A request is told that it was written after that commit, and never before.

Each row is joined with the tenants of its own request. With the flush's union of tenants alone, which is all that
row-level security sees, one request could write into another's tenant.

Nothing is retried here. What could not be written together (a twin of a request made before, a row that a table
refuses, a lock that was not had at once, a connection that broke) is told so, and its caller does it in a transaction
of its own: no request fails for its neighbour's fault, and its own fault shows as it always did.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import structlog
from prometheus_client import Histogram
from sqlalchemy import ARRAY, Column, Integer, Table, Text, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB, dialect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from amanat.db import Database, wake
from amanat.errors import Refused
from amanat.tables import idempotency, outbox

AT_MOST = 64
"""Requests of one flush."""
FLUSHERS = 2
LOCK_TIMEOUT_MS = 100
"""All of a flush would wait for one request's lock: it waits so long for each, and then that one waits by itself."""
FLUSH_S = 10.0
"""A flush that takes longer has a connection that leads nowhere, and would hold up all that come after it."""
_TOGETHER = Histogram(
    "amanat_requests_together", "Requests whose rows were committed together", buckets=(1, 2, 4, 8, 16, 32, 64)
)
DIALECT = dialect()  # type: ignore[no-untyped-call]  # the dialect has no types
_BEGIN = text("SELECT set_config('lock_timeout', :timeout, true), pg_advisory_xact_lock_shared(CAST(:fence AS bigint))")
_log = structlog.get_logger(__name__)
T = TypeVar("T")

Rows = Mapping[Table, Sequence[Mapping[str, Any]]]
"""What is to be added, by table."""


class Astray(RuntimeError):
    """Fewer rows were added than there were: one of them bears a tenant that is not its request's."""


@dataclass(frozen=True)
class Key:
    """The idempotency row of a request, with what its effect came to."""

    tenant: str
    client: str
    key: str
    body_hmac: bytes
    status: int
    location: str


@dataclass(frozen=True)
class Writing:
    """One request's rows. `tenants` are those for whom it may write. `stands` is asked when nothing that the rows were
    made from can change any more before the commit; if it says no, nothing is written."""

    tenants: Collection[str]
    key: Key
    rows: Rows
    stands: Callable[[], bool] = field(default=lambda: True)


Admit = Callable[[AsyncSession, list[Writing]], Awaitable[list[Writing]]]


class GroupCommit:
    """What one process commits together into these tables' columns, parents before children.

    `fence` is an advisory lock that is shared while a flush is under way. `admit` says, in the flush's own transaction,
    which of the requests may be written after all that it reads and locks there.
    """

    def __init__(
        self,
        database: Database,
        columns: Mapping[Table, Sequence[str]],
        *,
        fence: int,
        admit: Admit | None = None,
    ) -> None:
        self._database = database
        self._admit = admit
        self._statement = _Statement(columns)
        self._fence = fence
        self._waiting: deque[tuple[Writing, asyncio.Future[bool]]] = deque()
        self._flushers: set[asyncio.Task[None]] = set()

    async def commit(self, writing: Writing) -> bool:
        """Whether it is committed. If not, nothing of it was written, unless the connection broke while it committed:
        the caller does it again by itself, under the same key. Raises ValueError for a row with a column too many."""
        self._statement.check(writing.rows)
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((writing, told))
        if len(self._flushers) < FLUSHERS:
            self._flushers.add(asyncio.create_task(self._flush()))
        return await told

    async def prepared(self, prepare: Callable[[], tuple[T, Writing]]) -> T | None:
        """What `prepare` made, once its writing is committed; None where its caller is to do it alone. Whatever
        `prepare` raises is told there, and only if the key was not used before."""
        try:
            made, writing = prepare()
        except Refused:
            return None
        except Exception as error:
            _log.warning("not_prepared", error=type(error).__name__)
            return None
        return made if await self.commit(writing) else None

    async def close(self) -> None:
        """Waits until nothing waits."""
        while self._flushers:
            await asyncio.wait(self._flushers)

    async def _flush(self) -> None:
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(AT_MOST, len(self._waiting)))]
                await self._settle([(writing, told) for writing, told in taken if not told.done()])
        finally:
            # Here, not in a done callback: a request between the last look at what waits and the callback would find
            # every place taken by flushers that are over, and wait for nobody.
            self._flushers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _settle(self, taken: Sequence[tuple[Writing, asyncio.Future[bool]]]) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                written = await self._write(_without_twins(writing for writing, _ in taken))
        except Exception as error:  # whatever it was: each shows its own fault when it is alone
            _log.warning("not_together", requests=len(taken), error=type(error).__name__)
            written = set()
        except BaseException:
            for _, told in taken:
                told.cancel()
            raise
        for writing, told in taken:
            if not told.done():
                told.set_result(id(writing) in written)

    async def _write(self, asked: Sequence[Writing]) -> set[int]:
        """Which of them are committed, by identity."""
        if not asked:
            return set()
        tenants = {tenant for writing in asked for tenant in writing.tenants}
        async with self._database.transaction(tenants) as session:
            await session.execute(_BEGIN, {"timeout": f"{LOCK_TIMEOUT_MS}ms", "fence": self._fence})
            standing = [writing for writing in asked if writing.stands()]
            if self._admit is not None:
                standing = await self._admit(session, standing)
            won = await self._statement.run(session, standing)
            if any(writing.rows.get(outbox) for writing in won):
                wake(session)
        _TOGETHER.observe(len(won))
        return {id(writing) for writing in won}


def _without_twins(asked: Iterable[Writing]) -> list[Writing]:
    """Of requests with one key the first: the others are answered from what it came to."""
    first: dict[tuple[str, str, str], Writing] = {}
    for writing in asked:
        first.setdefault((writing.key.tenant, writing.key.client, writing.key.key), writing)
    return list(first.values())


_KEY = ("tenant", "client", "key", "body_hmac", "status", "location")


class _Statement:
    """One statement, of names that are all our own, for any number of requests: keys first, in their order, and
    then the rows of those whose key was new. Each column goes in as an array, and of each row its request's number."""

    def __init__(self, columns: Mapping[Table, Sequence[str]]) -> None:
        self._tables = [_Into(number, table, names) for number, (table, names) in enumerate(columns.items())]
        key = {f"key_{name}": idempotency.c[name].type for name in _KEY}
        kinds: dict[str, TypeEngine[Any]] = {"asked_n": Integer(), "asked_tenant": Text(), **key}
        for each in self._tables:
            kinds |= each.kinds
        names, sent = ", ".join(_KEY), ", ".join(f":{name}" for name in key)
        parts = [
            "asked AS MATERIALIZED (SELECT n, tenant FROM unnest(:asked_n, :asked_tenant) AS asked (n, tenant))",
            f"given AS MATERIALIZED (SELECT * FROM unnest({sent}) WITH ORDINALITY AS given ({names}, n))",  # noqa: S608 - our own names
            # By key, so that two flushes that share some never wait for each other in a circle.
            f"claimed AS (INSERT INTO idempotency ({names}, created_at)"  # noqa: S608 - our own names
            f" SELECT {', '.join(f'given.{name}' for name in _KEY)}, now() FROM given"
            " JOIN asked ON asked.n = given.n AND asked.tenant = given.tenant"
            " ORDER BY given.tenant, given.client, given.key"
            " ON CONFLICT DO NOTHING RETURNING tenant, client, key)",
            "won AS MATERIALIZED (SELECT given.n FROM claimed JOIN given USING (tenant, client, key))",
            *(each.insert for each in self._tables),
        ]
        added = " + ".join(f"(SELECT count(*) FROM {each.alias})" for each in self._tables)  # noqa: S608 - our own names
        whole = f"WITH {', '.join(parts)} SELECT ARRAY (SELECT n FROM won) AS won, {added} AS added"  # noqa: S608 - our own names
        self._text = text(whole).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items()))

    def check(self, rows: Rows) -> None:
        """Raises ValueError for a table or a column that the statement does not write: nothing is lost in silence."""
        known = {each.table: each.names for each in self._tables}
        for table, new in rows.items():
            for row in new:
                if not row.keys() <= known.get(table, set()):
                    raise ValueError(f"{table.name}: {sorted(row.keys() - known.get(table, set()))}")

    async def run(self, session: AsyncSession, asked: Sequence[Writing]) -> list[Writing]:
        """Those whose key was new, and whose rows were added. Raises Astray."""
        found = (await session.execute(self._text, self._sent(asked))).one()
        won = [asked[number - 1] for number in found.won]
        if found.added != sum(len(rows) for writing in won for rows in writing.rows.values()):
            raise Astray
        return won

    def _sent(self, asked: Sequence[Writing]) -> dict[str, list[Any]]:
        numbered = list(enumerate(asked, 1))
        owners = [(number, tenant) for number, writing in numbered for tenant in writing.tenants]
        sent: dict[str, list[Any]] = {
            "asked_n": [each[0] for each in owners],
            "asked_tenant": [each[1] for each in owners],
        }
        for name in _KEY:
            sent[f"key_{name}"] = [getattr(writing.key, name) for writing in asked]
        for each in self._tables:
            sent |= each.sent(
                [(number, row) for number, writing in numbered for row in writing.rows.get(each.table, ())]
            )
        return sent


class _Into:
    """One table's part of the statement. An array of arrays, or of documents, goes in as an array of their texts."""

    def __init__(self, number: int, table: Table, columns: Sequence[str]) -> None:
        self.alias, self.table, self.names = f"w{number}", table, frozenset(columns)
        self._columns = [(f"w{number}_{each}", table.c[name]) for each, name in enumerate(columns)]
        self._n = f"{self.alias}_n"
        self.kinds: dict[str, TypeEngine[Any]] = {self._n: Integer()}
        self.kinds |= {sent: Text() if _as_text(column) else column.type for sent, column in self._columns}

    @property
    def insert(self) -> str:
        """The INSERT, as a part of a WITH."""
        values = [
            f"CAST(new.{column.name} AS {column.type.compile(DIALECT)})" if _as_text(column) else f"new.{column.name}"
            for _, column in self._columns
        ]
        names = ", ".join(column.name for _, column in self._columns)
        sent = ", ".join(f":{sent}" for sent, _ in self._columns)
        return (
            f"{self.alias} AS (INSERT INTO {self.table.name} ({names}) SELECT {', '.join(values)}"  # noqa: S608 - our own names
            f" FROM unnest(:{self._n}, {sent}) WITH ORDINALITY AS new (request, {names}, place)"
            " JOIN asked ON asked.n = new.request AND asked.tenant = new.tenant"
            " WHERE new.request = ANY (ARRAY (SELECT n FROM won)) ORDER BY new.place RETURNING 1)"
        )

    def sent(self, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, list[Any]]:
        """Its parameters for rows with the numbers of their requests."""
        sent: dict[str, list[Any]] = {self._n: [number for number, _ in rows]}
        for name, column in self._columns:
            values = [row.get(column.name) for _, row in rows]
            sent[name] = [_text_of(value, column) for value in values] if _as_text(column) else values
        return sent


def _as_text(column: Column[Any]) -> bool:
    return isinstance(column.type, ARRAY | JSONB)


def _text_of(value: Any, column: Column[Any]) -> str | None:
    if value is None:
        return None
    if isinstance(column.type, JSONB):
        return json.dumps(value)
    # PostgreSQL's own form of an array of texts, each quoted.
    return "{" + ",".join('"' + each.replace("\\", "\\\\").replace('"', '\\"') + '"' for each in value) + "}"
