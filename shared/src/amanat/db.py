"""Transactions that say for whom they act: the only place that commits.

Each transaction carries the tenants that row-level security lets it see; none given, none seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import structlog
from sqlalchemy import Row, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

CHANNEL = "amanat_outbox"
"""LISTEN on it to hear that outbox rows were committed. One database per service, so one name does."""

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row of whatever columns a statement selects."""

_WAKE = "amanat.wake"
_SET_TENANTS = text("SELECT set_config('amanat.tenants', :tenants, true)")
# A NOTIFY inside each business commit cost two thirds of the throughput: it is its own, and need not wait for the disk.
_NOTIFY = text(f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', '')")
# Classes 08 (connection), 40 (rolled back: deadlock, serialization), 53 (resources), 57 (operator: shutdown), and below
# a lock not granted in time.
_TRANSIENT_CLASSES = ("08", "40", "53", "57")
_LOCK_NOT_AVAILABLE = "55P03"
_log = structlog.get_logger(__name__)


class Database:
    """One service's database, as one role.

    `url` is `postgresql+asyncpg://role:password@host:port/database`; the role has no BYPASSRLS.
    """

    def __init__(self, url: str, *, pool_size: int = 5, application_name: str) -> None:
        self.url = url
        self.application_name = application_name
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=10,
            # PostgreSQL may have been restarted since: a request must not pay for it with an error.
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "timeout": 5,
                "server_settings": {
                    "application_name": application_name,
                    "jit": "off",
                    "idle_in_transaction_session_timeout": "60000",
                },
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._notifying: asyncio.Task[None] | None = None
        self._notify_again = False

    @asynccontextmanager
    async def transaction(self, tenants: Collection[str]) -> AsyncIterator[AsyncSession]:
        """A transaction that sees the rows of these tenants; commits on leaving, rolls back on an exception.

        Raises ValueError when a tenant is empty or holds a comma, which would name another one.
        """
        async with self._sessions() as session:
            async with session.begin():
                await _see(session, tenants)
                yield session
            if session.info.pop(_WAKE, False):
                self._notify_soon()

    async def dispose(self) -> None:
        """Waits for a notification on its way, then closes every connection."""
        if self._notifying is not None:
            await self._notifying
        await self.engine.dispose()

    async def listen(self, heard: Callable[[], None]) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of its own on which `heard` is called for each notification of committed outbox rows.

        The caller closes it, and asks for another when it `is_closed()`. Raises OSError or asyncpg's errors.
        """
        url = make_url(self.url)
        connection = await asyncpg.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            database=url.database,
            timeout=5,
            server_settings={"application_name": f"{self.application_name} listening"},
        )

        def on_notice(*_: Any) -> None:
            heard()

        await connection.add_listener(CHANNEL, on_notice)
        return connection

    def _notify_soon(self) -> None:
        if self._notifying is not None and not self._notifying.done():
            self._notify_again = True
            return
        self._notifying = asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        while True:
            self._notify_again = False
            try:
                async with self.engine.begin() as connection:
                    await connection.execute(_NOTIFY)
            except (SQLAlchemyError, OSError) as error:
                # The rows are committed; the relay's poll finds them a quarter of a second later.
                _log.warning("notify_failed", error=type(error).__name__)
            if not self._notify_again:
                return


async def narrow(session: AsyncSession, tenants: Collection[str]) -> None:
    """From here to its end the transaction sees the rows of these tenants alone: for one that had to search for the
    tenant first. Raises ValueError as `Database.transaction` does."""
    await _see(session, tenants)


async def _see(session: AsyncSession, tenants: Collection[str]) -> None:
    if any(not tenant or "," in tenant for tenant in tenants):
        raise ValueError("a tenant is a non-empty name without a comma")
    await session.execute(_SET_TENANTS, {"tenants": ",".join(sorted(tenants))})


def wake(session: AsyncSession) -> None:
    """Notes that this transaction wrote outbox rows: after its commit the relay is woken, once for all of them."""
    session.info[_WAKE] = True


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later: connection lost, deadlock, serialization, shutdown, no free connection.

    Errors of the data (a constraint, a bad value) are not: the same work would fail again.
    """
    if isinstance(error, OSError | PoolTimeout) or _is_client_side(error):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_transient(error.orig))
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_TRANSIENT_CLASSES) or state == _LOCK_NOT_AVAILABLE
    # asyncpg tells of a connection that broke in the middle of a statement without an SQL state.
    return isinstance(error.__cause__, OSError) or _is_client_side(error.__cause__)


def _is_client_side(error: BaseException | None) -> bool:
    # A closed connection; but a value that does not fit its column is an InterfaceError too, and will never fit.
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)


async def ready(database: Database) -> None:
    """For `/readyz`: raises what the database raises when it does not answer."""
    async with database.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
