"""Routes of the legal aid partners: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency import feed
from amanat.agency.reading import read_referral
from amanat.agency.schemas import Feed, ReferralShown, Reported
from amanat.agency.web import (
    DEFAULT_LIMIT,
    READS,
    AtDesk,
    Cursor,
    PageSize,
    answered,
    code_of,
    create_report,
    listed,
    transaction,
    unless,
)
from amanat.auth import require
from amanat.categories import Agency
from amanat.headers import IdempotencyKey, IfNoneMatch
from amanat.ledger_web import ledger_router
from amanat.principal import Principal
from amanat.problems import problems
from legal_aid import service
from legal_aid.schemas import NewAssignment, NewDecline

asking = require("legal_aid_officer", "legal_partner_system")
router = APIRouter(tags=["cases"])
routers = [router, ledger_router(asking)]
PATH = "/v1/cases"

Officer = Annotated[Principal, Depends(asking)]
"""An officer of a partner, or its system: both act for their own partner alone."""
Transaction = Annotated[AsyncSession, Depends(transaction(asking), scope="function")]
Code = Annotated[str, Depends(code_of(Agency.LEGAL_AID))]


@router.get(PATH)
async def list_cases(
    response: Response,
    principal: Officer,
    session: Transaction,
    desk: AtDesk,
    cursor: Cursor = None,
    limit: PageSize = DEFAULT_LIMIT,
) -> Feed:
    """List one's own partner's cases by arrival: codes and states, no content."""
    return listed(await feed.page(session, principal, PATH, cursor, limit, desk.cursors), response, PATH, limit)


@router.get(PATH + "/{code}/summary", response_model=ReferralShown, responses=READS)
async def read_case_summary(
    code: Code, principal: Officer, desk: AtDesk, if_none_match: IfNoneMatch = None
) -> Response:
    """Read what is granted just now, and what the partner itself recorded. The look is on record before the answer."""
    return answered(await read_referral(desk, principal, code, unless(if_none_match)))


@router.post(PATH + "/{code}/assignment", status_code=201, response_model=Reported, responses=problems(404, 409))
async def assign_lawyer(
    code: Code, body: NewAssignment, request: Request, principal: Officer, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Report who represents her, and the hearings."""
    return await create_report(request, desk, principal, key, _summary(code), code, service.assign, body)


@router.post(PATH + "/{code}/decline", status_code=201, response_model=Reported, responses=problems(404, 409))
async def decline_case(
    code: Code, body: NewDecline, request: Request, principal: Officer, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Report that the partner cannot represent her, and why."""
    return await create_report(request, desk, principal, key, _summary(code), code, service.decline, body)


def _summary(code: str) -> str:
    return f"{PATH}/{code}/summary"
