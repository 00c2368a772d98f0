"""How long what happens at the cell takes to hold at an agency, while the platform is at half of what it can do.

Cases arrive on a timetable, whether those before have ended or not. Every tenth is followed by a client that asks
police-link every few milliseconds, from intake's answer on (the commit lies before it): until it reads the incident,
then, after a withdrawal, until it does not. The asking client's own round trip is in the figures.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from amanat_local import tokens
from amanat_local.stack import Stack
from bench import stack as at
from bench.figures import Figure, Goal, timed
from bench.load import Pool, Refused, open_loop, request

FOLLOWED = 10
"""One case of so many is followed: the asking must not be the load."""
PAUSE_S = 0.003
GIVE_UP_S = 20.0


async def times(stack: Stack, capacity: float, followed: int) -> list[Figure]:
    """Commit → readable and withdrawal → refused, `followed` times each, at half of `capacity` cases a second."""
    rate = capacity / 2
    hospital, station = _bearer(stack, "arcc-karachi-system"), _bearer(stack, "station-saddar-system")
    readable, refused = list[float](), list[float]()
    services = stack.info["services"]
    cell, agency = Pool(services["intake"]), Pool(services["police-link"])

    async def post(path: str, body: bytes) -> dict[str, Any]:
        headers = hospital | {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        answer = await cell.ask(request("POST", path, headers, body))
        if answer.status not in (200, 201):
            raise Refused(f"{path}: {answer.status}")
        return dict(answer.json())

    async def until(path: str, good: Callable[[Any], bool]) -> float:
        began = time.perf_counter()
        while True:
            answer = await agency.ask(request("GET", path, station))
            if answer.status == 200 and good(answer.json()["parts"]):
                return (time.perf_counter() - began) * 1000
            if time.perf_counter() - began > GIVE_UP_S:
                raise TimeoutError(path)
            await asyncio.sleep(PAUSE_S)

    async def arrive(number: int) -> None:
        opened = await post("/v1/cases", at.case(at.STATION))
        if number % FOLLOWED:
            return
        path = f"/v1/referrals/{opened['referrals'][0]['referral']}"
        readable.append(await until(path, lambda parts: "incident" in parts))
        consents = f"/v1/cases/{opened['case']}/consents"
        given = (await cell.ask(request("GET", consents, hospital))).json()["consents"]
        withdrawal = json.dumps({"categories": ["incident"]}).encode()
        await post(f"{consents}/{given[0]['consent']}/withdrawal", withdrawal)
        refused.append(await until(path, lambda parts: "incident" not in parts))

    try:
        await open_loop(rate, followed * FOLLOWED, arrive)
    finally:
        cell.close()
        agency.close()
    half = f"at {rate:.0f} cases/s, half of capacity"
    return [
        timed(f"commit → readable at police-link, {half}", readable, Goal(p50_at_most=15, p99_at_most=50)),
        timed(f"withdrawal → refused at police-link, {half}", refused, Goal(p99_at_most=1000)),
    ]


def _bearer(stack: Stack, client: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.token(stack.info, client)}"}
