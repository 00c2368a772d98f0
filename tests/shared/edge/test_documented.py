"""What a generated client and a fuzzer read in the OpenAPI document is what the edge does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from amanat.headers import IdempotencyKey, IfMatch

from .issuers import Client, MakeApp

router = APIRouter(prefix="/v1/cases")


@router.get("/{code}")
async def read(code: str) -> None: ...


@router.post("/search")
async def search() -> None: ...


@router.put("/{code}")
async def change(code: str, key: IdempotencyKey, etag: IfMatch) -> None: ...


@router.post("/{code}/records")
async def add(code: str, if_match: Annotated[str | None, Header(alias="If-Match")] = None) -> None: ...


async def test_an_address_allows_what_is_documented_of_it_and_not_of_a_neighbour(
    make_app: MakeApp, client: Client
) -> None:
    async with client(make_app(router)) as http:
        assert (await http.delete("/v1/cases/search")).headers["allow"] == "POST"
        assert (await http.delete("/v1/cases/C-1")).headers["allow"] == "GET, PUT"


def test_a_key_is_documented_as_it_is_checked(make_app: MakeApp) -> None:
    parameters = make_app(router).openapi()["paths"]["/v1/cases/{code}"]["put"]["parameters"]
    [key] = [parameter for parameter in parameters if parameter["name"] == "Idempotency-Key"]
    assert key["required"]
    assert key["schema"] == {"type": "string", "pattern": "^[!-~]{1,255}$"}


def test_if_match_is_documented_as_required_only_where_it_always_is(make_app: MakeApp) -> None:
    paths = make_app(router).openapi()["paths"]
    required = {
        name: parameter.get("required", False)
        for name, operation in (
            ("always", paths["/v1/cases/{code}"]["put"]),
            ("sometimes", paths["/v1/cases/{code}/records"]["post"]),
        )
        for parameter in operation["parameters"]
        if parameter["name"] == "If-Match"
    }
    assert required == {"always": True, "sometimes": False}
    assert "428" in paths["/v1/cases/{code}"]["put"]["responses"]
    assert "428" not in paths["/v1/cases/{code}/records"]["post"]["responses"]
