"""The cell's people, apart from its systems: by the roles, the unit and the cell that their verified token names."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends

from amanat.auth import require
from amanat.errors import Forbidden
from amanat.principal import Principal
from intake.api.desk import AtDesk

SYSTEMS = frozenset({"hospital_system", "service"})


def person(*roles: str) -> Callable[..., Awaitable[Principal]]:
    """A dependency: a person of one of the directory's cells who holds one of `roles`. Refuses with 403 a system's
    token, whatever else it holds, and one that is not of a cell of its own."""
    asking = require(*roles)

    async def checked(principal: Annotated[Principal, Depends(asking)], desk: AtDesk) -> Principal:
        cell = principal.organisation
        if principal.roles & SYSTEMS or cell not in principal.cells or desk.instruments.directory.cell(cell) is None:
            raise Forbidden
        return principal

    return checked


def by_name(principal: Principal) -> Principal:
    """For idempotency keys alone: all people of a cell come through one client, and a key is one person's."""
    return replace(principal, client=f"{principal.client}/{principal.subject}")
