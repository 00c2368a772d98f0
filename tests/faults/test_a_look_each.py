"""A look is on record before the answer, for whatever was asked: law 6, counted on the whole platform."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import httpx
import pytest

from amanat_local import tokens
from amanat_local.stack import Stack

from .racing import ADULT, claims_of, clients

pytestmark = pytest.mark.stack

AT_ONCE = 4
READS = 1000
KILLS = 5
SLOW_S = 1.0
"""A page whose reading takes longer is read again before it is sent, and that is another look."""
NAMES = {
    "intake": "arcc-karachi-system",
    "police-link": "station-saddar-system",
    "forensics": "lab-karachi-system",
    "legal-aid": "partner-hamdam-system",
}
SHARE = READS // len(NAMES)
RECIPIENTS = {"police-link": "station-saddar", "forensics": "lab-karachi", "legal-aid": "partner-hamdam"}
NOBODYS = {
    "police-link": ("/v1/referrals/P-0000-0000-0", "/v1/referrals/P-1111-1111-1", "/v1/referrals/no-code"),
    "intake": ("/v1/cases/C-0000-0000-0", "/v1/cases/P-0000-0000-0", "/v1/cases/no-code"),
    "forensics": ("/v1/kits/SAK-0000", "/v1/kits/P-0000-0000-0", "/v1/kits/no-kit"),
    "legal-aid": tuple(f"/v1/cases/{code}/summary" for code in ("L-0000-0000-0", "L-1111-1111-1", "no-code")),
}


@dataclass(frozen=True)
class Request:
    """When it was asked, its answer's status, and when the first byte came (epoch seconds); None if none did."""

    asked: float
    status: int | None = None
    heard: float | None = None


@dataclass
class Asker:
    """Asks one thing after another with a token of its own, by which its looks are known."""

    http: httpx.AsyncClient
    token: str
    requests: list[Request] = field(default_factory=list)
    cut_off: int = 0

    @property
    def statuses(self) -> list[int]:
        """Of the answers that came."""
        return [each.status for each in self.requests if each.status is not None]

    @property
    def token_id(self) -> str:
        found: str = claims_of(self.token)["jti"]
        return found

    async def ask(self, path: str) -> bool:
        """Asks once; notes the answer, or that none came, though it may have been heard."""
        request = self.http.build_request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        asked, heard = time.time(), None
        try:
            answer = await self.http.send(request, stream=True)
            heard = Request(asked, answer.status_code, time.time())
            await answer.aread()
        except httpx.TransportError as lost:
            self.cut_off += not isinstance(lost, httpx.ConnectError)
            return False
        finally:
            # Once each, also when the answer had begun and was cut off in the middle.
            self.requests.append(heard or Request(asked))
        return True


@asynccontextmanager
async def askers(stack: Stack, service: str) -> AsyncIterator[list[Asker]]:
    """Askers of one service."""
    async with httpx.AsyncClient(base_url=stack.info["services"][service], timeout=60) as http:
        yield [Asker(http, await asyncio.to_thread(tokens.token, stack.info, NAMES[service])) for _ in range(AT_ONCE)]


async def looks_of(stack: Stack, service: str, asked: Sequence[Asker]) -> Mapping[str, list[float]]:
    """Token → when each of its looks was committed (epoch seconds), in order."""
    connection = await asyncpg.connect(stack.info["databases"][service.replace("-", "_")]["admin"])
    try:
        rows = await connection.fetch(
            "SELECT token_id, pg_xact_commit_timestamp(xmin) AS at FROM looks WHERE token_id = ANY($1) ORDER BY at",
            [each.token_id for each in asked],
        )
    finally:
        await connection.close()
    found: dict[str, list[float]] = {each.token_id: [] for each in asked}
    for row in rows:
        found[row["token_id"]].append(row["at"].timestamp())
    return found


def _took(request: Request) -> float:
    return math.inf if request.heard is None else request.heard - request.asked


def answered(asker: Asker, looks: Sequence[float]) -> list[tuple[Request, int]]:
    """Each answer, and how many looks of its own were committed before its first byte. Raises AssertionError for a look
    that was committed after the answer that it is of.

    An asker asks one thing after another: what was committed from one request on and before the next is the first
    one's, so that no look of a request that was cut off counts for an answer. All times are one machine's clock.
    """
    ends = [each.asked for each in asker.requests[1:]] + [math.inf]
    found = []
    for request, end in zip(asker.requests, ends, strict=True):
        if request.heard is not None:
            its = [committed for committed in looks if request.asked <= committed < end]
            assert all(committed <= request.heard for committed in its), request
            found.append((request, len(its)))
    return found


