"""What every route of the cell takes: who asks, the database, the instruments, and the time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import AfterValidator
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.auth import require
from amanat.categories import Agency
from amanat.codes import PREFIX, BadCode, parse_code
from amanat.db import Database
from amanat.groupcommit import GroupCommit
from amanat.principal import Principal
from intake.service.instruments import Instruments


def _as_written(text: str) -> str:
    """A code in its normal form. What is no code stays as it is, less what no column holds: it is unknown, and treated
    like every unknown code."""
    try:
        return parse_code(text, PREFIX[Agency.INTAKE])
    except BadCode:
        return text.replace("\x00", "\ufffd")


CaseCode = Annotated[str, Path(description="the case's code, as a person may write it"), AfterValidator(_as_written)]

asking = require("hospital_system", "cell_staff")
keeping = require("hospital_system", "cell_staff", "cell_records", "cell_supervisor")
"""Whoever keeps or answers for the cell's records: those who make court bundles ask for proofs as well."""
Member = Annotated[Principal, Depends(asking)]
"""The hospital's system or a person of the cell: both read and write their own cell's cases."""


@dataclass(frozen=True)
class Desk:
    """Made once per process; a route gets it with the time of its request."""

    database: Database
    instruments: Instruments
    group: GroupCommit
    """Of cases that are opened."""

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


def desk(request: Request) -> Desk:
    """The process's desk."""
    found: Desk = request.app.state.desk
    return found


AtDesk = Annotated[Desk, Depends(desk)]


async def transaction(principal: Member, desk: AtDesk) -> AsyncIterator[AsyncSession]:
    """A transaction that sees the asking client's cells; committed before the answer leaves."""
    async with desk.database.transaction(principal.tenants) as session:
        yield session


Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
