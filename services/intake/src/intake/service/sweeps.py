"""What time itself brings about: grants that end, clocks that run over, referrals that nobody took up, leases that no
look accounts for, and what `break_glass.service.timetable` names.

Each case is taken in a transaction of its own, its row locked first as everywhere. One that fails is left for the next
round and keeps no other waiting: an expired grant must end although a stranger's case cannot be settled.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.clocks import ClockRules, due
from amanat.consent import Access
from amanat.db import Database, is_transient
from amanat.errors import NotFound
from intake.break_glass.service.timetable import steps
from intake.changes import Changes, Referral, Share
from intake.repository import cases, custody, keys, looks
from intake.service import custody as custody_service
from intake.service import looks as looks_service
from intake.service.ending import end_named, load_to_end, plan_endings
from intake.service.instruments import Instruments
from intake.service.loading import save, setting_of

BATCH = 100
RECEIPT_WAITS = timedelta(minutes=5)
"""How long a receipt may wait for its release to be heard of: both were reported, each over a topic of its own."""
RELEASE_WAITS = custody_service.ON_THE_WAY
"""How long a parcel may be on its way before its release without a receipt is a gap on the timeline."""
SUPERSEDED_FOR = timedelta(days=1)
"""How long a replaced disclosure can still be opened: an agency may be that late in taking the newer one."""

_FAILED = Counter("amanat_sweep_failed_total", "Cases that a sweep could not settle", ["sweep", "error"])
_log = structlog.get_logger(__name__)

Step = Callable[[AsyncSession, str, str], Awaitable[None]]
"""(session, tenant, case)"""
Find = Callable[[AsyncSession, int], Awaitable[Sequence[tuple[str, str]]]]
"""(session, how many to skip) -> up to BATCH of (tenant, case), in an order that stays"""


async def sweep(
    database: Database,
    gate: Access,
    now: datetime,
    instruments: Instruments,
    *,
    listening_since: datetime | None = None,
) -> int:
    """One round; returns how many cases were settled. Raises the database's transient errors.

    `listening_since` is when this gate began to take facts: what it would have been told of meanwhile is not missed
    before it has listened as long as it would have waited.
    """

    async def end(session: AsyncSession, tenant: str, code: str) -> None:
        await end_expired(session, gate, tenant, code, now, instruments)

    async def overdue(session: AsyncSession, tenant: str, code: str) -> None:
        await note_overdue(session, tenant, code, now)

    silent_since = _silent_since(instruments.clock_rules, now)

    async def silent(session: AsyncSession, tenant: str, code: str) -> None:
        if silent_since is not None:
            await note_silence(session, tenant, code, silent_since, now)

    async def ended_shares(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await keys.cases_with_ended_shares(session, now, BATCH, skip)

    async def overdue_clocks(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await keys.cases_with_overdue_clocks(session, now, BATCH, skip)

    async def unheard(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return () if silent_since is None else await keys.silent_cases(session, silent_since, BATCH, skip)

    unpaired = (now - RECEIPT_WAITS, now - RELEASE_WAITS)

    async def unmatched(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await custody.cases_with_unmatched(session, *unpaired, BATCH, skip)

    async def custody_gap(session: AsyncSession, tenant: str, code: str) -> None:
        await custody_service.note_unmatched(session, tenant, code, *unpaired, now)

    patience = looks_service.patience(instruments)
    heard_enough = listening_since is None or now - listening_since >= patience

    async def unaccounted(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await looks.cases_with_unaccounted(session, now - patience, BATCH, skip) if heard_enough else ()

    async def unlooked(session: AsyncSession, tenant: str, code: str) -> None:
        await looks_service.note_unaccounted(session, tenant, code, now - patience, now)

    settled = await each(database, "expiry", ended_shares, end)
    settled += await each(database, "overdue", overdue_clocks, overdue)
    settled += await each(database, "silence", unheard, silent)
    settled += await each(database, "custody", unmatched, custody_gap)
    settled += await each(database, "looks", unaccounted, unlooked)
    for name, find, step in steps(now, instruments):
        settled += await each(database, name, find, step)
    async with database.transaction(()) as session:
        await keys.retire_superseded(session, now - SUPERSEDED_FOR, BATCH)
    return settled


async def each(database: Database, name: str, find: Find, step: Step) -> int:
    """Settles each case that is found, and says how many. Takes page after page; cases that fail stay in what is found,
    at its beginning, and are skipped on the next.
    """
    settled, failed, tried = 0, 0, set[tuple[str, str]]()
    while True:
        async with database.transaction(()) as session:
            found = await find(session, failed)
        if tried.issuperset(found):
            return settled
        for tenant, code in found:
            tried.add((tenant, code))
            try:
                async with database.transaction((tenant,)) as session:
                    await step(session, tenant, code)
                settled += 1
            except Exception as error:
                if is_transient(error):
                    raise
                failed += 1
                _FAILED.labels(name, type(error).__name__).inc()
                _log.error("sweep_failed", sweep=name, error=type(error).__name__)
        if len(found) < BATCH:
            return settled


async def end_expired(
    session: AsyncSession, gate: Access, tenant: str, code: str, now: datetime, instruments: Instruments
) -> None:
    """Ends what has no valid grant left, as a withdrawal does: key gone, tombstone out, in one transaction. Of a case
    that does not open what has run out ends all the same: a share's own end stands beside it."""
    try:
        case = await load_to_end(session, gate, [tenant], code, instruments)
    except NotFound:
        return
    changes = Changes()
    minter = instruments.minter()
    setting = setting_of(case, minter, instruments, now, opens=False)

    def over(_: Referral, share: Share) -> bool:
        return share.until is not None and share.until <= setting.now

    plan_endings(changes, case, setting, over)
    if case.unread:
        # By an age that did not open the plan may think it still valid, and would think so at every round.
        end_named(changes, case, setting, over)
    await save(session, case, changes, minter, instruments, now)


async def note_overdue(session: AsyncSession, tenant: str, code: str, now: datetime) -> None:
    """Puts clocks that ran over on the timeline, once. Late is never refused: work goes on, a reason is asked for."""
    if await cases.lock_case(session, [tenant], code) is None:
        return
    entries = [
        {
            "at": now, "kind": "clock_overdue", "agency": None, "organisation": None, "referral": None,
            "detail": {"clock": row.kind, "due_at": row.due_at.isoformat()},
        }
        for row in await keys.note_overdue(session, tenant, code, now)
    ]  # fmt: skip
    if entries:
        await cases.touch_case(session, tenant, code)
        await cases.add_timeline(session, tenant, code, entries)


async def note_silence(session: AsyncSession, tenant: str, code: str, opened_before: datetime, now: datetime) -> None:
    """Puts referrals on the timeline that nobody acknowledged by the clock of that name, once."""
    if await cases.lock_case(session, [tenant], code) is None:
        return
    entries = [
        {
            "at": now, "kind": "referral_unacknowledged", "agency": row.agency, "organisation": row.organisation,
            "referral": row.code, "detail": {"opened_at": row.opened_at.isoformat()},
        }
        for row in await keys.note_silence(session, tenant, code, opened_before, now)
    ]  # fmt: skip
    if entries:
        await cases.touch_case(session, tenant, code)
        await cases.add_timeline(session, tenant, code, entries)


def _silent_since(rules: ClockRules, now: datetime) -> datetime | None:
    """Referrals opened before this time should have been acknowledged; None without a clock that says so."""
    spans = [item.due_at - now for item in due(rules, "referral_opened", now) if item.kind == "acknowledgement"]
    return now - min(spans) if spans else None
