"""`python -m bench.my_case`: whether a stopwatch tells a claim code that exists from one that never was.

The cell's HTTP service on a PostgreSQL of its own, Argon2 as in production. Rounds of four sign-ins in shuffled order:
an unknown code, a wrong PIN, a duress PIN, a closed code. The figure is the AUC against the unknown code: the chance
that of two sign-ins the longer one is of the code that exists. 0.5 is a coin; what coins of so many rounds allow
stands beside it, and is the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import secrets
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import track

from amanat import telemetry
from amanat.categories import Agency
from amanat.codes import new_code
from amanat.principal import Principal
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from bench.figures import auc, total_memory
from bench.ledger import running
from intake import main as intake_main
from intake.my_case.api.desk import Desk
from intake.my_case.schemas import NewClaim
from intake.my_case.service.claims import choose, issue
from intake.schemas import NewCase
from intake.service.opening import open_case
from intake.settings import Settings

CELL = "arcc-karachi"
PIN, DURESS, WRONG = "481516", "902375", "135792"
TRIES = 2
"""Of each claim in each way: five misses a day close it, and an open one is asked about."""
KINDS = ("unknown", "wrong", "duress", "closed")


def main() -> None:
    """Measures, prints, and appends a section to bench/README.md. Exit status 1 when a stopwatch tells them apart."""
    parser = argparse.ArgumentParser(prog="bench.my_case")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--save", type=Path, default=Path(__file__).with_name("README.md"))
    asked = parser.parse_args()
    telemetry.configure_logging("bench", "WARNING")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as postgres:
        load = os.getloadavg()[0]
        took = asyncio.run(sign_in(postgres, Keys.make(Path(folder) / "keys", []), asked.rounds))
    text = report(load, took)
    Console(highlight=False).print(text, markup=False)
    with asked.save.open("a") as saved:
        saved.write(text)
    apart = told_apart(took)
    if apart:
        raise SystemExit(f"told apart from an unknown code by the time it took: {', '.join(apart)}")


async def sign_in(postgres: Postgres, keys: Keys, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each sign-in as the client sees it, by kind."""
    app = intake_main.build(
        Settings(
            database_url=postgres.url("intake_api", "intake"),
            issuer="https://issuer.test",
            audience="amanat-intake",
            directory_file=keys.directory_file,
            at_rest_key_file=keys.at_rest("intake"),
            index_key_file=keys.index("intake"),
            kek_public_dir=keys.kek_public,
            claim_pepper_file=keys.claim_pepper,
        )
    )
    desk: Desk = app.state.my_case
    closed = await claim(desk)
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    order = random.Random(7)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench.test") as client:

        async def once(code: str, pin: str) -> float:
            began = time.perf_counter()
            answer = await client.post("/v1/my/sign-ins", json={"code": code, "pin": pin})
            answer.raise_for_status()
            return (time.perf_counter() - began) * 1000

        for _ in range(10):
            await once(closed, WRONG)
        code = ""
        for number in track(range(rounds), description="sign-ins"):
            if number % TRIES == 0:
                code = await claim(desk)
            tried = {
                "unknown": (new_code("M", secrets.token_bytes), WRONG),
                "wrong": (code, WRONG),
                "duress": (code, DURESS),
                "closed": (closed, PIN),
            }
            for kind in order.sample(KINDS, len(KINDS)):
                took[kind].append(await once(*tried[kind]))
    await desk.database.dispose()
    return took


async def claim(desk: Desk) -> str:
    """The code of a new case's claim."""
    who = Principal(Agency.INTAKE, CELL, frozenset({"cell_staff"}), frozenset({CELL}), "bench", "bench", "bench")
    now, body = datetime.now(UTC), {"pin": PIN, "duress_pin": DURESS, "code_word": "bench"}
    async with desk.database.transaction(who.tenants) as session:
        opened = (await open_case(session, who, NewCase(), now, desk.tools.instruments)).answer
    chosen = await choose(desk.database, who, opened.case, NewClaim.model_validate(body), desk.tools)
    async with desk.database.transaction(who.tenants) as session:
        made = await issue(session, who, chosen, "en", now, desk.tools)
    return made.code


def coin(count: int) -> float:
    """How far from 0.5 the AUCs of three pairs of equal samples of this size come by chance, 95 of 100 times."""
    return float(2.394 * ((2 * count + 1) / (12 * count * count)) ** 0.5)


def told_apart(took: dict[str, list[float]]) -> list[str]:
    """The kinds whose times are not a coin's, against those of an unknown code."""
    unknown = took["unknown"]
    far = {kind: abs(auc(unknown, took[kind]) - 0.5) for kind in KINDS[1:]}
    return [kind for kind, distance in far.items() if distance > coin(len(unknown))]


def report(load: float, took: dict[str, list[float]]) -> str:
    """The section for bench/README.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    unknown = took["unknown"]
    lines = [
        f"\n## {datetime.now(UTC):%Y-%m-%d}, signing in to her own page, commit {commit}\n",
        f"{os.cpu_count()} cores, {total_memory()} GiB, Linux, Python {platform.python_version()}, load {load:.1f}"
        f" before. {len(unknown)} rounds in shuffled order, Argon2id with the defaults.\n",
        "| | median | AUC against an unknown code |",
        "|---|---|---|",
        f"| unknown code | {statistics.median(unknown):.1f} ms | |",
    ]
    for kind, name in (("wrong", "wrong PIN"), ("duress", "duress PIN"), ("closed", "closed code, right PIN")):
        lines.append(f"| {name} | {statistics.median(took[kind]):.1f} ms | {auc(unknown, took[kind]):.3f} |")
    lines.append(f"\nThree coins of so many rounds: 0.5 ± {coin(len(unknown)):.3f}.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
