"""The cell's part, for its people alone: give her a code, print it, end it; call her; undo by her code word."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import HTMLResponse, Response

from amanat.creating import Created, create
from amanat.headers import IdempotencyKey
from amanat.pages import DEFAULT_LIMIT, Limit, link_header
from amanat.principal import Principal
from amanat.problems import problems
from intake.api.desk import CaseCode
from intake.api.people import by_name, person
from intake.my_case import schemas
from intake.my_case.api.desk import AtDesk
from intake.my_case.api.paper import PAPER_POLICY, paper
from intake.my_case.service import calls, claims, undoing

CALLS = "/v1/calls"
router = APIRouter(tags=["my case"])

Staff = Annotated[Principal, Depends(person("cell_staff"))]
"""A person of the cell: what she chooses is typed in front of her, and goes through no hospital's system."""


async def transaction(principal: Staff, desk: AtDesk) -> AsyncIterator[AsyncSession]:
    """A transaction that sees the asking person's cells; committed before the answer leaves."""
    async with desk.database.transaction(principal.tenants) as session:
        yield session


Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]


@router.post(
    "/v1/cases/{case}/claim", status_code=201, response_model=schemas.ClaimIssued, responses=problems(404, 409, 503)
)
async def issue_claim(
    case: CaseCode, body: schemas.NewClaim, request: Request, principal: Staff, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Give her a code for her own page, with the PIN that she chose. The code before it ends."""
    chosen = await claims.choose(desk.database, principal, case, body, desk.tools)

    async def effect(session: AsyncSession) -> Created[schemas.ClaimIssued]:
        made = await claims.issue(session, principal, chosen, body.language, desk.now, desk.tools)
        return Created(f"/v1/cases/{case}/claim/{made.claim}", made)

    async def rebuild(session: AsyncSession, location: str) -> schemas.ClaimIssued:
        return await claims.issued(session, principal, case, UUID(location.rsplit("/", 1)[-1]), desk.tools)

    return await create(request, desk.database, desk.tools.replays, by_name(principal), key, effect, rebuild)


@router.post(
    "/v1/cases/{case}/claim/paper",
    response_class=HTMLResponse,
    responses={**problems(404), 200: {"content": {"text/html": {}}, "description": "A page of A6 to print"}},
)
async def print_claim(
    case: CaseCode, body: schemas.Paper, principal: Staff, session: Transaction, desk: AtDesk
) -> HTMLResponse:
    """Print her code on paper, only if she wants: an address, the code, and nothing that names the cell."""
    code, chosen = await claims.print_out(session, principal, case, desk.now, desk.tools)
    language = body.language or chosen
    headers = {"Content-Security-Policy": PAPER_POLICY, "Content-Language": language}
    return HTMLResponse(paper(language, desk.tools.address, code), headers=headers)


@router.post("/v1/cases/{case}/claim/ending", response_model=schemas.ClaimEnded, responses=problems(404))
async def end_claim(case: CaseCode, principal: Staff, session: Transaction, desk: AtDesk) -> schemas.ClaimEnded:
    """End her code, and every visit that it opened. May be repeated."""
    return await claims.end(session, principal, case, desk.now, desk.tools)


@router.post("/v1/cases/{case}/claim/undo", response_model=schemas.Undone, responses=problems(404, 409, 503))
async def undo_withdrawal(case: CaseCode, body: schemas.Undo, principal: Staff, desk: AtDesk) -> schemas.Undone:
    """Give again what was taken back from afar, by her code word: new consents, new epochs. 409 for a wrong word."""
    return await undoing.undo(desk.database, principal, case, body, desk.now, desk.tools)


@router.get(CALLS, response_model=schemas.CallsListed)
async def list_calls(
    response: Response,
    principal: Staff,
    session: Transaction,
    desk: AtDesk,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
) -> schemas.CallsListed:
    """List the calls that one's cells owe, oldest first: by the safe channel, and by no other."""
    found = await calls.listed(session, principal, CALLS, cursor, limit, desk.tools)
    response.headers.update(link_header(CALLS, cursor=found.next, limit=limit))
    return found


@router.post(CALLS + "/{call}/done", response_model=schemas.CallDone, responses=problems(404))
async def finish_call(call: UUID, principal: Staff, session: Transaction, desk: AtDesk) -> schemas.CallDone:
    """Say that the call was made. May be repeated."""
    return await calls.finish(session, principal, call, desk.now)
