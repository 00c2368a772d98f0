"""Bodies: nothing parses what is too large, too deep, of two meanings or of another type."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from hypothesis import given
from hypothesis import strategies as st

from amanat.body import FHIR, BodyRule, check_json
from amanat.errors import MalformedBody

from .issuers import Client, MakeApp

router = APIRouter()
JSON = {"content-type": "application/json"}


@router.post("/things")
@router.post("/fhir", include_in_schema=False)
@router.post("/desk/form", include_in_schema=False)
async def take(request: Request) -> int:
    return len(await request.body())


FORM = BodyRule(limit=64 * 1024, media_types=frozenset({"application/x-www-form-urlencoded"}))


async def send(
    make_app: MakeApp, client: Client, content: Any, path: str = "/things", **headers: str
) -> httpx.Response:
    app = make_app(router, bodies={"/fhir": FHIR, "/desk": FORM})
    async with client(app) as http:
        return await http.post(
            path, content=content, headers={**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )


async def test_a_body_within_the_limit_arrives_whole(make_app: MakeApp, client: Client) -> None:
    body = b'"' + b"x" * (1024 * 1024 - 2) + b'"'
    answer = await send(make_app, client, body)
    assert (answer.status_code, answer.json()) == (200, 1024 * 1024)


async def test_a_body_declared_too_large_is_refused_unread(make_app: MakeApp) -> None:
    app = make_app(router)
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def collect(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/things",
        "raw_path": b"/things",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"1048577")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "root_path": "",
        "app": app,
    }
    await app(scope, receive, collect)
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_streamed_body_is_cut_off_where_it_grows_too_large(make_app: MakeApp, client: Client) -> None:
    given_out = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given_out
        while given_out < 64 * 1024 * 1024:
            given_out += 65536
            yield b"x" * 65536

    answer = await send(make_app, client, endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert given_out <= 1024 * 1024 + 2 * 65536


async def test_an_address_may_take_more_and_other_types(make_app: MakeApp, client: Client) -> None:
    bundle = b'"' + b"x" * (2 * 1024 * 1024) + b'"'
    assert (await send(make_app, client, bundle, "/fhir", content_type="application/fhir+json")).status_code == 200
    assert (await send(make_app, client, bundle)).status_code == 413
    form = "application/x-www-form-urlencoded"
    assert (await send(make_app, client, b"a=b", "/desk/form", content_type=form)).status_code == 200
    assert (await send(make_app, client, b"a=b", "/deskform", content_type=form)).status_code == 415


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_type", "text/plain"),
        ("content_type", "application/fhir+json"),
        ("content_type", "application/json; charset=utf-16"),
        ("content_type", ""),
        ("content_encoding", "gzip"),
    ],
)
async def test_a_body_of_another_type_is_refused(make_app: MakeApp, client: Client, name: str, value: str) -> None:
    assert (await send(make_app, client, b"{}", **{name: value})).status_code == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'APPLICATION/JSON; charset="UTF-8"'])
async def test_json_may_say_that_it_is_utf_8(make_app: MakeApp, client: Client, content_type: str) -> None:
    assert (await send(make_app, client, b"{}", content_type=content_type)).status_code == 200


async def test_no_body_needs_no_type(make_app: MakeApp, client: Client) -> None:
    async with client(make_app(router)) as http:
        assert (await http.post("/things")).status_code == 200


REFUSED: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "the body is not JSON"),
    "JSON and more": (b"{} {}", "the body is not JSON"),
    "not UTF-8": (b'"\xff"', "the body is not UTF-8"),
    "a surrogate encoded in UTF-8": (b'"\xed\xa0\x80"', "the body is not UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "the body is not UTF-8"),
    "a name twice": (b'{"a":1,"a":2}', "an object holds one name twice"),
    "a name twice, written differently": (b'{"a":1,"\\u0061":2}', "an object holds one name twice"),
    "a name twice, deep inside": (b'[{"x":{"a":1,"a":1}}]', "an object holds one name twice"),
    "NaN": (b'{"a":NaN}', "NaN and Infinity are not JSON"),
    "Infinity": (b"[-Infinity]", "NaN and Infinity are not JSON"),
    "a number beyond all numbers": (b"[1e999]", "a number is too large"),
    "a number of many digits": (b"1" * 5000, "the body is not JSON"),
    "half a surrogate pair": (b'"\\ud800"', "a text holds half of a surrogate pair"),
    "the other half": (b'["\\udc00x"]', "a text holds half of a surrogate pair"),
    "half a pair in a name": (b'{"\\ud800":1}', "a text holds half of a surrogate pair"),
    "33 levels": (b"[" * 33 + b"]" * 33, "the body is nested deeper than 32 levels"),
    "33 levels of objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "the body is nested deeper than 32 levels"),
    "a hundred thousand levels": (b"[" * 100_000, "the body is nested deeper than 32 levels"),
}


@pytest.mark.parametrize(("body", "detail"), REFUSED.values(), ids=list(REFUSED))
async def test_json_of_no_or_two_meanings_is_refused(
    make_app: MakeApp, client: Client, body: bytes, detail: str
) -> None:
    answer = await send(make_app, client, body)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (400, "malformed-body", detail)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 32 + b"]" * 32,
        b'"' + b"[" * 100 + b'"',
        b'{"a\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[":1}',
        b'"\\\\"',
        b'"\\ud83d\\ude00"',
        '"زرینہ\u200c بی بی"'.encode(),
    ],
)
def test_unusual_json_of_one_meaning_is_taken(body: bytes) -> None:
    check_json(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_json_another_program_writes_is_taken(value: Any) -> None:
    check_json(json.dumps(value).encode())
    check_json(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary())
def test_whatever_bytes_come_it_is_taken_or_refused(body: bytes) -> None:
    with suppress(MalformedBody):
        check_json(body)
