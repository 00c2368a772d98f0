"""The rows of a new case: nobody else knows of it yet, so there is nothing to read, to lock or to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Integer, LargeBinary, Table, Text, bindparam, insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger, outbox
from amanat.groupcommit import Rows, Writing
from amanat.kek import RequestSecret
from amanat.tables import ledger_entries
from amanat.tables import outbox as outbox_table
from intake.changes import Changes, Row
from intake.models import (
    case_index,
    cases,
    clocks,
    consent_events,
    keys,
    records,
    referrals,
    request_secrets,
    shares,
    timeline,
)
from intake.repository.cases import identity_lock
from intake.repository.changes import opened_now, rows_of

COLUMNS: Mapping[Table, Sequence[str]] = {
    cases: ("tenant", "code", "opened_at", "presented_at"),
    records: (
        "id", "tenant", "case_code", "kind", "author_agency", "author_organisation", "referral", "categories",
        "sealed", "recorded_at", "corrects", "reason_sealed",
    ),
    case_index: ("tenant", "field", "digest", "case_code"),
    consent_events: ("id", "tenant", "case_code", "kind", "sealed", "recorded_at"),
    referrals: (
        "tenant", "code", "case_code", "agency", "organisation", "purpose", "state", "progress", "consent_version",
        "next_seq", "requested_at", "opened_at",
    ),
    clocks: ("tenant", "case_code", "kind", "trigger_at", "due_at", "source"),
    request_secrets: ("id", "tenant", "generation", "sealed"),
    keys: ("key_id", "tenant", "referral", "category", "epoch", "seq", "secret_id", "wrap", "created_at"),
    shares: ("tenant", "referral", "category", "epoch", "opened_at", "until"),
    timeline: ("tenant", "case_code", "at", "kind", "agency", "organisation", "referral", "detail"),
    outbox_table: (
        "event_id", "topic", "key", "tenant", "type", "headers", "body", "referral", "seq", "category", "epoch",
        "created_at",
    ),
    ledger_entries: ("tenant", "kind", "subject", "at", "said", "source", "commitment", "salt_sealed"),
}  # fmt: skip
"""Parents before children, the ledger last."""


def rows_of_case(
    *,
    tenant: str,
    code: str,
    presented_at: datetime | None,
    digests: Sequence[tuple[str, bytes]],
    running: Sequence[Row],
    changes: Changes,
    secret: RequestSecret | None,
    now: datetime,
) -> dict[Table, Sequence[Row]]:
    """All rows of a new case but its ledger entries. `digests` are (field, blind digest) that find it, `running` its
    clocks {kind, trigger_at, due_at, source}. Raises ValueError for a plan that does more than open a case."""
    asked = {row["code"] for row in changes.referrals_asked}
    if changes.shares_ended or changes.shares_prolonged or not changes.referrals.keys() <= asked:
        raise ValueError("a plan that changes what a case had before")
    new = dict(rows_of(tenant, code, changes, secret, now))
    new[referrals] = [{**row, **_as_planned(changes, row["code"], now)} for row in changes.referrals_asked]
    new[cases] = [{"tenant": tenant, "code": code, "opened_at": now, "presented_at": presented_at}]
    new[case_index] = [
        {"tenant": tenant, "field": field, "digest": digest, "case_code": code} for field, digest in digests
    ]
    new[clocks] = [{"tenant": tenant, "case_code": code, **clock} for clock in running]
    return new


async def write(session: AsyncSession, rows: Rows, entries: Sequence[ledger.Entry]) -> None:
    """Writes them in the caller's transaction. A code or key that exists raises IntegrityError."""
    for table in COLUMNS:
        if table is outbox_table:
            await outbox.add(session, *rows[table])
        elif rows.get(table):
            await session.execute(insert(table), list(rows[table]))
    await ledger.append(session, entries)


def with_entries(rows: Rows, entries: Sequence[ledger.Entry]) -> Rows:
    """The same, for a statement that writes all at once."""
    names = COLUMNS[ledger_entries]
    return {**rows, ledger_entries: [{name: getattr(each, name) for name in names} for each in entries]}


@dataclass(frozen=True)
class Visit(Writing):
    """A case that is opened only where its cell has none that bears one digest of each field of `known_by`.

    `identities` are the digests that all who open a case of hers hold meanwhile (`cases.hold_identities`).
    """

    cell: str = ""
    identities: Sequence[bytes] = ()
    known_by: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    @property
    def locks(self) -> set[int]:
        """What all who open a case of hers hold meanwhile."""
        return set(map(identity_lock, self.identities))

    @property
    def digests(self) -> set[bytes]:
        """All of them: visits that share one may be one visit."""
        return set(self.identities).union(*self.known_by.values())


async def admit(session: AsyncSession, asked: list[Writing]) -> list[Writing]:
    """All but visits whose case is there already, or that may be one with another's of this flush, or of another
    transaction's that is under way: those go alone, and nobody waits for them."""
    visits, named = list[Visit](), set[bytes]()
    for each in asked:
        if isinstance(each, Visit) and not each.digests & named:
            visits.append(each)
            named |= each.digests
    if visits:
        locks = sorted({lock for visit in visits for lock in visit.locks})
        held = set(await session.scalars(_HOLD, {"locks": locks}))
        visits = [visit for visit in visits if visit.locks <= held]
        known = await _known(session, visits)
        visits = [visit for number, visit in enumerate(visits) if number not in known]
    new = {id(visit) for visit in visits}
    return [each for each in asked if not isinstance(each, Visit) or id(each) in new]


async def _known(session: AsyncSession, visits: Sequence[Visit]) -> set[int]:
    """Which of them, by place, have a case already."""
    rows = [
        (number, visit.cell, field, digest, len(visit.known_by))
        for number, visit in enumerate(visits)
        for field, digests in visit.known_by.items()
        for digest in digests
    ]
    names = ("visits", "cells", "fields", "digests", "wanted")
    return set(await session.scalars(_KNOWN, {name: [row[place] for row in rows] for place, name in enumerate(names)}))


# Not waited for: who holds one may itself wait for a key of this flush.
_HOLD = text(
    "SELECT held.lock FROM unnest(:locks) AS held (lock) WHERE pg_try_advisory_xact_lock(held.lock)"
).bindparams(bindparam("locks", type_=ARRAY(BigInteger)))
_KNOWN = text(
    "SELECT DISTINCT asked.visit FROM unnest(:visits, :cells, :fields, :digests, :wanted)"
    " AS asked (visit, cell, field, digest, wanted)"
    " JOIN case_index known ON known.tenant = asked.cell AND known.field = asked.field AND known.digest = asked.digest"
    " GROUP BY asked.visit, known.case_code HAVING count(DISTINCT asked.field) = max(asked.wanted)"
).bindparams(
    bindparam("visits", type_=ARRAY(Integer)),
    bindparam("cells", type_=ARRAY(Text)),
    bindparam("fields", type_=ARRAY(Text)),
    bindparam("digests", type_=ARRAY(LargeBinary)),
    bindparam("wanted", type_=ARRAY(Integer)),
)


def _as_planned(changes: Changes, code: str, now: datetime) -> dict[str, Any]:
    referral = changes.referrals.get(code)
    if referral is None:
        return {"consent_version": 0, "next_seq": 1, "opened_at": None}
    return {
        "state": referral.state,
        "consent_version": referral.consent_version,
        "next_seq": referral.next_seq,
        "opened_at": now if opened_now(changes, code) else None,
    }
