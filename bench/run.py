"""`make bench`: the platform and its bounds on the real stack, side by side and in turns; figures, table and chart.

Everything is measured in one run, because a shared machine's moods change from one to the next. `--rounds`,
`--seconds` and `--followed` shorten it while something is being tried; what is kept was measured with the defaults.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop
from rich.console import Console

from amanat_local.stack import Stack
from bench import existence, figures, intake, processes, reads, road
from bench.figures import Figure
from bench.times import times

PARTS = ("starts", "intake", "fhir", "reads", "times", "road", "existence", "sealing")


def main() -> None:
    """Measures, prints, and saves results.json, the table in README.md and figures.svg."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round of requests")
    parser.add_argument("--followed", type=int, default=1000, help="cases whose way to the agency is timed")
    parser.add_argument("--pairs", type=int, default=2000, help="of requests that a stopwatch tries to tell apart")
    parser.add_argument("--only", choices=PARTS, action="append", help="measures these alone, and saves nothing")
    asked = parser.parse_args()
    console = Console(highlight=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack.start("real", Path(folder), settings={"RATE_PER_MINUTE": "100000000"}) as stack,
    ):
        Path(folder).chmod(0o755)
        measured = uvloop.run(measure(stack, Path(folder), asked, console))
    if asked.only:
        console.print(figures.table(measured), markup=False)
    else:
        console.print(figures.save(measured), markup=False)


async def measure(stack: Stack, folder: Path, asked: argparse.Namespace, console: Console) -> list[Figure]:
    """All parts, or those that were asked for."""
    parts, found = asked.only or PARTS, list[Figure]()
    capacity: float | None = None
    for part in PARTS:
        if part not in parts:
            continue
        began = time.monotonic()
        match part:
            case "starts":
                found += [*processes.starts(stack, asked.rounds), *processes.memory(stack)]
                found += await asyncio.to_thread(processes.embedded, folder / "embedded", asked.rounds)
            case "intake":
                measured = await intake.intake(stack, folder, asked.rounds, asked.seconds)
                capacity = next(each.value for each in measured if " 32 " in each.name)
                found += measured
            case "fhir":
                found += await intake.fhir(stack, asked.rounds, asked.seconds)
            case "reads":
                found += await reads.reads(stack, folder, asked.rounds, asked.seconds)
            case "times":
                rate = capacity or await intake.capacity(stack, asked.seconds)
                found += await times(stack, rate, asked.followed)
            case "road":
                found += await road.road(stack, asked.rounds)
            case "existence":
                found += await existence.existence(stack, asked.pairs)
            case "sealing":
                found += await processes.sealing_share(stack)
        console.print(f"{part}: {time.monotonic() - began:.0f} s")
    return found


if __name__ == "__main__":
    main()
