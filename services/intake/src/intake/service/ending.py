"""Loads of a case what ending needs, and ends: no record has to open for it (law 5: a withdrawal never waits).

Where even a consent does not open - a byte was changed, a key was lost, a contract was tightened - nobody can tell what
is validly granted: what was named ends all the same, and people are told. Rather too much ends than too little: she can
be asked again, and what was read meanwhile cannot be taken back.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter
from pydantic import JsonValue
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Category
from amanat.consent import Access, ConsentEvent, Grant, fold
from amanat.errors import NotFound
from amanat.sealing import Unopenable
from intake.changes import Changes, Document, Referral, Share
from intake.repository import cases, consents
from intake.service.ages import by_age, person_of
from intake.service.documents import open_document
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, as_referral, open_event, plan_all
from intake.service.setting import Setting
from intake.service.sharing import end_shares

Named = Callable[[Referral, Share], bool]
"""Whether an open share of a referral is among what is to end."""
Opened = TypeVar("Opened")

CONSENTS, PERSONS = "consent_events", "records"
_UNREAD = Counter(
    "amanat_ended_unread_total", "Rows that did not open when something of their case had to end", ["table"]
)
_log = structlog.get_logger(__name__)


async def load_to_end(
    session: AsyncSession, access: Access, tenants: Collection[str], code: str, instruments: Instruments
) -> LoadedCase:
    """Locks a case and opens its consents, and who she is as far as her age matters. Nothing can be opened or disclosed
    from it. What does not open is left out, alarmed and named in `unread`. Raises NotFound.
    """
    row = await cases.lock_case(session, tenants, code)
    if row is None:
        raise NotFound
    referral_rows = await consents.lock_referrals(session, row.tenant, code)
    share_rows = await consents.read_shares(session, row.tenant, [r.code for r in referral_rows])
    events, unread_events = await readable_events(session, access, row.tenant, code, instruments)
    persons, unread_persons = readable(
        PERSONS,
        await cases.current_records(session, access, row.tenant, code, kind="person"),
        lambda person: open_document(person, instruments),
    )
    return LoadedCase(
        tenant=row.tenant,
        code=code,
        version=row.version,
        events=events,
        # Of an age that does not open the youngest is assumed: a child's consents and ceilings are the narrower ones.
        documents=[] if unread_persons else list[Document](persons),
        referrals=[as_referral(referral, share_rows) for referral in referral_rows],
        unread=frozenset({CONSENTS} if unread_events else ()) | frozenset({PERSONS} if unread_persons else ()),
    )


async def readable_events(
    session: AsyncSession, access: Access, tenant: str, code: str, instruments: Instruments
) -> tuple[list[ConsentEvent], bool]:
    """The case's consent events that open, and whether there are others."""
    rows = await consents.read_events(session, access, tenant, code)
    return readable(CONSENTS, rows, lambda row: open_event(row, instruments))


async def readable_grants(
    session: AsyncSession, access: Access, tenant: str, code: str, instruments: Instruments
) -> tuple[frozenset[Grant], bool]:
    """What the case's consents amount to as far as they open, and whether something does not: for who must see which
    there are in order to take one back."""
    events, unread_events = await readable_events(session, access, tenant, code, instruments)
    rows = await cases.current_records(session, access, tenant, code, kind="person")
    persons, unread_persons = readable(PERSONS, rows, lambda row: open_document(row, instruments))
    return by_age(fold(events), person_of(persons)), unread_events or unread_persons


def readable(table: str, rows: Iterable[Row[Any]], opening: Callable[[Row[Any]], Opened]) -> tuple[list[Opened], bool]:
    """What opens of these rows, and whether something does not, which is an alarm."""
    opened, unread = list[Opened](), False
    for row in rows:
        try:
            opened.append(opening(row))
        except (Unopenable, ValueError, KeyError) as error:
            unread = True
            _UNREAD.labels(table).inc()
            _log.error("ended_unread", table=table, row=str(row.id), error=type(error).__name__)
    return opened, unread


def plan_endings(changes: Changes, case: LoadedCase, setting: Setting, named: Named) -> None:
    """Ends what no valid grant holds any more; where a consent does not open, what is `named`, and leaves the rest as
    it stands. `setting` opens nothing."""
    if CONSENTS in case.unread:
        end_named(changes, case, setting, named)
    else:
        plan_all(changes, case, setting)
    note_unread(changes, case, setting.now)


def end_named(changes: Changes, case: LoadedCase, setting: Setting, named: Named) -> None:
    """Ends every open share that is named, whatever is granted."""
    for referral in case.referrals:
        case.replace(end_shares(changes, referral, named_of(referral, named), setting))


def named_of(referral: Referral, named: Named) -> Sequence[Category]:
    """The categories of a referral's open shares that are named."""
    return sorted(share.category for share in referral.shares.values() if named(referral, share))


def note_unread(changes: Changes, case: LoadedCase, now: datetime) -> None:
    """Says on the timeline that something ended though not everything opened that could have kept it."""
    if case.unread:
        changes.timeline.append(
            {
                "at": now, "kind": "ended_unread", "agency": None, "organisation": None, "referral": None,
                "detail": {"tables": sorted(case.unread)},
            }
        )  # fmt: skip
        changes.state("ended_unread", case.code, tables=list[JsonValue](sorted(case.unread)))
