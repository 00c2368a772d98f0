"""Who looked, as agencies tell it (law 6), and leases that no look accounts for (DESIGN.md, "A lease")."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import OUTSIDE
from amanat.contracts.looks import LooksReported
from amanat.db import AnyRow
from intake.repository import cases, looks
from intake.service.instruments import Instruments
from intake.service.sources import LOOKS_TOLD

LOOK_FOLLOWS = timedelta(minutes=5)
"""A look within this time of a lease accounts for it: a lease serves every look until its end, and none is longer
(`AMANAT_LEASE_SECONDS`, the directory). After it a lease without a look is an alarm. Source: DESIGN.md, "A lease"."""
CLOCKS_APART = timedelta(seconds=5)
"""The gate dates the lease and the agency the look: one that follows at once seems earlier where the agency's clock is
behind. Hosts that keep time by NTP are milliseconds apart; more than this, and an agency's clock is an alarm itself."""
TELLING_TAKES = timedelta(minutes=1)
"""From a look until the gate knows of it, at most. Source: DESIGN.md, "Looks"."""

_UNACCOUNTED = Counter("amanat_leases_unaccounted_total", "Leases of keys that no look accounts for", ["agency"])
_log = structlog.get_logger(__name__)


async def take(
    session: AsyncSession, tenant: str, case: str, fact: LooksReported, now: datetime, instruments: Instruments
) -> None:
    """Keeps the looks of a digest that are not known, each with its ledger entry, and accounts for leases by them.

    The caller knows that the referral is of this case and was opened to the agency; whether it is open is not asked.
    """
    await cases.lock_case(session, [tenant], case)
    told = [
        {
            "id": instruments.new_id(),
            "tenant": tenant,
            "case_code": case,
            "referral": fact.referral,
            "look_id": each.look_id,
            "at": each.at,
            "categories": sorted({category.value for category in each.categories}),
            "purpose": each.purpose,
            "received_at": now,
        }
        for each in fact.looks
    ]
    new = await looks.add_looks(session, told)
    if not new:
        return
    await _account(session, tenant, case, now)
    statements = [LOOKS_TOLD.statement("look_told", fact.referral, now, row) for row in new]
    await ledger.enter(session, statements, instruments.at_rest, instruments.randomness)


def patience(instruments: Instruments) -> timedelta:
    """How old a lease grows before the lack of a look is an alarm: as long as a look may follow, and never less than
    the longest lease and the telling of a look at its very end take."""
    longest = max(instruments.lease_of(agency) for agency in OUTSIDE)
    return max(LOOK_FOLLOWS, timedelta(seconds=longest) + TELLING_TAKES)


async def note_unaccounted(
    session: AsyncSession, tenant: str, case: str, leased_before: datetime, now: datetime
) -> None:
    """Puts leases that nobody accounted for on the timeline, each once."""
    if await cases.lock_case(session, [tenant], case) is None:
        return
    await _account(session, tenant, case, now)
    rows = await looks.note_unaccounted(session, tenant, case, leased_before, now)
    await _tell(session, tenant, case, "opened_not_accounted_for", rows, now)
    for row in rows:
        _UNACCOUNTED.labels(row.agency).inc()
        _log.error("lease_not_accounted_for", agency=row.agency, organisation=row.organisation, lease=str(row.id))


async def _account(session: AsyncSession, tenant: str, case: str, now: datetime) -> None:
    """A lease that was alarmed of is accounted for late, which is told as well."""
    late = await looks.account(session, tenant, case, CLOCKS_APART, LOOK_FOLLOWS + CLOCKS_APART, now)
    await _tell(session, tenant, case, "accounted_for_late", late, now)


async def _tell(
    session: AsyncSession, tenant: str, case: str, kind: str, rows: Sequence[AnyRow], now: datetime
) -> None:
    if rows:
        await cases.touch_case(session, tenant, case)
        await cases.add_timeline(session, tenant, case, [_entry(kind, row, now) for row in rows])


def _entry(kind: str, row: AnyRow, now: datetime) -> dict[str, Any]:
    detail = {"lease": str(row.id), "leased_at": row.at.isoformat(), "categories": list(row.categories)}
    return {
        "at": now,
        "kind": kind,
        "agency": row.agency,
        "organisation": row.organisation,
        "referral": row.referral,
        "detail": detail,
    }
