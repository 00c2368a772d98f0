"""What every route of the survivor's page takes: the database, the tools, and the time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from amanat.db import Database
from intake.my_case.service.tools import Tools


@dataclass(frozen=True)
class Desk:
    """Made once per process; a route gets it with the time of its request."""

    database: Database
    tools: Tools

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


def desk(request: Request) -> Desk:
    """The process's desk."""
    found: Desk = request.app.state.my_case
    return found


AtDesk = Annotated[Desk, Depends(desk)]
