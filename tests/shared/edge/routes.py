"""Routes that refuse, take input, fail in every way, and show a page."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, Field, field_validator
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from amanat.auth import Principal, require
from amanat.errors import GateUnavailable, NotFound, PreconditionFailed
from amanat.headers import IdempotencyKey, IfMatch
from amanat.problems import problems

NAME = "Zarina"


class Accused(BaseModel, extra="forbid"):
    name: str = Field(max_length=40)
    known: bool


class Report(BaseModel, extra="forbid"):
    place: Literal["home", "street"]
    accused: list[Accused] = []
    notes: dict[str, int] = {}
    cnic: str = Field("1", pattern=r"^\d+$")

    @field_validator("cnic")
    @classmethod
    def not_hers(cls, value: str) -> str:
        if value == "42":
            raise ValueError(f"{value} belongs to {NAME}")
        return value


class PostgresError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"Key (name)=({NAME})")
        self.sqlstate = sqlstate


FAULTS: dict[str, Exception] = {
    "unexpected": RuntimeError(NAME),
    "refused": PreconditionFailed(),
    "gate": GateUnavailable(retry_after=7),
    "framework": HTTPException(418, detail=NAME),
    "framework-404": HTTPException(404, detail=NAME),
    "busy": DBAPIError("x", {}, PostgresError("55P03")),
    "deadlock": DBAPIError("x", {}, PostgresError("40P01")),
    "unique": DBAPIError("x", {}, PostgresError("23505")),
    "pool": PoolTimeout(NAME),
}
router = APIRouter(prefix="/v1")


@router.get("/cases/{code}", responses=problems(404))
async def read_case(code: str, limit: Annotated[int, Query(le=200)] = 10) -> dict[str, str]:
    raise NotFound


@router.post("/cases/{code}", status_code=201)
async def report_case(code: str, report: Report, key: IdempotencyKey) -> dict[str, str]:
    return {"key": key}


@router.put("/cases/{code}")
async def change_case(code: str, report: Report, etag: IfMatch) -> dict[str, str]:
    return {}


@router.get("/faults/{name}")
async def fail(name: str) -> None:
    raise FAULTS[name]


@router.get("/page")
async def show_page() -> Response:
    return Response("<p>", media_type="text/html", headers={"Content-Security-Policy": "default-src 'self'"})


@router.get("/me")
async def read_me(principal: Annotated[Principal, Depends(require("police_officer"))]) -> str:
    return principal.client
