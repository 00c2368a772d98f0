"""Cases: open, read, find, add to."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from amanat.creating import Created, Prepared, create, create_together
from amanat.errors import PreconditionRequired
from amanat.headers import IdempotencyKey, IfNoneMatch, matches
from amanat.problems import problems
from intake import schemas
from intake.api.desk import AtDesk, CaseCode, Desk, Member, Transaction
from intake.service import cases, opening, reading

router = APIRouter(tags=["cases"])
IfMatchWhenCorrecting = Annotated[
    str | None, Header(alias="If-Match", description="required when the record corrects another: the case's ETag")
]


_LOOKS = re.compile(r'\.[A-Za-z0-9_-]+"')


def etag(desk: Desk, code: str, row: Row[Any]) -> str:
    """Follows the case's version and how many looks agencies told of, never content.

    The cell's own looks are left out: two readers would else keep each other from ever getting a 304.
    """
    macs = desk.instruments.macs
    return _etag_of_version(desk, code, row.version)[:-1] + "." + macs.etag("looks", code, row.looks_told)[1:]


def _etag_of_version(desk: Desk, code: str, version: int) -> str:
    return desk.instruments.macs.etag("case", code, version)


@router.post("/v1/cases", status_code=201, response_model=schemas.CaseOpened, responses=problems(409))
async def open_case(
    body: schemas.NewCase, request: Request, principal: Member, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Open a case with its records, consents and requested referrals."""
    instruments = desk.instruments

    def prepare() -> Prepared[schemas.CaseOpened]:
        made = opening.make(principal, body, desk.now, instruments)
        return Prepared(f"/v1/cases/{made.case.code}", made.answer, made.together, lambda: made.stands(instruments))

    async def effect(session: AsyncSession) -> Created[schemas.CaseOpened]:
        made = await opening.open_case(session, principal, body, desk.now, instruments)
        return Created(f"/v1/cases/{made.case.code}", made.answer)

    async def rebuild(session: AsyncSession, location: str) -> schemas.CaseOpened:
        return await reading.opened(session, principal, location.rsplit("/", 1)[-1], instruments)

    together = await create_together(request, desk.group, instruments.macs, principal, key, prepare)
    return together or await create(request, desk.database, instruments.macs, principal, key, effect, rebuild)


@router.get(
    "/v1/cases/{case}",
    response_model=schemas.CaseShown,
    responses={**problems(404), 304: {"description": "Not changed"}},
)
async def read_case(case: CaseCode, principal: Member, desk: AtDesk, if_none_match: IfNoneMatch = None) -> Response:
    """Read a case of one's own cell, with one timeline. The look is on record before the answer."""
    async with desk.database.transaction(principal.tenants) as session:
        known = await reading.version_of(session, principal, case)
    if known is not None and matches(if_none_match, etag(desk, case, known), weak=True):
        return Response(status_code=304, headers={"ETag": etag(desk, case, known)})
    rows = await reading.look_at_case(desk.database, principal, case, desk.now, desk.instruments)
    async with desk.database.transaction(principal.tenants) as session:
        shown = await reading.show_case(session, principal, rows, desk.now, desk.instruments)
    return Response(
        shown.model_dump_json(),
        media_type="application/json",
        headers={"ETag": etag(desk, case, rows[0])},
    )


@router.post("/v1/cases/search", response_model=schemas.CasesFound)
async def search_cases(
    body: schemas.CaseSearch, principal: Member, session: Transaction, desk: AtDesk
) -> schemas.CasesFound:
    """Find one's own cell's cases by an identifier, which stands in the body and in no URL."""
    return await cases.search(session, principal, body, desk.now, desk.instruments)


@router.post(
    "/v1/cases/{case}/records",
    status_code=201,
    response_model=schemas.RecordAdded,
    responses=problems(404, 409, 412, 428),
)
async def add_record(
    case: CaseCode,
    body: schemas.NewRecord,
    request: Request,
    principal: Member,
    key: IdempotencyKey,
    desk: AtDesk,
    if_match: IfMatchWhenCorrecting = None,
) -> Response:
    """Add a document, or correct one: both stay on record. A correction needs the case's ETag in If-Match."""
    if body.corrects is not None and if_match is None:
        raise PreconditionRequired

    def fits(version: int) -> bool:
        # That an agency looked meanwhile is nothing that a correction could overwrite.
        return matches(_LOOKS.sub('"', if_match or ""), _etag_of_version(desk, case, version))

    async def effect(session: AsyncSession) -> Created[schemas.RecordAdded]:
        added = await cases.add_record(
            session, principal, case, body, desk.now, desk.instruments, fits if body.corrects is not None else None
        )
        return Created(f"/v1/cases/{case}/records/{added.record}", added)

    async def rebuild(session: AsyncSession, location: str) -> schemas.RecordAdded:
        await reading.must_be_own(session, principal, case)
        return schemas.RecordAdded(case=case, record=UUID(location.rsplit("/", 1)[-1]))

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild)
