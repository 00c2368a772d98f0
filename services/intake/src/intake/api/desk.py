"""What every route of the cell takes: who asks, the database, the instruments, and the time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.auth import require
from amanat.db import Database
from amanat.principal import Principal
from intake.service.instruments import Instruments

Member = Annotated[Principal, Depends(require("hospital_system", "cell_staff"))]
"""The hospital's system or a person of the cell: both read and write their own cell's cases."""


@dataclass(frozen=True)
class Desk:
    """Made once per process; a route gets it with the time of its request."""

    database: Database
    instruments: Instruments

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
