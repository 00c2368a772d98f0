"""`/v1/ledger`: the service's own checkpoints and proofs against them, for its own clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from amanat.contracts.values import Base64
from amanat.db import Database
from amanat.ledger import proofs
from amanat.principal import Principal
from amanat.problems import problems

LARGEST = 2**53 - 1

Position = Annotated[int, Path(ge=0, le=LARGEST, description="of the leaf, from 0")]
Size = Annotated[int | None, Query(ge=0, le=LARGEST, description="a published size; the latest when absent")]
First = Annotated[int | None, Query(ge=0, le=LARGEST, description="a published size; the first when absent")]


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class CosignatureShown(_Shown):
    """A witness saw this checkpoint, kept it, and signed. `line` is the C2SP signature line."""

    witness: str
    cosigned_at: datetime
    line: str


class CheckpointShown(_Shown):
    """A C2SP checkpoint as it was signed, with its cosignatures.

    Where nothing was entered since the one before, its note is the same; `published_at` alone tells them apart.
    """

    published_at: datetime
    size: int
    note: str
    cosignatures: tuple[CosignatureShown, ...]


class InclusionShown(_Shown):
    """RFC 9162 inclusion proof of one leaf."""

    position: int
    leaf: Base64
    proof: tuple[Base64, ...]
    checkpoint: CheckpointShown


class ConsistencyShown(_Shown):
    """RFC 9162 consistency proof between two published checkpoints."""

    first: CheckpointShown
    second: CheckpointShown
    proof: tuple[Base64, ...]


def ledger_router(asking: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """The routes for whom `asking` lets in. The process's desk holds its database."""
    router = APIRouter(prefix="/v1/ledger", tags=["ledger"])
    who = Depends(asking)

    @router.get("/checkpoint", responses=problems(404))
    async def read_checkpoint(request: Request, principal: Principal = who, size: Size = None) -> CheckpointShown:
        """Read the checkpoint published last, or that of a published size, with its cosignatures."""
        async with _database(request).transaction(principal.tenants) as session:
            return _shown(await proofs.published(session, size))

    @router.get("/inclusion/{position}", responses=problems(404, 503))
    async def prove_inclusion(
        request: Request, position: Position, principal: Principal = who, size: Size = None
    ) -> InclusionShown:
        """Prove that an entry of one's own stands in a published tree."""
        async with _database(request).transaction(principal.tenants) as session:
            leaf, checkpoint, proof = await proofs.inclusion(session, principal.tenants, position, size)
        return InclusionShown(position=position, leaf=leaf, proof=tuple(proof), checkpoint=_shown(checkpoint))

    @router.get("/consistency", responses=problems(404, 503))
    async def prove_consistency(
        request: Request, principal: Principal = who, first: First = None, second: Size = None
    ) -> ConsistencyShown:
        """Prove that a published tree begins with an earlier one."""
        async with _database(request).transaction(principal.tenants) as session:
            earlier, later, proof = await proofs.consistency(session, first, second)
        return ConsistencyShown(first=_shown(earlier), second=_shown(later), proof=tuple(proof))

    return router


def _database(request: Request) -> Database:
    database: Database = request.app.state.desk.database
    return database


def _shown(checkpoint: proofs.Published) -> CheckpointShown:
    return CheckpointShown(
        published_at=checkpoint.published_at,
        size=checkpoint.size,
        note=checkpoint.note,
        cosignatures=tuple(
            CosignatureShown(witness=row.witness, cosigned_at=row.cosigned_at, line=row.line)
            for row in checkpoint.cosignatures
        ),
    )
