"""A look is on record before the answer (law 6), and cannot be avoided: fetching and recording are one statement.

The statement selects what is asked for, inserts the look and inserts its ledger entry. When the select finds
nothing, the same two inserts record a refusal instead: an HMAC of the code, the same for a code that belongs to
another organisation and for one that never was, in the same number of statements (law 2).

At an agency the same statement notes that the gate is to be told of the look. Refusals are told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Row, Select, case, exists, literal, null, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Category
from amanat.db import Database
from amanat.principal import Principal
from amanat.tables import ledger_entries, looks, untold_looks

_ENTRY = ("kind", "subject", "commitment", "salt_sealed")
LOOKS = ledger.Source(
    looks,
    ("tenant", "id", "referral", "refused", "subject", "client", "token_id", "purpose", "categories", "at"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """One look, ready to be recorded either way. Made by `look`, which computes both ledger entries beforehand.

    `refused` is None where finding nothing is no refusal: see `look`.
    """

    id: UUID
    tenant: str
    referral: str
    refused: bytes | None
    subject: str
    client: str
    token_id: str
    purpose: str
    categories: tuple[str, ...]
    at: datetime
    seen_entry: ledger.Entry
    nothing_entry: ledger.Entry


def look(
    principal: Principal,
    *,
    look_id: UUID,
    tenant: str,
    referral: str,
    refused: bytes,
    purpose: str,
    categories: Collection[Category],
    at: datetime,
    at_rest: ledger.Seals,
    randomness: Callable[[int], bytes],
    leased: bool = False,
) -> Look:
    """Who looks (`principal`), for which organisation or cell (`tenant`), at which referral or case code, why, at what.

    `refused` is `Macs.refusal(referral)`: all that is kept of the code when nothing is found. `categories` are those
    that will be opened, known from the lease before the fetch.

    With `leased` the gate gave keys for this code, so that it is the asker's: to find nothing (it has not come yet, or
    was withdrawn just now) is then a look at nothing, and no refusal. Else keys would be out that no look accounts for.
    """
    named = tuple(sorted(str(category) for category in categories))
    row = {
        "tenant": tenant,
        "id": look_id,
        "subject": principal.subject,
        "client": principal.client,
        "token_id": principal.token_id,
        "purpose": purpose,
        "at": at,
    }

    def entry(kind: str, subject: str, outcome: Mapping[str, Any]) -> ledger.Entry:
        return ledger.entry(LOOKS.statement(kind, subject, at, {**row, **outcome}), at_rest, randomness)

    if leased:
        nothing = entry("look", referral, {"referral": referral, "refused": None, "categories": ()})
    else:
        nothing = entry("look_refused", refused.hex(), {"referral": None, "refused": refused, "categories": ()})
    return Look(
        id=look_id,
        tenant=tenant,
        referral=referral,
        refused=None if leased else refused,
        subject=principal.subject,
        client=principal.client,
        token_id=principal.token_id,
        purpose=purpose,
        categories=named,
        at=at,
        seen_entry=entry("look", referral, {"referral": referral, "refused": None, "categories": named}),
        nothing_entry=nothing,
    )


async def fetch(
    database: Database, *, tenants: Collection[str], look: Look, statement: Select[Any], tells: bool = False
) -> Sequence[Row[Any]]:
    """The rows that `statement` selects; the look at them is committed before they are returned.

    `statement` selects columns (not entities) under distinct names, joins the asking tenant itself, and keeps to one
    referral or case. An empty answer means a refusal was recorded. Raises what the database raises; then nothing
    is returned and nothing was seen. With `tells` (at an agency) the gate will be told of the look.
    """
    async with database.transaction(tenants) as session:
        # Leaving this block commits: only then does the caller have them.
        return await fetch_within(session, look=look, statement=statement, tells=tells)


async def fetch_within(
    session: AsyncSession, *, look: Look, statement: Select[Any], tells: bool = False
) -> Sequence[Row[Any]]:
    """`fetch` in the caller's transaction, for a look that stands or falls with other rows. Nothing of what it returns
    may be opened, and no answer leave, before that transaction has committed."""
    rows: Sequence[Row[Any]] = (await session.execute(_recording(look, statement, tells))).all()
    return rows


async def record(session: AsyncSession, looks_made: Sequence[Look], *, found: bool) -> None:
    """Puts looks on record in the caller's transaction, for a search: what it finds is not known beforehand, and it
    opens nothing. With `found` false they are refusals. The answer may leave only after the commit."""
    await session.execute(insert(looks), [_values(each, found=found) for each in looks_made])
    await ledger.append(session, [each.seen_entry if found else each.nothing_entry for each in looks_made])


def _values(look: Look, *, found: bool) -> dict[str, Any]:
    return {
        "tenant": look.tenant,
        "id": look.id,
        "referral": look.referral if found else _code_of_nothing(look),
        "refused": None if found else look.refused,
        "subject": look.subject,
        "client": look.client,
        "token_id": look.token_id,
        "purpose": look.purpose,
        "categories": list(look.categories) if found else [],
        "at": look.at,
    }


def _code_of_nothing(look: Look) -> str | None:
    return look.referral if look.refused is None else None


def _recording(look: Look, statement: Select[Any], tells: bool) -> Select[Any]:
    found = statement.cte("found")
    seen = select(exists(select(literal(1)).select_from(found)).label("yes")).cte("seen")
    recorded = select(found).add_cte(_look_row(look, seen), _ledger_row(look, seen))
    return recorded.add_cte(_untold_row(look, seen)) if tells else recorded


def _look_row(look: Look, seen: CTE) -> CTE:
    table = looks.c
    values: dict[str, ColumnElement[Any]] = {
        "tenant": literal(look.tenant, table.tenant.type),
        "id": literal(look.id, table.id.type),
        "referral": case(
            (seen.c.yes, literal(look.referral, table.referral.type)),
            else_=literal(_code_of_nothing(look), table.referral.type),
        ),
        "refused": case((seen.c.yes, null()), else_=literal(look.refused, table.refused.type)),
        "subject": literal(look.subject, table.subject.type),
        "client": literal(look.client, table.client.type),
        "token_id": literal(look.token_id, table.token_id.type),
        "purpose": literal(look.purpose, table.purpose.type),
        "categories": case(
            (seen.c.yes, literal(list(look.categories), table.categories.type)),
            else_=literal([], table.categories.type),
        ),
        "at": literal(look.at, table.at.type),
    }
    return insert(looks).from_select(list(values), select(*values.values()).select_from(seen)).cte("recorded_look")


def _ledger_row(look: Look, seen: CTE) -> CTE:
    columns = ledger_entries.c
    values: dict[str, ColumnElement[Any]] = {
        name: case(
            (seen.c.yes, literal(getattr(look.seen_entry, name), columns[name].type)),
            else_=literal(getattr(look.nothing_entry, name), columns[name].type),
        )
        for name in _ENTRY
    }
    for name in ("tenant", "at", "said", "source"):
        values[name] = literal(getattr(look.seen_entry, name), columns[name].type)
    return insert(ledger_entries).from_select(list(values), select(*values.values()).select_from(seen)).cte("recorded")


def _untold_row(look: Look, seen: CTE) -> CTE:
    columns = untold_looks.c
    row = select(literal(look.tenant, columns.tenant.type), literal(look.id, columns.look_id.type)).select_from(seen)
    kept = row.where(or_(seen.c.yes, literal(look.refused is None)))
    return insert(untold_looks).from_select(["tenant", "look_id"], kept).cte("untold")
