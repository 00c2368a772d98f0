"""A creating POST: its effect once, its answer as often as it is asked for.

The effect and the idempotency row are one transaction, committed before the answer leaves. A replay rebuilds the answer
from what stands now, under today's access: nothing of the first answer was stored.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from amanat.at_rest import Macs
from amanat.db import Database
from amanat.groupcommit import GroupCommit, Key, Rows, Writing
from amanat.idempotency import Done, check_key, once
from amanat.principal import Principal

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Created(Generic[Answer]):
    """What an effect made: its path, and the answer that tells of it."""

    location: str
    answer: Answer


@dataclass(frozen=True)
class Prepared(Created[Answer]):
    """What an effect will have made, and the rows that are all of it: nothing that is stored was read for them."""

    rows: Rows
    stands: Callable[[], bool]


async def create_together(
    request: Request,
    group: GroupCommit,
    macs: Macs,
    principal: Principal,
    key: str,
    prepare: Callable[[], Prepared[Answer]],
    *,
    status: int = 201,
) -> Response | None:
    """Commits what `prepare` makes together with what else comes now; None when it must be done alone, by `create`:
    the key was used before, or what `prepare` raises is to be told only if it was not. Raises what `check_key` does."""
    check_key(key)
    body_hmac = macs.body(principal.client, await _asked(request))

    def made() -> tuple[Prepared[Answer], Writing]:
        prepared = prepare()
        used = Key(principal.organisation, principal.client, key, body_hmac, status, prepared.location)
        return prepared, Writing(principal.tenants, used, prepared.rows, prepared.stands)

    prepared = await group.prepared(made)
    return None if prepared is None else _response(prepared.answer, status, prepared.location, replayed=False)


async def create(
    request: Request,
    database: Database,
    macs: Macs,
    principal: Principal,
    key: str,
    effect: Callable[[AsyncSession], Awaitable[Created[Answer]]],
    rebuild: Callable[[AsyncSession, str], Awaitable[Answer]],
    *,
    status: int = 201,
) -> Response:
    """Runs `effect` unless this client's key already has; then `rebuild(session, location)` makes the answer anew.

    Raises what they raise, KeyReused for another request under the key, Busy for a twin still under way.
    """
    asked = await _asked(request)
    made: list[Created[Answer]] = []

    async with database.transaction(principal.tenants) as session:

        async def act() -> Done:
            created = await effect(session)
            made.append(created)
            return Done(status=status, location=created.location)

        done = await once(
            session,
            tenant=principal.organisation,
            client=principal.client,
            key=key,
            body_hmac=macs.body(principal.client, asked),
            effect=act,
        )
        answer = made[0].answer if made else await rebuild(session, done.location or "")
    return _response(answer, done.status, done.location or "", replayed=done.replayed)


async def _asked(request: Request) -> bytes:
    return f"{request.method} {request.url.path}\n".encode() + await request.body()


def _response(answer: BaseModel, status: int, location: str, *, replayed: bool) -> Response:
    headers = {"Location": location}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json", headers=headers)
