"""Guesses at full speed over known, closed and unknown codes: every answer is the same, and no row tells them apart."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter

import httpx
import pytest
from counting import Count

from amanat.codes import new_code

from ..world import POLICE, World, consent
from .cell import issue, sign_in

pytestmark = pytest.mark.attack

AT_ONCE = 16


async def guess(world: World, guesses: int) -> tuple[Counter[tuple[int, int, bytes]], float]:
    """Tries PINs on one open code, one closed, and codes that never were, in turns; none of them is hers.

    Returns how often each answer came, apart from its visit, and how many a second were tried.
    """
    known, closed = [
        await issue(world, (await world.open_case(consent(POLICE, "identity")))[0], duress_pin=None) for _ in range(2)
    ]
    for _ in range(5):
        await sign_in(world, closed.code, "135792")
    targets = itertools.cycle(["known", "closed", "unknown"])
    pins = itertools.count(500_000)
    answers: Counter[tuple[int, int, bytes]] = Counter()
    left = guesses

    async def attack(client: httpx.AsyncClient) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            target, pin = next(targets), next(pins)
            code = {"known": known.code, "closed": closed.code}.get(target) or new_code(
                "M", world.instruments.randomness
            )
            answer = await client.post("/v1/my/sign-ins", json={"code": code, "pin": str(pin)})
            body = answer.json()
            visit = body.pop("session")
            answers[(answer.status_code, len(visit), repr((sorted(answer.headers.items()), body)).encode())] += 1

    transport = httpx.ASGITransport(world.main_app)
    began = time.perf_counter()
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        await asyncio.gather(*(attack(client) for _ in range(AT_ONCE)))
    took = time.perf_counter() - began
    # Nothing of it changed what she finds the next day, and nothing told the attacker that there is a next day.
    assert not [row for row in await world.rows("SELECT outcome FROM sign_ins") if row.outcome != "miss"]
    return answers, guesses / took


async def no_row_tells(world: World, guesses: int) -> None:
    rows = await world.rows(
        "SELECT octet_length(digest) AS d, octet_length(form) AS f, outcome, noted_at, count(*) AS n"
        " FROM sign_ins GROUP BY 1, 2, 3, 4"
    )
    assert [(row.d, row.f, row.outcome, row.noted_at, row.n) for row in rows] == [(32, 16, "miss", None, guesses + 5)]
    assert await world.rows("SELECT 1 FROM looks WHERE purpose = 'own_view'") == []


async def test_two_thousand_guesses_learn_nothing(world: World, count: Count) -> None:
    answers, _ = await guess(world, 2_000)
    assert list(answers.values()) == [2_000]
    await no_row_tells(world, 2_000)
    count("guesses of a PIN", 2_000)


@pytest.mark.full
async def test_a_hundred_thousand_guesses_learn_nothing(world: World, count: Count) -> None:
    answers, speed = await guess(world, 100_000)
    print(f"\n100,000 guesses, {speed:.0f} a second, {len(answers)} answer")  # noqa: T201 - the closing note's figure
    assert list(answers.values()) == [100_000]
    await no_row_tells(world, 100_000)
    count("guesses of a PIN", 100_000)
