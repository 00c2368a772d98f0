"""Referrals: the feed, one of them, and what the centre did with it."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from amanat.agency import feed
from amanat.agency.reading import read_referral
from amanat.agency.schemas import Feed, ReferralShown, Reported
from amanat.agency.web import DEFAULT_LIMIT, READS, AtDesk, Cursor, PageSize, answered, create_report, listed, unless
from amanat.headers import IdempotencyKey, IfNoneMatch
from amanat.problems import problems
from police_link import service
from police_link.api.desk import Code, Officer, Transaction
from police_link.schemas import NewAcknowledgement, NewFir, NewRefusal

router = APIRouter(tags=["referrals"])
PATH = "/v1/referrals"


@router.get(PATH)
async def list_referrals(
    response: Response,
    principal: Officer,
    session: Transaction,
    desk: AtDesk,
    cursor: Cursor = None,
    limit: PageSize = DEFAULT_LIMIT,
) -> Feed:
    """List one's own centre's referrals by arrival: codes and states, no content."""
    return listed(await feed.page(session, principal, PATH, cursor, limit, desk.cursors), response, PATH, limit)


@router.get(PATH + "/{code}", response_model=ReferralShown, responses=READS)
async def read_referral_by_code(
    code: Code, principal: Officer, desk: AtDesk, if_none_match: IfNoneMatch = None
) -> Response:
    """Read what is granted just now, and what the centre itself recorded. The look is on record before the answer."""
    return answered(await read_referral(desk, principal, code, unless(if_none_match)))


@router.post(PATH + "/{code}/acknowledgement", status_code=201, response_model=Reported, responses=problems(404, 409))
async def acknowledge_referral(
    code: Code,
    request: Request,
    principal: Officer,
    key: IdempotencyKey,
    desk: AtDesk,
    body: Annotated[NewAcknowledgement | None, Body()] = None,
) -> Response:
    """Acknowledge a referral."""
    return await create_report(
        request, desk, principal, key, f"{PATH}/{code}", code, service.acknowledge, body or NewAcknowledgement()
    )


@router.post(PATH + "/{code}/fir", status_code=201, response_model=Reported, responses=problems(404, 409))
async def register_fir(
    code: Code, body: NewFir, request: Request, principal: Officer, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Report a registered FIR."""
    return await create_report(request, desk, principal, key, f"{PATH}/{code}", code, service.register_fir, body)


@router.post(PATH + "/{code}/refusal", status_code=201, response_model=Reported, responses=problems(404, 409))
async def refuse_referral(
    code: Code, body: NewRefusal, request: Request, principal: Officer, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Report that no FIR was registered, and why."""
    return await create_report(request, desk, principal, key, f"{PATH}/{code}", code, service.refuse, body)
