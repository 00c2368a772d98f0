"""What a court bundle is made of: a case's entries with their leaves and rows, and the bundles that were made."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, cast, exists, insert, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from amanat.ledger import Source
from amanat.ledger.reading import rows_named
from amanat.tables import ledger_entries, ledger_leaves
from intake.models import bundles, cases, consent_events, custody_halves, kits, records, referrals
from intake.repository.cases import own_only

_ENTRY = ("tenant", "kind", "subject", "at", "said", "source", "commitment", "salt_sealed")


def case_statement(access: Access, tenants: Collection[str], code: str) -> Select[Any]:
    """The statement that a look runs before a bundle is made: the case's {tenant, code}, if it is theirs."""
    return select(cases.c.tenant, cases.c.code).where(
        cases.c.code == code, cases.c.tenant.in_(tenants), own_only(access)
    )


async def read_entries(
    session: AsyncSession, access: Access, tenant: str, code: str, without: Collection[str]
) -> Sequence[AnyRow]:
    """The case's entries but those of the kinds `without`: {position, hash, passed, *columns}, in the ledger's order.
    Last come those without a position: not integrated yet or, where `passed`, without the leaf that they had, since the
    sequencer never goes back."""
    subjects = or_(
        ledger_entries.c.subject == code,
        ledger_entries.c.subject.in_(
            select(referrals.c.code).where(referrals.c.tenant == tenant, referrals.c.case_code == code)
        ),
        ledger_entries.c.subject.in_(select(kits.c.barcode).where(kits.c.tenant == tenant, kits.c.case_code == code)),
    )
    statement = (
        select(
            ledger_leaves.c.position,
            ledger_leaves.c.hash,
            _was_passed(tenant).label("passed"),
            *(ledger_entries.c[name] for name in _ENTRY),
        )
        .join_from(ledger_entries, ledger_leaves, ledger_leaves.c.entry == ledger_entries.c.id, isouter=True)
        .where(ledger_entries.c.tenant == tenant, subjects, ledger_entries.c.kind.not_in(without), own_only(access))
        .order_by(ledger_leaves.c.position.asc().nulls_last(), ledger_entries.c.id)
    )
    return (await session.execute(statement)).all()


def _was_passed(tenant: str) -> ColumnElement[bool]:
    """Whether the sequencer has taken a later entry of this tenant: the tree goes by transaction and id."""
    last = (
        select(ledger_entries.c.transaction, ledger_entries.c.id)
        .join_from(ledger_leaves, ledger_entries, ledger_entries.c.id == ledger_leaves.c.entry)
        .where(ledger_entries.c.tenant == tenant)
        .order_by(ledger_leaves.c.position.desc())
        .limit(1)
        .cte("last")
    )
    return tuple_(ledger_entries.c.transaction, ledger_entries.c.id) < tuple_(
        select(last.c.transaction).scalar_subquery(), select(last.c.id).scalar_subquery()
    )


async def read_rows(
    session: AsyncSession, access: Access, sources: Sequence[Source], tenant: str, names: Collection[str | None]
) -> Mapping[str, Mapping[str, Any]]:
    """The rows that these entries name, sealed, by the name."""
    if access.basis != "own":
        return {}
    found = await rows_named(session, {source.table.name: source for source in sources}, [tenant], names)
    return {name: row for (_, name), row in found.items()}


async def rows_without_entry(session: AsyncSession, access: Access, tenant: str, code: str) -> list[str]:
    """Names of the case's records, consents and halves that no entry names."""
    of_case = (
        (records, records.c.case_code == code),
        (consent_events, consent_events.c.case_code == code),
        (
            custody_halves,
            custody_halves.c.barcode.in_(
                select(kits.c.barcode).where(kits.c.tenant == tenant, kits.c.case_code == code)
            ),
        ),
    )
    found: list[str] = []
    for table, mine in of_case:
        name = literal(f"{table.name}/").concat(cast(table.c.id, Text))
        named = exists().where(ledger_entries.c.tenant == table.c.tenant, ledger_entries.c.source == name)
        statement = select(name).where(table.c.tenant == tenant, mine, ~named, own_only(access)).order_by(table.c.id)
        found += list(await session.scalars(statement))
    return found


async def add_bundle(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Keep that a bundle was made."""
    await session.execute(insert(bundles).values(**values))


async def read_bundle(
    session: AsyncSession, access: Access, tenants: Collection[str], code: str, bundle: UUID
) -> AnyRow | None:
    """A bundle that was made of this case."""
    statement = select(bundles).where(
        bundles.c.id == bundle, bundles.c.case_code == code, bundles.c.tenant.in_(tenants), own_only(access)
    )
    return (await session.execute(statement)).one_or_none()
