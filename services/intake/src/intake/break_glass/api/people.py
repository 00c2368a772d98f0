"""Who may break the glass: people of a cell, by the roles, the unit and the cell that their verified token names."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.principal import Principal
from intake.api.desk import AtDesk
from intake.api.people import person

Clinician = Annotated[Principal, Depends(person("cell_clinician"))]
Supervisor = Annotated[Principal, Depends(person("cell_supervisor"))]
Asker = Annotated[Principal, Depends(person("cell_clinician", "cell_records"))]
Reader = Annotated[Principal, Depends(person("cell_staff", "cell_clinician", "cell_records", "cell_supervisor"))]


async def supervising(principal: Supervisor, desk: AtDesk) -> AsyncIterator[AsyncSession]:
    """A transaction that sees the supervisor's cells; committed before the answer leaves."""
    async with desk.database.transaction(principal.tenants) as session:
        yield session


Supervising = Annotated[AsyncSession, Depends(supervising, scope="function")]
