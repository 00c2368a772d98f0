"""A creating request takes effect once, however often it is sent.

The (tenant, client, key) is inserted first in the effect's own transaction. A twin that comes meanwhile waits on that
unique row: when the first commits it gets the first's answer, when the first rolls back it goes ahead itself, and
after 5 s it is told to come again. Stored are status, location and an HMAC of the body, never a body: the caller
rebuilds a replayed answer under today's access.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.errors import Busy, IdempotencyKeyInvalid, IdempotencyKeyMissing, KeyReused
from amanat.tables import idempotency

WAIT_S = 5
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class Done:
    """What the effect came to: an HTTP status and the new resource's path. `replayed` if it happened earlier."""

    status: int
    location: str | None
    replayed: bool = False


def check_key(value: str | None) -> str:
    """Raises IdempotencyKeyMissing, or IdempotencyKeyInvalid unless it is 1 to 255 visible ASCII characters."""
    if value is None:
        raise IdempotencyKeyMissing
    if not 1 <= len(value) <= 255 or any(not "!" <= character <= "~" for character in value):
        raise IdempotencyKeyInvalid
    return value


async def once(
    session: AsyncSession,
    *,
    tenant: str,
    client: str,
    key: str,
    body_hmac: bytes,
    effect: Callable[[], Awaitable[Done]],
) -> Done:
    """Runs `effect` unless this client's key already has, within the caller's transaction.

    Takes its row's lock before any other (the lock order's first). If `effect` raises, the transaction must roll
    back, and the key is free again. Lock waits of the whole transaction are bounded to 5 s. Raises KeyReused (422)
    for another body under the key, Busy (409) when a lock was not had in time, IdempotencyKeyInvalid (400).
    """
    check_key(key)
    row = {"tenant": tenant, "client": client, "key": key}
    try:
        if not await _claim(session, row, body_hmac):
            return await _replay(session, row, body_hmac)
        done = await effect()
        await session.execute(
            update(idempotency)
            .where(*(idempotency.c[name] == value for name, value in row.items()))
            .values(status=done.status, location=done.location)
        )
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise Busy from None
        raise
    return replace(done, replayed=False)


async def _claim(session: AsyncSession, row: dict[str, str], body_hmac: bytes) -> bool:
    await session.execute(select(func.set_config("lock_timeout", f"{WAIT_S}s", literal(True))))
    values = {**row, "body_hmac": body_hmac, "created_at": func.now()}
    claimed = await session.execute(
        insert(idempotency).values(values).on_conflict_do_nothing().returning(idempotency.c.key)
    )
    return claimed.first() is not None


async def _replay(session: AsyncSession, row: dict[str, str], body_hmac: bytes) -> Done:
    found = await session.execute(
        select(idempotency.c.body_hmac, idempotency.c.status, idempotency.c.location).where(
            *(idempotency.c[name] == value for name, value in row.items())
        )
    )
    earlier = found.one_or_none()
    if earlier is None or earlier.status is None:
        raise Busy  # pruned, or written by a transaction whose snapshot this one cannot see
    if not hmac.compare_digest(earlier.body_hmac, body_hmac):
        raise KeyReused
    return Done(status=earlier.status, location=earlier.location, replayed=True)
