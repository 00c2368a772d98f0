"""`python -m bench.ledger`: what the ledger costs a transaction at intake, how fast its tree grows, what a pass takes.

On a PostgreSQL of its own, durable as production's, with the services' migrations; no broker, no HTTP. Cases are opened
as the API opens them, one alone and many at once (`amanat.groupcommit`), and statement by statement, as one that cannot
go together with others is: each with its ledger entries, without their INSERT, and without entries at all, in turns, so
that the machine's moods fall on all alike. Entries are made with their case, before the transaction, but where it goes
statement by statement. The bound is on one alone, and on making and INSERT together: the more are written at once, the
less of a case's time is the waiting for the disk, and the greater the share of everything that it is made of.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import platform
import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

from rich.console import Console
from rich.progress import track

from amanat import ledger, looks, migrate
from amanat.at_rest import AtRest
from amanat.categories import Agency, Category
from amanat.db import Database
from amanat.groupcommit import Key, Rows, Writing
from amanat.kek import FileKekPublic
from amanat.ledger import tree
from amanat.ledger.audit import audit
from amanat.principal import Principal
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from bench.figures import total_memory
from bench.stack import STATION as RECIPIENT
from bench.stack import case
from intake.repository import opening as opening_repository
from intake.schemas import NewCase
from intake.service.instruments import Instruments
from intake.service.opening import Opening, group, make, open_case
from intake.settings import CellSettings

CELL, STATION = "arcc-karachi", "station-saddar"
WAYS = ("with its entries", "without their INSERT", "without entries")
TOGETHER = 32
KINDS = {"one alone": 1, f"one of {TOGETHER} at once": TOGETHER, "one, statement by statement": 0}
"""How a case is opened, and how many are in one flush; 0 for none."""
AT_ONCE = 500
HEARTBEAT_S = 0.001
TAKES_AT_MOST = 0.05
"""What making and appending entries may take of an intake transaction's time."""
AT_LEAST_PER_S = 5_000
"""Entries that the sequencer takes."""


@dataclass(frozen=True)
class Took:
    """Milliseconds that a case took from the beginning of its making, and from the beginning of its transaction."""

    whole: float
    transaction: float


Opened = dict[str, dict[str, list[Took]]]
"""By kind and way."""


@dataclass(frozen=True)
class Pass:
    """Something done over all leaves, in seconds: how long it took, and the most processor time that it used between
    two turns of another task, which is how long it holds the event loop of a machine that has nothing else to do."""

    took: float
    held: float


def main() -> None:
    """Measures, prints, and appends a section to bench/README.md. Exit status 1 when a bound does not hold."""
    parser = argparse.ArgumentParser(prog="bench.ledger")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--save", type=Path, default=Path(__file__).with_name("README.md"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as postgres:
        load = os.getloadavg()[0]
        opened = asyncio.run(open_cases(postgres, Keys.make(Path(folder) / "keys", []), asked.cases))
        passes = asyncio.run(grow_and_pass(postgres, asked.entries))
    text = report(asked.entries, load, opened, passes)
    Console(highlight=False).print(text, markup=False)
    with asked.save.open("a") as saved:
        saved.write(text)
    missed = beyond(asked.entries, opened, passes)
    if missed:
        raise SystemExit("; ".join(missed))


