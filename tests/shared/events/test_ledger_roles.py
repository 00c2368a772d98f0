"""Who may do what with the ledger's entries: append, for all; take a salt away, for the background role; no more."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import ProgrammingError

from amanat import ledger
from amanat.at_rest import AtRest
from amanat.db import Database
from amanat.tables import ledger_entries

from .making import CLIFTON, NOW, P1, SADDAR

AT_REST = AtRest({0: bytes(32)})


async def add(database: Database, tenant: str, *, within: str | None = None) -> None:
    statement = ledger.Statement(tenant, "look", P1, NOW)
    async with database.transaction([within or tenant]) as session:
        await ledger.append(session, [ledger.entry(statement, AT_REST, os.urandom)])


async def test_of_an_entry_the_gate_can_take_the_salt_away_and_put_no_other_in_its_place(gate: Database) -> None:
    await add(gate, "arcc-karachi")
    async with gate.transaction([]) as session:
        await session.execute(update(ledger_entries).values(salt_sealed=None))
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with gate.transaction([]) as session:
            await session.execute(update(ledger_entries).values(salt_sealed=b"another"))


@pytest.mark.parametrize("column", ["id", "transaction"])
async def test_the_number_and_the_transaction_of_an_entry_are_nobodys_to_choose(api: Database, column: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with api.transaction([SADDAR]) as session:
            await session.execute(
                text(
                    f"INSERT INTO ledger_entries ({column}, tenant, kind, subject, at, said, commitment)"
                    f" OVERRIDING SYSTEM VALUE VALUES (1, '{SADDAR}', 'look', 'P-1', now(), '{{}}', '')"
                )
            )


async def test_an_agencys_worker_reads_the_entries_of_all_tenants_and_appends_to_its_own_alone(
    worker: Database, api: Database
) -> None:
    await add(api, SADDAR)
    async with worker.transaction(()) as session:
        assert await session.scalar(select(func.count()).select_from(ledger_entries)) == 1
    with pytest.raises(ProgrammingError, match="row-level security"):
        await add(worker, SADDAR, within=CLIFTON)
