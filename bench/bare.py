"""The bound of a read: Starlette and asyncpg, one statement, the row's bytes as they stand; no rule of the platform's.

`python -m bench.bare DATABASE_URL PORT`: served as a service is, in one process.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROW = (
    "SELECT d.sealed FROM referrals r JOIN disclosures d ON d.tenant = r.tenant AND d.referral = r.code"
    " WHERE r.code = $1 ORDER BY d.category"
)


def build(url: str) -> Starlette:
    """The app. `url` is of a role that sees all rows: the bound pays for no row-level security."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, min_size=10, max_size=10, server_settings={"jit": "off"}) as pool:
            app.state.pool = pool
            yield

    async def read(request: Request) -> Response:
        rows = await request.app.state.pool.fetch(ROW, request.path_params["code"])
        return Response(b"".join(row["sealed"] for row in rows), status_code=200 if rows else 404)

    async def alive(_: Request) -> Response:
        return Response()

    routes = [Route("/v1/cases/{code}/summary", read), Route("/readyz", alive)]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(
        build(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]),
        loop="uvloop", http="httptools", access_log=False, log_config=None, server_header=False,
    )  # fmt: skip
