"""Disclosures outside: ask, read, approve, refuse, end before their time."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from amanat.creating import Created, create
from amanat.headers import IdempotencyKey
from amanat.problems import problems
from intake.api.desk import AtDesk, CaseCode
from intake.api.people import by_name
from intake.break_glass import schemas
from intake.break_glass.api.people import Asker, Reader, Supervising, Supervisor
from intake.break_glass.service import decisions, disclosures, endings
from intake.service import reading

router = APIRouter(tags=["disclosures outside"])
Disclosure = Annotated[UUID, Path(description="the disclosure's id")]


@router.post(
    "/v1/cases/{case}/disclosures",
    status_code=201,
    response_model=schemas.DisclosureTold,
    responses=problems(404, 409),
)
async def ask_for_disclosure(
    case: CaseCode, body: schemas.NewDisclosure, request: Request, principal: Asker, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Ask for a disclosure on a court's order or a statutory duty. It grants nothing until a second person approves."""

    async def effect(session: AsyncSession) -> Created[schemas.DisclosureTold]:
        asked = await disclosures.ask(session, principal, case, body, desk.now, desk.instruments)
        return Created(f"/v1/cases/{case}/disclosures/{asked.disclosure}", asked)

    async def rebuild(session: AsyncSession, location: str) -> schemas.DisclosureTold:
        disclosure = UUID(location.rsplit("/", 1)[-1])
        return await disclosures.asked(session, principal, case, disclosure, desk.now)

    return await create(request, desk.database, desk.instruments.macs, by_name(principal), key, effect, rebuild)


@router.get("/v1/cases/{case}/disclosures", response_model=schemas.DisclosuresShown, responses=problems(404))
async def read_disclosures(case: CaseCode, principal: Reader, desk: AtDesk) -> schemas.DisclosuresShown:
    """Read all disclosures outside of a case of one's own cell, with their references; the look is on record first."""
    rows = await reading.look_at_case(desk.database, principal, case, desk.now, desk.instruments)
    async with desk.database.transaction(principal.tenants) as session:
        return await disclosures.show_all(session, principal, rows[0].tenant, case, desk.now, desk.instruments)


@router.post(
    "/v1/cases/{case}/disclosures/{disclosure}/approval",
    response_model=schemas.DisclosureTold,
    responses=problems(404, 409),
)
async def approve_disclosure(
    case: CaseCode, disclosure: Disclosure, principal: Supervisor, session: Supervising, desk: AtDesk
) -> schemas.DisclosureTold:
    """Approve what somebody of another role and unit asked for; effective at once. Needs no key, may be repeated."""
    return await decisions.approve(session, principal, case, disclosure, desk.now, desk.instruments)


@router.post(
    "/v1/cases/{case}/disclosures/{disclosure}/refusal",
    response_model=schemas.DisclosureTold,
    responses=problems(404, 409),
)
async def refuse_disclosure(
    case: CaseCode,
    disclosure: Disclosure,
    body: schemas.NewRefusal,
    principal: Supervisor,
    session: Supervising,
    desk: AtDesk,
) -> schemas.DisclosureTold:
    """Refuse what somebody of another role and unit asked for, and say why. Needs no key, may be repeated."""
    return await decisions.refuse(session, principal, case, disclosure, body, desk.now, desk.instruments)


@router.post(
    "/v1/cases/{case}/disclosures/{disclosure}/ending",
    response_model=schemas.DisclosureTold,
    responses=problems(404, 409),
)
async def end_disclosure(
    case: CaseCode,
    disclosure: Disclosure,
    body: schemas.NewEnding,
    principal: Supervisor,
    session: Supervising,
    desk: AtDesk,
) -> schemas.DisclosureTold:
    """End an approved disclosure before its time, and say why; effective at once. Needs no key, may be repeated."""
    return await endings.end_early(session, principal, case, disclosure, body, desk.now, desk.instruments)
