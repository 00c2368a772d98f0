"""Reading a summary (consent decided, look on record) beside a bare read of the same rows."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amanat_local.process import Process, answers, environment
from amanat_local.spawn import free_port
from amanat_local.stack import Stack
from bench import stack as at
from bench.figures import Figure, Goal, compared, quantile, timed
from bench.load import Answer, Load, Making, closed_loop, request

CASES, COLD = 64, 200
CONNECTIONS = (1, 32)


async def reads(stack: Stack, folder: Path, rounds: int, seconds: int) -> list[Figure]:
    """GET of summaries, in turns with the bare read; then each of new ones once."""
    base, codes = stack.info["services"]["legal-aid"], await referrals(stack, CASES)
    figures = []
    with bare(stack, folder) as bound:
        for count in CONNECTIONS:
            loads, bounds = list[Load](), list[float]()
            await closed_loop(base, summaries(stack, codes), count, 2, status=200)  # leases of every referral
            for _ in range(rounds):
                loads.append(await closed_loop(base, summaries(stack, codes), count, seconds, status=200))
                bounds.append((await closed_loop(bound, plain(codes), count, seconds, status=200)).rate)
            figures.append(
                compared(
                    f"GET summary, {count} connection{'s' * (count > 1)}, warm leases ÷ bare read", "/s",
                    [load.rate for load in loads], bounds,
                    p50_ms=quantile([load.p50 for load in loads], 50),
                    p99_ms=quantile([load.p99 for load in loads], 50),
                    goal=Goal(ratio_at_least=1.0) if count == 32 else None,
                )
            )  # fmt: skip
    fresh = await referrals(stack, COLD)
    cold = await closed_loop(base, summaries(stack, fresh), 1, 60, status=200, at_most=COLD)
    return [*figures, timed("GET summary, 1 connection, cold leases", cold.times)]


async def referrals(stack: Stack, count: int) -> list[str]:
    """Codes of so many new referrals, readable at the partner."""
    opened: list[Answer] = []
    making = at.intake_posts(stack, at.case(at.PARTNER))
    await closed_loop(stack.info["services"]["intake"], making, 4, 600, status=201, answers=opened, at_most=count)
    codes = [answer.json()["referrals"][0]["referral"] for answer in opened]
    async with at.administrator(stack, "legal_aid") as database:
        await at.until_zero(
            database,
            f"SELECT {count} - count(*) FROM referrals WHERE code = ANY (ARRAY{codes!r})"
            " AND EXISTS (SELECT FROM disclosures WHERE referral = code)",
        )
    return codes


def summaries(stack: Stack, codes: list[str]) -> Making:
    """The partner's GETs, one referral after another."""
    turns = itertools.cycle(codes)
    return at.gets(stack, "partner-hamdam-system", lambda: f"/v1/cases/{next(turns)}/summary")


def plain(codes: list[str]) -> Making:
    """The same of the bare app."""
    turns: Iterator[str] = itertools.cycle(codes)
    return lambda: request("GET", f"/v1/cases/{next(turns)}/summary", {})


@contextmanager
def bare(stack: Stack, folder: Path) -> Iterator[str]:
    """The bare app's address while it runs."""
    port = free_port()
    process = Process(
        name="bare",
        argv=[sys.executable, "-m", "bench.bare", stack.info["databases"]["legal_aid"]["admin"], str(port)],
        env=environment({}),
        log=folder / "bare.log",
        ready=answers(port),
    )
    process.start()
    try:
        process.wait()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()
