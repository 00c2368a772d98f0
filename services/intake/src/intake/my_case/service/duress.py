"""The gate's part: a duress PIN that was used comes on the cell's timeline, and old attempts go.

`main` only marks the attempt, in the statement that it runs for every attempt: nobody can measure that it was another.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import Database
from intake.my_case.repository import sign_ins
from intake.repository import cases
from intake.service.cases import entry
from intake.service.sweeps import BATCH, each

KEPT = timedelta(days=2)
_STEP = 5000


async def note_duress(database: Database, now: datetime) -> int:
    """One round; returns how many cases were settled. Raises the database's transient errors."""

    async def used(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await sign_ins.cases_with_duress(session, BATCH, skip)

    async def note(session: AsyncSession, tenant: str, code: str) -> None:
        if await cases.lock_case(session, [tenant], code) is None:
            return
        times = await sign_ins.note_duress(session, tenant, code, now)
        if times:
            await cases.touch_case(session, tenant, code)
            await cases.add_timeline(session, tenant, code, [entry(at, "duress_pin_used") for at in times])

    return await each(database, "duress", used, note)


async def forget_attempts(session: AsyncSession, now: datetime) -> None:
    """Deletes attempts that no longer count."""
    await sign_ins.prune(session, now - KEPT, _STEP)