def beyond(entries: int, opened: Opened, passes: dict[str, Pass]) -> list[str]:
    """The bounds that do not hold, in plain words; none when all do."""
    alone = opened["one alone"]
    missed = []
    takes = 1 - _whole(alone[WAYS[2]]) / _whole(alone[WAYS[0]])
    if takes > TAKES_AT_MOST:
        missed.append(f"entries take {takes:.1%} of an intake transaction, more than {TAKES_AT_MOST:.0%}")
    rate = entries / passes["integrate"].took
    if rate < AT_LEAST_PER_S:
        missed.append(f"the sequencer takes {rate:,.0f} entries a second, fewer than {AT_LEAST_PER_S:,}")
    return missed


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A cluster with the databases of intake and of one agency."""
    postgres = Postgres.start(folder / "cluster")
    try:
        for db in ("intake", "police_link"):
            postgres.create_database(db)
            migrate.upgrade(db, postgres.url(f"{db}_migrator", db))
        yield postgres
    finally:
        postgres.stop()


async def open_cases(postgres: Postgres, keys: Keys, rounds: int) -> Opened:
    """What a case took, each way."""
    settings = CellSettings(
        database_url=postgres.url("intake_api", "intake"),
        issuer="https://issuer.test",
        audience="amanat-intake",
        directory_file=keys.directory_file,
        at_rest_key_file=keys.at_rest("intake"),
        index_key_file=keys.index("intake"),
        kek_public_dir=keys.kek_public,
    )
    instruments = Instruments.from_settings(settings, FileKekPublic(settings.kek_public_dir), secrets.token_bytes)
    database = Database(settings.database_url, application_name="bench")
    flushes = group(database)
    body, who = NewCase.model_validate_json(case(RECIPIENT)), principal(Agency.INTAKE, CELL)

    ready = 0.0

    def made() -> tuple[Opening, Writing]:
        nonlocal ready
        opening = make(who, body, datetime.now(UTC), instruments)
        key = Key(CELL, who.client, str(uuid4()), bytes(32), 201, opening.answer.case)
        writing = Writing([CELL], key, opening.together, lambda: opening.stands(instruments))
        ready = time.perf_counter()
        return opening, writing

    async def once(at_once: int) -> Took:
        nonlocal ready
        began = ready = time.perf_counter()
        if at_once:
            opened = await asyncio.gather(*(flushes.prepared(made) for _ in range(at_once)))
            assert None not in opened
        else:
            async with database.transaction([CELL]) as session:
                await open_case(session, who, body, datetime.now(UTC), instruments)
        ended = time.perf_counter()
        return Took((ended - began) * 1000 / (at_once or 1), (ended - ready) * 1000 / (at_once or 1))

    took: Opened = {kind: {way: [] for way in WAYS} for kind in KINDS}
    for kind, way in [(kind, way) for way in WAYS * 10 for kind in KINDS]:
        with going(way):
            await once(KINDS[kind])
    gc.collect()
    gc.freeze()  # as every server does once it is up
    for number in track(range(rounds), description="cases"):
        for kind, at_once in KINDS.items():
            for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
                with going(way):
                    took[kind][way].append(await once(at_once))
    await flushes.close()
    await database.dispose()
    return took


@contextlib.contextmanager
def going(way: str) -> Iterator[None]:
    """Leaves out what this way leaves out."""

    async def nothing(*_: Any) -> None:
        return None

    def rows_alone(rows: Rows, _entries: Any) -> Rows:
        return rows

    with contextlib.ExitStack() as without:
        if way != WAYS[0]:
            without.enter_context(mock.patch.object(ledger, "append", nothing))
            without.enter_context(mock.patch.object(opening_repository, "with_entries", rows_alone))
        if way == WAYS[2]:
            without.enter_context(mock.patch.object(ledger, "entry", return_value=None))
        yield


async def grow_and_pass(postgres: Postgres, entries: int) -> dict[str, Pass]:
    """The sequencer takes so many entries, each of a look; then one pass for a checkpoint, and an audit."""
    database = Database(postgres.url("police_link_worker", "police_link"), application_name="bench")
    at_rest, now = AtRest({0: bytes(32)}), datetime.now(UTC)
    who = principal(Agency.POLICE_LINK, STATION)
    for begin in track(range(0, entries, AT_ONCE), description="entries"):
        made = [
            looks.look(
                who, look_id=uuid4(), tenant=STATION, referral=f"P-{begin + each}", refused=bytes(32),
                purpose="investigation", categories=[Category.INCIDENT], at=now, at_rest=at_rest, randomness=os.urandom,
            )
            for each in range(AT_ONCE)
        ]  # fmt: skip
        async with database.transaction([STATION]) as session:
            await looks.record(session, made, found=True)
    postgres.sql("police_link", "ANALYZE")
    gc.collect()
    gc.freeze()  # what was loaded before is searched for garbage in every process, whatever it does
    passes: dict[str, Pass] = {}
    async with timed(passes, "integrate"):
        assert await tree.integrate(database) == entries
    async with timed(passes, "recompute"):
        assert (await tree.recompute(database)).size == entries
    async with timed(passes, "audit"):
        done = await audit(database, [looks.LOOKS], at_rest, "bench", now, tenants=[STATION])
    assert (done.leaves, done.alarms) == (entries, 0)
    await database.dispose()
    return passes


@contextlib.asynccontextmanager
async def timed(passes: dict[str, Pass], name: str) -> AsyncIterator[None]:
    """Times what is done within, beside a task that wants to run every millisecond."""
    held = 0.0

    async def beat() -> None:
        nonlocal held
        while True:
            before = time.thread_time()
            await asyncio.sleep(HEARTBEAT_S)
            held = max(held, time.thread_time() - before)

    beating = asyncio.create_task(beat())
    began = time.perf_counter()
    yield
    took = time.perf_counter() - began
    beating.cancel()
    passes[name] = Pass(took, held)


def principal(agency: Agency, organisation: str) -> Principal:
    """A system of this organisation."""
    cells = frozenset((organisation,)) if agency is Agency.INTAKE else frozenset[str]()
    return Principal(agency, organisation, frozenset(("hospital_system",)), cells, "bench", "bench", "bench")


def report(entries: int, load: float, opened: Opened, passes: dict[str, Pass]) -> str:
    """A section of bench/README.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    rounds = len(opened["one alone"][WAYS[0]])
    cases = "\n".join(_costs(kind, times) for kind, times in opened.items())
    rates = "\n".join(
        f"| {what} | {each.took * 1000:.0f} ms | {entries / each.took:,.0f} | {each.held * 1000:.0f} ms |"
        for what, each in (
            ("sequence them", passes["integrate"]),
            ("compute the root from all leaves", passes["recompute"]),
            ("audit every leaf and its row", passes["audit"]),
        )
    )
    return (
        f"\n## {datetime.now(UTC):%Y-%m-%d}, the ledger, commit {commit or 'unknown'}\n\n"
        f"{os.cpu_count()} cores, {total_memory()} GiB, {platform.system()}, Python {platform.python_version()}, "
        f"load {load:.1f} before. PostgreSQL alone; {rounds} rounds, in turns. Medians.\n\n"
        f"| open a case | {' | '.join(WAYS)} | INSERT and making take | INSERT takes of the transaction alone |\n"
        f"|---|---|---|---|---|---|\n{cases}\n\n"
        f"| {entries:,} entries | | per second | event loop held |\n|---|---|---|---|\n{rates}\n"
    )


def _costs(kind: str, times: dict[str, list[Took]]) -> str:
    whole, without_insert, without = (_whole(times[way]) for way in WAYS)
    inside, inside_without = (statistics.median(each.transaction for each in times[way]) for way in WAYS[:2])
    takes = f"{1 - without / whole:.1%} | {1 - inside_without / inside:.1%}"
    return f"| {kind} | {whole:.2f} ms | {without_insert:.2f} ms | {without:.2f} ms | {takes} |"


def _whole(times: list[Took]) -> float:
    return statistics.median(each.whole for each in times)


if __name__ == "__main__":
    main()
