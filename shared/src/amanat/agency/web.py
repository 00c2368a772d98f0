"""The HTTP edge that the agencies share: what routes ask for, and answers that are checked at the last moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amanat import problems
from amanat.agency.custody import Half, half_recorded
from amanat.agency.desk import Desk
from amanat.agency.instruments import Instruments
from amanat.agency.reading import Answer, Unchanged
from amanat.agency.recording import reported
from amanat.agency.schemas import Feed, HalfRecorded, Reported
from amanat.categories import Agency
from amanat.codes import PREFIX, BadCode, new_code, parse_code
from amanat.creating import Created, create
from amanat.custody import NewHalf
from amanat.errors import GateUnavailable, NotFound
from amanat.headers import matches
from amanat.pages import DEFAULT_LIMIT, Limit, link_header
from amanat.principal import Principal

READS: dict[int | str, dict[str, Any]] = {**problems.problems(404, 503), 304: {"description": "Not changed"}}
"""`responses=` of a route that reads by lease."""

Cursor = Annotated[str | None, Query(description="`next` or `resume` of an earlier page")]
PageSize = Annotated[Limit, Query()]

__all__ = [
    "DEFAULT_LIMIT",
    "READS",
    "AtDesk",
    "Cursor",
    "PageSize",
    "answered",
    "code_of",
    "create_half",
    "create_report",
    "listed",
    "transaction",
    "unless",
]


def desk(request: Request) -> Desk:
    """The process's desk."""
    found: Desk = request.app.state.desk
    return found


AtDesk = Annotated[Desk, Depends(desk)]


def transaction(asking: Callable[..., Awaitable[Principal]]) -> Callable[..., AsyncIterator[AsyncSession]]:
    """A dependency: a transaction that sees the asking organisation alone, committed before the answer leaves."""

    async def opened(desk: AtDesk, principal: Principal = Depends(asking)) -> AsyncIterator[AsyncSession]:
        async with desk.database.transaction(principal.tenants) as session:
            yield session

    return opened


def code_of(agency: Agency) -> Callable[..., Awaitable[str]]:
    """A dependency: the path's `code` in its normal form. For what is no code of this agency a code that nobody has:
    it is unknown like any other, asked for at the same cost, and the refusal is on record."""

    async def code(
        code: Annotated[str, Path(description="the referral's code, as this agency knows it")], desk: AtDesk
    ) -> str:
        try:
            return parse_code(code, PREFIX[agency])
        except BadCode:
            written = code.encode("utf-8", "surrogatepass")
            return new_code(PREFIX[agency], lambda n: desk.instruments.macs.mac("no-code", written)[:n])

    return code


def unless(if_none_match: str | None) -> Unchanged:
    """Whether the client's If-None-Match names an ETag."""
    return lambda etag: matches(if_none_match, etag, weak=True)


def answered(answer: Answer) -> Response:
    """The response to a read: 304, or the body, sent only if its keys are still leased and it is fresh."""
    if answer.body is None:
        return Response(status_code=304, headers={"ETag": answer.etag})
    return _Fresh(answer, answer.body)


class _Fresh(Response):
    """Asks once more just before the first byte: a process that stood still since then must not send what it holds."""

    def __init__(self, answer: Answer, body: bytes) -> None:
        super().__init__(body, media_type="application/json", headers={"ETag": answer.etag})
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._answer.good():
            await super().__call__(scope, receive, send)
        else:
            await problems.response(GateUnavailable(retry_after=1))(scope, receive, send)


def listed(feed: Feed, response: Response, path: str, limit: int) -> Feed:
    """A feed's page with its Link header."""
    response.headers.update(link_header(path, cursor=feed.next, limit=limit))
    return feed


Body_ = TypeVar("Body_", bound=BaseModel)
Reports = Callable[[AsyncSession, Principal, str, Body_, datetime, Instruments], Awaitable[Reported]]
"""A use case that reports something of a referral: (session, who, code, what, now, instruments)."""
Records = Callable[[AsyncSession, Principal, str, Half, NewHalf, datetime, Instruments], Awaitable[HalfRecorded]]
"""A use case that keeps a half: (session, who, barcode, which half, what, now, instruments)."""


async def create_report(
    request: Request,
    desk: Desk,
    principal: Principal,
    key: str,
    location: str,
    code: str,
    reports: Reports[Body_],
    body: Body_,
    *,
    rebuilds: Callable[[AsyncSession, Principal, str, UUID], Awaitable[Reported]] = reported,
) -> Response:
    """Runs a report once per Idempotency-Key. Its location is where it is read, with the new record as the fragment.

    `code` is the referral's, or the kit's barcode where reports and rebuilds take that.
    """

    async def effect(session: AsyncSession) -> Created[Reported]:
        made = await reports(session, principal, code, body, desk.now, desk.instruments)
        return Created(f"{location}#{made.record}", made)

    async def rebuild(session: AsyncSession, made_at: str) -> Reported:
        return await rebuilds(session, principal, code, UUID(made_at.rpartition("#")[2]))

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild)


async def create_half(
    request: Request,
    desk: Desk,
    principal: Principal,
    key: str,
    barcode: str,
    half: Half,
    body: NewHalf,
    records: Records,
    *,
    rebuilds: Callable[..., Awaitable[HalfRecorded | None]] = half_recorded,
    status: int = 201,
) -> Response:
    """Keeps a half once per Idempotency-Key. Its location is the kit's, with the attestation as the fragment."""

    async def effect(session: AsyncSession) -> Created[HalfRecorded]:
        made = await records(session, principal, barcode, half, body, desk.now, desk.instruments)
        return Created(f"/v1/kits/{barcode}#{made.attestation}", made)

    async def rebuild(session: AsyncSession, location: str) -> HalfRecorded:
        attestation = UUID(location.rpartition("#")[2])
        made = await rebuilds(session, principal, barcode, half, attestation, desk.instruments)
        if made is None:
            raise NotFound
        return made

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild, status=status)
