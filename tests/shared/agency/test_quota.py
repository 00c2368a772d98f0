"""A client that sends ten times its share is told when to come again; what it was refused costs nobody anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
from counting import Count

from amanat.agency.testing import World
from amanat.categories import Agency

from .cases import CLIFTON, SADDAR, all_looks, open_case

pytestmark = pytest.mark.attack
QUOTA = 40
TIMES = 10
AT_ONCE = 8
A_NEW_MINUTE = 3
"""So many more are let through when the run comes to lie in two minutes: what was asked before weighs a little less."""


async def test_ten_times_a_clients_share_is_turned_away_and_nobody_elses_with_it(
    serve: Callable[..., Awaitable[World]], count: Count
) -> None:
    police = await serve(Agency.POLICE_LINK, role="reporting_centre_system", rate_per_minute=QUOTA)
    # A machine that stands still for a second makes answers be begun again, and each leaves a look of its own.
    stopped = police.desk.boottime()
    police.desk = replace(police.desk, boottime=lambda: stopped)
    greedy, modest = await open_case(police), await open_case(police, CLIFTON)
    answers: list[httpx.Response] = []
    async with police.client(SADDAR) as hungry, police.client(CLIFTON) as other:

        async def ask(times: int) -> None:
            for _ in range(times):
                answers.append(await hungry.get(f"/v1/referrals/{greedy}"))

        await asyncio.gather(*(ask(QUOTA * TIMES // AT_ONCE) for _ in range(AT_ONCE)))
        assert (await other.get(f"/v1/referrals/{modest}")).status_code == 200
    served = [each for each in answers if each.status_code == 200]
    turned_away = [each for each in answers if each.status_code == 429]
    assert len(served) + len(turned_away) == QUOTA * TIMES
    assert QUOTA <= len(served) <= QUOTA + A_NEW_MINUTE
    assert all(1 <= int(each.headers["retry-after"]) <= 60 for each in turned_away)
    assert {each.json()["code"] for each in turned_away} == {"too-many-requests"}
    assert len(await all_looks(police)) == len(served) + 1
    count("requests beyond a client's share", len(turned_away))
