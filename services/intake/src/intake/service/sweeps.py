"""What time itself brings about: grants that end, clocks that run over, referrals that nobody took up."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.clocks import ClockRules, due
from amanat.consent import Access
from amanat.db import Database
from amanat.errors import NotFound
from intake.repository import cases, keys
from intake.service.changes import Changes
from intake.service.instruments import Instruments
from intake.service.loading import load, plan_all, save, setting_of

BATCH = 100


async def sweep(database: Database, gate: Access, now: datetime, instruments: Instruments) -> int:
    """One round; returns how many things were noted. Each case in a transaction of its own."""
    async with database.transaction(()) as session:
        ended = await keys.cases_with_ended_shares(session, now, BATCH)
    for tenant, code in ended:
        async with database.transaction((tenant,)) as session:
            await end_expired(session, gate, tenant, code, now, instruments)
    async with database.transaction(()) as session:
        noted = await note_overdue(session, now)
    async with database.transaction(()) as session:
        noted += await note_silence(session, now, instruments.clock_rules)
    return len(ended) + noted


async def end_expired(
    session: AsyncSession, gate: Access, tenant: str, code: str, now: datetime, instruments: Instruments
) -> None:
    """Ends what has no valid grant left, as a withdrawal does: key gone, tombstone out, in one transaction."""
    try:
        case = await load(session, gate, [tenant], code, instruments, mints=False)
    except NotFound:
        return
    changes = Changes()
    minter = instruments.minter()
    plan_all(changes, case, setting_of(case, minter, instruments, now, opens=False))
    await save(session, case, changes, minter, instruments, now)


async def note_overdue(session: AsyncSession, now: datetime) -> int:
    """Puts clocks that ran over on the timeline, once. Late is never refused: work goes on, a reason is asked for."""
    rows = await keys.overdue_clocks(session, now, BATCH)
    for row in rows:
        await keys.note_overdue(session, row.tenant, row.case_code, row.kind, now)
        entry = {
            "at": now, "kind": "clock_overdue", "agency": None, "organisation": None, "referral": None,
            "detail": {"clock": row.kind, "due_at": row.due_at.isoformat()},
        }  # fmt: skip
        await cases.add_timeline(session, row.tenant, row.case_code, [entry])
    return len(rows)


async def note_silence(session: AsyncSession, now: datetime, rules: ClockRules) -> int:
    """Puts referrals on the timeline that nobody acknowledged by the clock of that name, once."""
    spans = [item.due_at - now for item in due(rules, "referral_opened", now) if item.kind == "acknowledgement"]
    if not spans:
        return 0
    rows = await keys.unacknowledged(session, now - min(spans), BATCH)
    for row in rows:
        await keys.note_reminded(session, row.tenant, row.code, now)
        entry = {
            "at": now, "kind": "referral_unacknowledged", "agency": row.agency, "organisation": row.organisation,
            "referral": row.code, "detail": {"opened_at": row.opened_at.isoformat()},
        }  # fmt: skip
        await cases.add_timeline(session, row.tenant, row.case_code, [entry])
    return len(rows)
