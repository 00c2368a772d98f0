"""Consents: give, read, withdraw."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from amanat.consent import GrantTerms
from amanat.creating import Created, create
from amanat.headers import IdempotencyKey
from amanat.problems import problems
from intake import schemas
from intake.api.desk import AtDesk, CaseCode, Member, Transaction
from intake.service import consents, reading, withdrawals

router = APIRouter(tags=["consents"])


@router.post(
    "/v1/cases/{case}/consents",
    status_code=201,
    response_model=schemas.ConsentRecorded,
    responses=problems(404, 409),
)
async def give_consent(
    case: CaseCode, body: GrantTerms, request: Request, principal: Member, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Record a consent; what it newly allows is disclosed at once."""

    async def effect(session: AsyncSession) -> Created[schemas.ConsentRecorded]:
        given = await consents.give(session, principal, case, body, desk.now, desk.instruments)
        return Created(f"/v1/cases/{case}/consents/{given.consent}", given)

    async def rebuild(session: AsyncSession, location: str) -> schemas.ConsentRecorded:
        consent = UUID(location.rsplit("/", 1)[-1])
        return await reading.consent_recorded(session, principal, case, consent, desk.instruments)

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild)


@router.get("/v1/cases/{case}/consents", response_model=schemas.ConsentsShown, responses=problems(404))
async def read_consents(case: CaseCode, principal: Member, desk: AtDesk) -> schemas.ConsentsShown:
    """Read all consents of a case, and what withdrawals have reached at each agency."""
    rows = await reading.look_at_case(desk.database, principal, case, desk.now, desk.instruments)
    async with desk.database.transaction(principal.tenants) as session:
        return await consents.show(session, principal, rows[0].tenant, case, desk.now, desk.instruments)


@router.post(
    "/v1/cases/{case}/consents/{consent}/withdrawal",
    response_model=schemas.WithdrawalDone,
    responses=problems(404, 409),
)
async def withdraw_consent(
    case: CaseCode,
    consent: UUID,
    principal: Member,
    session: Transaction,
    desk: AtDesk,
    body: Annotated[schemas.Withdrawal | None, Body()] = None,
) -> schemas.WithdrawalDone:
    """Take a consent back, whole or in part. Needs no key and no precondition, and may be repeated. What rests on a
    court's order or a duty by law is no consent of hers: 409."""
    return await withdrawals.withdraw(
        session, principal, case, consent, body or schemas.Withdrawal(), desk.now, desk.instruments
    )
