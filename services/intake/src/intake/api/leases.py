"""The gate's internal listener. Its callers are the agencies' own services, by client credentials for this audience."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from amanat.auth import require
from amanat.db import Database
from amanat.kek import KekPrivate
from amanat.principal import Principal
from intake.service import leasing
from intake.service.instruments import Instruments

router = APIRouter(tags=["gate"])
Service = Annotated[Principal, Depends(require("service", any_agency=True))]


@dataclass(frozen=True)
class LeaseDesk:
    """What leasing needs."""

    database: Database
    kek: KekPrivate
    instruments: Instruments


def desk(request: Request) -> LeaseDesk:
    """The gate's desk."""
    found: LeaseDesk = request.app.state.leases
    return found


@router.post("/internal/v1/leases")
async def lease_keys(
    body: leasing.LeaseRequest, principal: Service, desk: Annotated[LeaseDesk, Depends(desk)]
) -> leasing.LeaseAnswer:
    """Lease keys for seconds. Recorded and committed before they leave."""
    async with desk.database.transaction(()) as session:
        return await leasing.lease(session, principal, body.items, datetime.now(UTC), desk.kek, desk.instruments)
