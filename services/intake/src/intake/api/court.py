"""Court bundles: made on a basis, by those of the cell who answer for its records."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from amanat.creating import Created, create
from amanat.headers import IdempotencyKey
from amanat.principal import Principal
from amanat.problems import problems
from intake.api.desk import AtDesk, CaseCode
from intake.api.people import by_name, person
from intake.service import court

router = APIRouter(tags=["court"])
Keeper = Annotated[Principal, Depends(person("cell_records", "cell_supervisor"))]
"""Who answers for the cell's records: neither the desk nor the hospital's system makes a court file."""


@router.post(
    "/v1/cases/{case}/bundles",
    status_code=201,
    response_model=court.BundleMade,
    responses=problems(404, 409),
)
async def make_bundle(
    case: CaseCode, body: court.NewBundle, request: Request, principal: Keeper, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Make a court bundle of a case. That its file was looked at is on record before anything of it is opened."""
    # Before the effect, which would else hold its transaction open for seconds: a replay makes one for nothing.
    made = await court.make(desk.database, principal, case, body, desk.now, desk.instruments)

    async def effect(session: AsyncSession) -> Created[court.BundleMade]:
        answer = await court.keep(session, made, desk.instruments)
        return Created(f"/v1/cases/{case}/bundles/{answer.bundle}", answer)

    async def rebuild(session: AsyncSession, location: str) -> court.BundleMade:
        return await court.made_before(session, principal, case, UUID(location.rsplit("/", 1)[-1]), desk.instruments)

    return await create(request, desk.database, desk.instruments.macs, by_name(principal), key, effect, rebuild)


@router.get(
    "/v1/cases/{case}/bundles/{bundle}",
    responses={**problems(404, 409), 200: {"content": {"application/zip": {}}, "description": "The bundle"}},
    response_class=Response,
)
async def read_bundle(case: CaseCode, bundle: UUID, principal: Keeper, desk: AtDesk) -> Response:
    """Read a bundle, to the byte as it was made. Each time it is a look, on record before the answer."""
    packed = await court.give(desk.database, principal, case, bundle, desk.now, desk.instruments)
    headers = {"Content-Disposition": f'attachment; filename="bundle-{bundle}.zip"'}
    return Response(packed, media_type="application/zip", headers=headers)