async def own(stack: Stack) -> dict[str, str]:
    """What each service's askers may read: one case, its referrals and its kit, told of everywhere."""
    async with clients(stack.info) as (cell, _):
        consents = [
            {
                "recipient": {"agency": agency, "organisation": organisation},
                "categories": ["incident", "examination"],
                "basis": "consent",
                "deciders": [{"role": "survivor", "decision": "consent"}],
                "age_basis": "document",
            }
            for agency, organisation in RECIPIENTS.items()
        ]
        # The laboratory gets the request of an examination; with nothing that it gets there is nothing to read.
        examination = {"opinion": "invented", "examination_request": "invented"}
        opened = await cell.post("/v1/cases", {**ADULT, "examination": examination, "consents": consents})
        barcode = f"LOOK-{uuid4().hex[:8]}"
        await cell.post(f"/v1/cases/{opened['case']}/kits", {"barcode": barcode})
    of = {each["agency"]: each["referral"] for each in opened["referrals"]}
    paths = {
        "intake": f"/v1/cases/{opened['case']}",
        "police-link": f"/v1/referrals/{of['police-link']}",
        "forensics": f"/v1/kits/{barcode}",
        "legal-aid": f"/v1/cases/{of['legal-aid']}/summary",
    }
    for service, path in paths.items():
        await until_told(stack, service, path)
    return paths


async def until_told(stack: Stack, service: str, path: str) -> None:
    """Asks until it has come there; with a token of its own, so that these looks are not counted."""
    deadline = time.monotonic() + 60
    async with askers(stack, service) as (asker, *_):
        while not await asker.ask(path) or asker.requests[-1].status != 200:
            assert time.monotonic() < deadline, f"{service}: {asker.requests[-1:]}"
            await asyncio.sleep(0.1)


async def ask_all(asked: Sequence[Asker], paths: Sequence[str]) -> None:
    """Asks for every path once, each asker for its share, one after another."""

    async def take(each: Asker, mine: Sequence[str]) -> None:
        for path in mine:
            await each.ask(path)

    shares = [paths[place :: len(asked)] for place in range(len(asked))]
    await asyncio.gather(*(take(*each) for each in zip(asked, shares, strict=True)))


async def test_a_thousand_reads_and_refusals_leave_a_thousand_looks_each_committed_before_its_answer(
    stack: Stack,
) -> None:
    mine, answers = await own(stack), 0
    for service in NAMES:
        paths = [*[mine[service]] * (SHARE // 2), *(NOBODYS[service] * SHARE)[: SHARE // 2]]
        random.Random(service).shuffle(paths)
        async with askers(stack, service) as asked:
            await ask_all(asked, paths)
        looks = await looks_of(stack, service, asked)
        for each in asked:
            assert set(each.statuses) == {200, 404}
            told = answered(each, looks[each.token_id])
            assert sum(number for _, number in told) == len(looks[each.token_id])
            for request, number in told:
                assert number == 1 or (number > 1 and request.status == 200 and _took(request) > SLOW_S), request
            answers += len(told)
    assert answers == READS


@pytest.mark.parametrize("service", NAMES)
async def test_a_service_killed_while_it_reads_leaves_looks_without_answers_and_no_answer_without_a_look(
    stack: Stack, service: str
) -> None:
    chance, path, over = random.Random(17), (await own(stack))[service], asyncio.Event()

    async def keep_asking(each: Asker) -> None:
        while not over.is_set():
            if not await each.ask(chance.choice((path, NOBODYS[service][0]))):
                await asyncio.sleep(0.02)  # nobody listens just now

    async with askers(stack, service) as asked:
        asking = [asyncio.create_task(keep_asking(each)) for each in asked]
        for _ in range(KILLS):
            heard = sum(len(each.statuses) for each in asked)
            async with asyncio.timeout(60):
                while sum(len(each.statuses) for each in asked) < heard + chance.randint(10, 60):
                    await asyncio.sleep(0.005)
            await asyncio.to_thread(stack.kill, f"{service}-main")
            await asyncio.to_thread(stack.start_process, f"{service}-main")
        over.set()
        await asyncio.gather(*asking)
    looks = await looks_of(stack, service, asked)
    assert sum(each.cut_off for each in asked) >= KILLS
    for each in asked:
        assert set(each.statuses) == {200, 404}
        assert len(each.statuses) >= KILLS
        assert all(number >= 1 for _, number in answered(each, looks[each.token_id]))


def test_the_look_of_a_request_that_was_cut_off_stands_for_no_answer() -> None:
    asker = Asker(httpx.AsyncClient(), "", [Request(1, 200, 2), Request(3), Request(5, 404, 6)])
    told = {
        (1.5, 5.5): [1, 1],
        (1.5, 3.5, 5.5): [1, 1],
        (1.5, 3.5): [1, 0],
        (1.5, 4.9): [1, 0],
        (0.5, 5.5): [0, 1],
        (1.2, 1.8, 5.5): [2, 1],
    }
    for looks, numbers in told.items():
        assert [number for _, number in answered(asker, looks)] == numbers, looks
    for late in ((2.5, 5.5), (1.5, 6.5)):
        with pytest.raises(AssertionError):
            answered(asker, late)
