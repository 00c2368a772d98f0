"""A database that is away is 503 with `Retry-After`, in whichever way it is away; what is our own fault stays 500."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest
from fastapi import APIRouter
from sqlalchemy import event
from sqlalchemy.engine import make_url

from amanat.db import Database, ready
from amanat.edge import of_exception
from amanat_local.postgres import Postgres

from .issuers import Client, MakeApp


@pytest.fixture
def silent_port() -> Iterator[int]:
    """It takes connections and never answers, as a host behind a broken line does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


@pytest.fixture
async def full(edge_postgres: Postgres) -> AsyncIterator[None]:
    """No further connection is taken from the api's role."""
    edge_postgres.sql("postgres", "ALTER ROLE edge_api CONNECTION LIMIT 0")
    yield
    edge_postgres.sql("postgres", "ALTER ROLE edge_api CONNECTION LIMIT -1")


async def _asked(make_app: MakeApp, client: Client, url: str) -> tuple[int, str, bool]:
    database = Database(url, application_name="edge-tests")
    router = APIRouter()

    @event.listens_for(database.engine.sync_engine, "do_connect")
    def soon(dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> None:
        parameters["timeout"] = 0.3

    @router.get("/v1/asked")
    async def ask() -> None:
        await ready(database)

    try:
        async with client(make_app(router)) as http:
            answer = await http.get("/v1/asked")
    finally:
        await database.dispose()
    return answer.status_code, answer.json()["code"], "retry-after" in answer.headers


async def test_a_host_that_never_answers(make_app: MakeApp, client: Client, silent_port: int) -> None:
    url = f"postgresql+asyncpg://nobody:x@127.0.0.1:{silent_port}/none"
    assert await _asked(make_app, client, url) == (503, "unavailable", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_host_that_refuses_under_one_address_or_several(
    make_app: MakeApp, client: Client, closed_port: int, host: str
) -> None:
    url = f"postgresql+asyncpg://nobody:x@{host}:{closed_port}/none"
    assert await _asked(make_app, client, url) == (503, "unavailable", True)


async def test_a_server_that_takes_no_more_connections(
    make_app: MakeApp, client: Client, edge_postgres: Postgres, full: None
) -> None:
    url = edge_postgres.url("edge_api", "edge")
    assert await _asked(make_app, client, url) == (503, "unavailable", True)


async def test_a_wrong_password_is_no_passing_matter(
    make_app: MakeApp, client: Client, edge_postgres: Postgres
) -> None:
    url = make_url(edge_postgres.url("edge_api", "edge")).set(password="wrong")
    shown = url.render_as_string(hide_password=False)
    assert await _asked(make_app, client, shown) == (500, "server-fault", False)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        OSError("Multiple exceptions: [Errno 111], [Errno 101]"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError(errno.ENETUNREACH, "unreachable"),
        socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution"),
        ConnectionResetError(),
    ],
)
def test_what_the_network_says_is_tried_again_later(error: OSError) -> None:
    refused = of_exception(error)
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0


@pytest.mark.parametrize("kind", [FileNotFoundError, PermissionError])
def test_a_file_that_is_not_there_is_a_fault_of_ours(kind: type[OSError]) -> None:
    assert of_exception(kind(errno.ENOENT, "no such file", "/a/key")).status == 500
