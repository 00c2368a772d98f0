"""Whether a stopwatch tells what is another's, or was taken back, from what never was.

Pairs of requests in random order, one after another over one connection: the refusal of something that is there, and
the refusal of a name that nobody has. The figure is the AUC of the best that a classifier on latency alone can do with
a threshold, either way round: 0.5 is a coin.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import httpx

from amanat.categories import Agency
from amanat.codes import PREFIX, new_code
from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack
from bench import stack as at
from bench.figures import Figure, Goal, auc
from bench.load import Making

THINGS = 16
"""Asked for in turns, so that no single row is always in a cache."""
RECIPIENTS = (at.STATION, ("forensics", "lab-karachi"), at.PARTNER)


@dataclass(frozen=True)
class Secret:
    """Something that must not be told from nothing, by whom it is asked for, and where."""

    name: str
    service: str
    client: str
    there: Sequence[str]
    never: Callable[[], str]


async def existence(stack: Stack, pairs: int) -> list[Figure]:
    """One figure for each kind of secret."""
    chance = random.Random(7)
    return [
        Figure(
            f"{secret.name} told from nothing, {pairs:,} pairs", "AUC",
            value=await told_apart(stack, secret, pairs, chance), goal=Goal(value_at_most=0.55),
        )
        for secret in await asyncio.to_thread(secrets, stack)
    ]  # fmt: skip


async def told_apart(stack: Stack, secret: Secret, pairs: int, chance: random.Random) -> float:
    """The AUC, turned so that it is at least 0.5."""
    took: dict[bool, list[float]] = {True: [], False: []}
    there = itertools.cycle(secret.there)
    asking: dict[bool, Making] = {
        True: at.gets(stack, secret.client, lambda: next(there)),
        False: at.gets(stack, secret.client, secret.never),
    }
    async with at.asking(stack.info["services"][secret.service]) as connection:
        for number in range(-20, pairs):
            for which in chance.sample((True, False), 2):
                request, began = asking[which](), time.perf_counter()
                answer = await connection.ask(request)
                if number >= 0:
                    took[which].append(time.perf_counter() - began)
                assert answer.status == 404, answer
            if number % 1000 == 999:  # a token lives for minutes
                asking[True] = at.gets(stack, secret.client, lambda: next(there))
                asking[False] = at.gets(stack, secret.client, secret.never)
    found = auc(took[False], took[True])
    return max(found, 1 - found)


def secrets(stack: Stack) -> list[Secret]:
    """Another station's referrals, another laboratory's kits, another partner's and another cell's cases; and what was
    a station's own until it was withdrawn."""
    cases = [_opened(stack) for _ in range(THINGS)]
    withdrawn = [_opened(stack) for _ in range(THINGS)]
    for case in withdrawn:
        _withdraw(stack, case)
    return [
        Secret(
            "another station's referral", "police-link", "station-clifton-system",
            [f"/v1/referrals/{case.codes['police-link']}" for case in cases],
            lambda: f"/v1/referrals/{_nobodys(Agency.POLICE_LINK)}",
        ),
        Secret(
            "a referral that was wholly withdrawn", "police-link", "station-saddar-system",
            [f"/v1/referrals/{case.codes['police-link']}" for case in withdrawn],
            lambda: f"/v1/referrals/{_nobodys(Agency.POLICE_LINK)}",
        ),
        Secret(
            "another laboratory's kit", "forensics", "lab-lahore-system",
            [f"/v1/kits/{case.barcode}" for case in cases],
            lambda: f"/v1/kits/{_barcode()}",
        ),
        Secret(
            "another partner's case", "legal-aid", "partner-sahara-system",
            [f"/v1/cases/{case.codes['legal-aid']}/summary" for case in cases],
            lambda: f"/v1/cases/{_nobodys(Agency.LEGAL_AID)}/summary",
        ),
        Secret(
            "another cell's case", "intake", "arcc-lahore-system",
            [f"/v1/cases/{case.case}" for case in cases],
            lambda: f"/v1/cases/{_nobodys(Agency.INTAKE)}",
        ),
    ]  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A case that every agency has a part of."""

    case: str
    barcode: str
    codes: Mapping[str, str]


def _opened(stack: Stack) -> Opened:
    hospital, barcode = _client(stack, "intake", "arcc-karachi-system"), _barcode()
    made = hospital.post("/v1/cases", at.case(*RECIPIENTS), quiet=True).raise_for_status().json()
    hospital.post(f"/v1/cases/{made['case']}/kits", {"barcode": barcode}, quiet=True).raise_for_status()
    hospital.close()
    codes = {each["agency"]: each["referral"] for each in made["referrals"]}
    for service, client, path in (
        ("police-link", "station-saddar-system", f"/v1/referrals/{codes['police-link']}"),
        ("forensics", "lab-karachi-system", f"/v1/kits/{barcode}"),
        ("legal-aid", "partner-hamdam-system", f"/v1/cases/{codes['legal-aid']}/summary"),
    ):
        asker = _client(stack, service, client)
        asker.until(path, lambda answer: answer.status_code == httpx.codes.OK, f"{service} is told")
        asker.close()
    return Opened(made["case"], barcode, codes)


def _withdraw(stack: Stack, case: Opened) -> None:
    hospital = _client(stack, "intake", "arcc-karachi-system")
    for given in hospital.get(f"/v1/cases/{case.case}/consents", quiet=True).json()["consents"]:
        path = f"/v1/cases/{case.case}/consents/{given['consent']}/withdrawal"
        hospital.post(path, {}, quiet=True).raise_for_status()
    hospital.close()
    station = _client(stack, "police-link", "station-saddar-system")
    path = f"/v1/referrals/{case.codes['police-link']}"
    station.until(path, lambda answer: answer.status_code == httpx.codes.NOT_FOUND, "it is withdrawn")
    station.close()


def _client(stack: Stack, service: str, name: str) -> Client:
    return Client(Teller(), name, stack.info["services"][service], stack.info)


def _barcode() -> str:
    return f"BENCH-{uuid4().hex[:8]}"


def _nobodys(agency: Agency) -> str:
    return new_code(PREFIX[agency], os.urandom)
