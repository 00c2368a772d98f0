"""A look is on record before the answer, for whatever was asked: law 6, counted on the whole platform."""

from __future__ import annotations

import asyncio
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
class Answer:
    """One answer: its status, when it was asked for, and when its first byte came (epoch seconds)."""

    status: int
    asked: float
    heard: float


@dataclass
class Asker:
    """Asks one thing after another with a token of its own, by which its looks are known."""

    http: httpx.AsyncClient
    token: str
    answers: list[Answer] = field(default_factory=list)
    cut_off: int = 0

    @property
    def token_id(self) -> str:
        found: str = claims_of(self.token)["jti"]
        return found

    async def ask(self, path: str) -> bool:
        """Asks once; notes the answer, or that none came of what may have been heard."""
        request = self.http.build_request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        asked = time.time()
        try:
            answer = await self.http.send(request, stream=True)
            self.answers.append(Answer(answer.status_code, asked, time.time()))
            await answer.aread()
        except httpx.ConnectError:
            return False
        except httpx.TransportError:
            self.cut_off += 1
            return False
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


def unrecorded(asker: Asker, looks: Sequence[float]) -> list[Answer]:
    """Answers without a look that was committed after they were asked for and before their first byte.

    An asker asks one thing after another: the span of no answer holds another's look, nor one of a request that was
    cut off. All times are one machine's clock.
    """
    return [
        answer for answer in asker.answers if not any(answer.asked <= committed <= answer.heard for committed in looks)
    ]


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
        while not await asker.ask(path) or asker.answers[-1].status != 200:
            assert time.monotonic() < deadline, f"{service}: {asker.answers[-1:]}"
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
    mine, looked = await own(stack), 0
    for service in NAMES:
        paths = [*[mine[service]] * (SHARE // 2), *(NOBODYS[service] * SHARE)[: SHARE // 2]]
        random.Random(service).shuffle(paths)
        async with askers(stack, service) as asked:
            await ask_all(asked, paths)
        looks = await looks_of(stack, service, asked)
        for each in asked:
            assert {answer.status for answer in each.answers} == {200, 404}
            assert len(looks[each.token_id]) == len(each.answers)
            assert unrecorded(each, looks[each.token_id]) == []
        there = sum(map(len, looks.values()))
        assert there == SHARE, service
        looked += there
    assert looked == READS


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
            heard = sum(len(each.answers) for each in asked)
            async with asyncio.timeout(60):
                while sum(len(each.answers) for each in asked) < heard + chance.randint(10, 60):
                    await asyncio.sleep(0.005)
            await asyncio.to_thread(stack.kill, f"{service}-main")
            await asyncio.to_thread(stack.start_process, f"{service}-main")
        over.set()
        await asyncio.gather(*asking)
    looks = await looks_of(stack, service, asked)
    assert sum(each.cut_off for each in asked) >= KILLS
    for each in asked:
        assert {answer.status for answer in each.answers} == {200, 404}
        assert len(each.answers) >= KILLS
        assert unrecorded(each, looks[each.token_id]) == []
        assert len(looks[each.token_id]) <= len(each.answers) + each.cut_off


def test_the_look_of_a_request_that_was_cut_off_stands_for_no_other_answer() -> None:
    asker = Asker(httpx.AsyncClient(), "", [Answer(200, 1.0, 2.0), Answer(404, 5.0, 6.0)], cut_off=2)
    assert unrecorded(asker, [1.5, 5.5]) == []
    assert unrecorded(asker, [1.5, 3.0]) == [asker.answers[1]]  # what was cut off in between
    assert unrecorded(asker, [1.5, 6.5]) == [asker.answers[1]]  # after its answer
    assert unrecorded(asker, [0.5, 5.5]) == [asker.answers[0]]
