"""The end of a restore: a new epoch of every grant that is still valid, and the gate leases again.

Each case counts for itself. One that does not open keeps no other closed, and is itself closed to every agency: its
keys are the backup's, and nobody can tell what of it was withdrawn since.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import Database
from amanat.errors import NotFound
from amanat.sealing import Unopenable
from intake.changes import Changes
from intake.repository import restorations
from intake.service import restoring
from intake.service.cases import entry
from intake.service.ending import end_named, load_to_end
from intake.service.instruments import Instruments
from intake.service.loading import load, plan_all, save, setting_of
from intake.service.sharing import end

BATCH = 200

_UNREAD = Counter("amanat_case_not_restarted_total", "Cases that did not open when the gate was reopened")
_log = structlog.get_logger(__name__)


class StillOpen(Exception):
    """Nothing was restored, so there is nothing to reopen."""


class Unanswered(Exception):
    """Agencies that have not reported their tombstones yet; the gate stays closed."""

    def __init__(self, agencies: Collection[str]) -> None:
        super().__init__(", ".join(sorted(agencies)))
        self.agencies = frozenset(agencies)


class NothingOpens(Exception):
    """Not one case opens: the gate stays closed, since this is no spoilt case but another database's key at rest."""

    def __init__(self, cases: Collection[tuple[str, str]]) -> None:
        super().__init__(f"{len(cases)} cases")


@dataclass(frozen=True)
class Reopened:
    """How many cases went into a new epoch; and those, as (tenant, case), that do not open and are closed to all."""

    restarted: int
    unread: tuple[tuple[str, str], ...]


async def reopen(
    database: Database,
    gate: Access,
    now: Callable[[], datetime],
    instruments: Instruments,
    without: Collection[str] = (),
) -> Reopened:
    """Starts a new epoch of every still valid grant, then lets the gate lease again.

    Each case in a transaction of its own: interrupted and begun again it goes through all once more. One that does not
    open keeps no other closed: what it shares ends, since nobody can tell what of it was withdrawn. Raises StillOpen,
    Unanswered while an agency that is not among `without` has not reported, and NothingOpens.
    """
    async with database.transaction(()) as session:
        request_id = await restorations.open_request(session)
        missing = set((await restoring.status(session)).missing) - set(without)
    if request_id is None:
        raise StillOpen
    if missing:
        raise Unanswered(missing)
    restarted, unread, last = 0, list[tuple[str, str]](), ("", "")
    while True:
        async with database.transaction(()) as session:
            batch = await restorations.cases_after(session, last, BATCH)
        if not batch:
            break
        for tenant, code in batch:
            try:
                async with database.transaction((tenant,)) as session:
                    await _restart(session, gate, tenant, code, now(), instruments)
                restarted += 1
            except (Unopenable, ValueError, KeyError) as error:
                unread.append((tenant, code))
                _UNREAD.inc()
                _log.error("case_not_restarted", cell=tenant, error=type(error).__name__)
        last = batch[-1]
    if unread and not restarted:
        raise NothingOpens(unread)
    for tenant, code in unread:
        async with database.transaction((tenant,)) as session:
            await _end_all(session, gate, tenant, code, now(), instruments)
    async with database.transaction(()) as session:
        await restorations.reopen(session, request_id, sorted(without), now())
    return Reopened(restarted, tuple(unread))


async def _restart(
    session: AsyncSession, gate: Access, tenant: str, code: str, now: datetime, instruments: Instruments
) -> None:
    """Ends every epoch of a case, whatever became of its keys, and opens a new one of what is validly granted."""
    try:
        case = await load(session, gate, [tenant], code, instruments)
    except NotFound:
        return
    changes = Changes()
    minter = instruments.minter()
    # What agencies reported may have outgrown a message: that is said on the timeline, and stops no reopening.
    setting = setting_of(case, minter, instruments, now, must_fit=False)
    for referral in case.referrals:
        ending = replace(referral, consent_version=referral.consent_version + 1) if referral.shares else referral
        for category in sorted(ending.shares):
            ending = end(changes, ending, category, setting, kind="epoch_restarted")
        case.replace(ending)
    plan_all(changes, case, setting)
    await save(session, case, changes, minter, instruments, now)


async def _end_all(
    session: AsyncSession, gate: Access, tenant: str, code: str, now: datetime, instruments: Instruments
) -> None:
    """Ends whatever a case shares: its keys are the backup's, and what she took back since might open again."""
    case = await load_to_end(session, gate, [tenant], code, instruments)
    changes = Changes()
    minter = instruments.minter()
    setting = setting_of(case, minter, instruments, now, opens=False)
    end_named(changes, case, setting, lambda _, __: True)
    changes.timeline.append(entry(now, "case_not_restarted"))
    await save(session, case, changes, minter, instruments, now)
