"""The survivor sees who looked (law 6): the worker tells the gate of every look, once, one sealed digest per referral.

A look that found something is noted as untold in the statement that recorded it (`amanat.looks`). Here the note is
taken away in the transaction that puts the digest into the outbox: what dies in between leaves both or neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import structlog
from prometheus_client import Counter
from pydantic import ValidationError
from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.instruments import Instruments
from amanat.agency.recording import send
from amanat.contracts.looks import LOOKS_AT_ONCE, LooksReported, LookTold
from amanat.db import AnyRow, Database
from amanat.tables import looks, untold_looks

TELL_S = 20.0
"""How often. A look reaches the gate in a minute at most (DESIGN.md, "Looks"): this, and two tries that failed."""
BATCH = 2_000
"""Looks of one transaction."""

_UNTELLABLE = Counter(
    "amanat_looks_untellable_total", "Looks whose row fits no digest: nobody's but a stranger's writing"
)
_log = structlog.get_logger(__name__)


async def tell_of_looks(
    database: Database, tenants: Collection[str], instruments: Instruments, now: Callable[[], datetime]
) -> int:
    """Tells of all that these organisations' looks leave to tell; how many. Of two at once one waits.

    Raises the database's errors; then what is left is told the next time.
    """
    told = 0
    while True:
        async with database.transaction(tenants) as session:
            step = await _step(session, instruments, now())
        told += step
        if step < BATCH:
            return told


async def _step(session: AsyncSession, instruments: Instruments, now: datetime) -> int:
    rows = await _take(session)
    by_referral: dict[tuple[str, str], list[LookTold]] = defaultdict(list)
    for row in rows:
        try:
            seen = LookTold(look_id=row.id, at=row.at, categories=tuple(row.categories), purpose=row.purpose)
            LooksReported(referral=row.referral, looks=(seen,))
        except ValidationError:
            # Were this raised, one such row would keep all others from being told.
            _UNTELLABLE.inc()
            _log.error("look_cannot_be_told", look=str(row.id))
            continue
        by_referral[row.tenant, row.referral].append(seen)
    for (tenant, referral), seen_there in by_referral.items():
        for first in range(0, len(seen_there), LOOKS_AT_ONCE):
            fact = LooksReported(referral=referral, looks=tuple(seen_there[first : first + LOOKS_AT_ONCE]))
            # Without a `seq`: digests come in any order, and to take one would make the referral new to its readers.
            await send(session, fact, tenant=tenant, seq=None, now=now, instruments=instruments)
    return len(rows)


async def _take(session: AsyncSession) -> Sequence[AnyRow]:
    """Up to BATCH looks that are still to be told, by referral and arrival; they count as told from this commit on."""
    columns = untold_looks.c
    some = select(columns.tenant, columns.look_id).order_by(columns.tenant, columns.look_id).limit(BATCH)
    taken = (
        delete(untold_looks)
        .where(tuple_(columns.tenant, columns.look_id).in_(some))
        .returning(columns.tenant, columns.look_id)
        .cte("taken")
    )
    statement = (
        select(looks.c.tenant, looks.c.id, looks.c.referral, looks.c.at, looks.c.categories, looks.c.purpose)
        .join(taken, (taken.c.tenant == looks.c.tenant) & (taken.c.look_id == looks.c.id))
        .order_by(looks.c.tenant, looks.c.referral, looks.c.arrival)
    )
    return (await session.execute(statement)).all()
