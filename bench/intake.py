"""Intake's rate beside that of the same rows in one round trip, and FHIR Bundles."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from amanat_local.stack import Stack
from bench import stack as at
from bench.bundles import visit
from bench.figures import Figure, Goal, compared, quantile
from bench.load import Answer, Load, closed_loop
from bench.same_rows import pgbench, script_of, written_by

CONNECTIONS = (1, 8, 32, 128)
GOALS = {
    1: Goal(p50_at_most=2),
    32: Goal(ratio_at_least=0.40, p99_at_most=15),
}
WARM_S = 2.0


async def same_rows(stack: Stack, folder: Path) -> Path:
    """Opens one case while nothing else touches its rows; the script that repeats what that wrote."""
    stack.stop_process("intake-gate")
    try:
        answers: list[Answer] = []
        making = at.intake_posts(stack, at.case(at.STATION))
        await closed_loop(stack.info["services"]["intake"], making, 1, 60, status=201, answers=answers, at_most=1)
        async with at.administrator(stack, "intake") as database:
            written = await written_by(database, answers[0].json()["case"])
    finally:
        stack.start_process("intake-gate")
    script = folder / "same_rows.sql"
    script.write_text(script_of(written))
    script.chmod(0o644)
    return script


async def intake(stack: Stack, folder: Path, rounds: int, seconds: int) -> list[Figure]:
    """POST /v1/cases at each number of connections, in turns with pgbench."""
    script = await same_rows(stack, folder)
    base, url = stack.info["services"]["intake"], stack.info["databases"]["intake"]["admin"]
    loads: dict[int, list[Load]] = {count: [] for count in CONNECTIONS}
    bounds: dict[int, list[float]] = {count: [] for count in CONNECTIONS}
    await closed_loop(base, at.intake_posts(stack, at.case(at.STATION)), 8, WARM_S, status=201)
    for _ in range(rounds):
        for count in CONNECTIONS:
            await at.drained(stack, "intake")
            making = at.intake_posts(stack, at.case(at.STATION))
            loads[count].append(await closed_loop(base, making, count, seconds, status=201))
            await at.drained(stack, "intake")
            program = at.program(stack, "pgbench")
            bounds[count].append(await asyncio.to_thread(pgbench, program, url, script, min(count, 64), seconds))
            await forget(stack)
        await at.vacuumed(stack, "intake")
    return [
        compared(
            f"POST /v1/cases, {count} connection{'s' * (count > 1)} ÷ pgbench", "/s",
            [load.rate for load in loads[count]], bounds[count],
            p50_ms=_middle(loads[count], 50), p99_ms=_middle(loads[count], 99), goal=GOALS.get(count),
        )
        for count in CONNECTIONS
    ]  # fmt: skip


async def capacity(stack: Stack, seconds: int) -> float:
    """Cases a second at 32 connections."""
    making = at.intake_posts(stack, at.case(at.STATION))
    return (await closed_loop(stack.info["services"]["intake"], making, 32, seconds, status=201)).rate


async def forget(stack: Stack) -> None:
    """What pgbench wrote is nobody's case: its events are not to be published, its entries not to be sequenced."""
    async with at.administrator(stack, "intake") as database:
        await database.execute("UPDATE outbox SET cancelled_at = now() WHERE published_at IS NULL")


async def fhir(stack: Stack, rounds: int, seconds: int) -> list[Figure]:
    """POST /fhir with the Bundle of a visit, at 32 connections."""
    base, bundle = stack.info["services"]["intake"], visit()
    body = json.dumps(bundle).encode()
    loads = []
    for _ in range(rounds):
        await at.drained(stack, "intake")
        making = at.intake_posts(stack, body, "/fhir", "application/fhir+json")
        loads.append(await closed_loop(base, making, 32, seconds, status=200))
    return [
        compared(
            f"POST /fhir, {len(bundle['entry'])} resources in {len(body) / 1024:.1f} KiB, 32 connections", "/s",
            [load.rate for load in loads],
            p50_ms=_middle(loads, 50), p99_ms=_middle(loads, 99), goal=Goal(value_at_least=1000, p99_at_most=50),
        )
    ]  # fmt: skip


def _middle(loads: list[Load], percent: int) -> float:
    """The median round's quantile."""
    return quantile([quantile(load.times, percent) for load in loads], 50)
