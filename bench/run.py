"""`make bench`: from a commit at intake until it is readable at police-link, from a withdrawal until it is refused.

Each is measured from the moment the client has its answer (the commit lies before it) by a client that asks again every
few milliseconds; so the figures hold the asking client's own round trip. Requests go one after another.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import track

from amanat_local.demo import payloads
from amanat_local.demo.clients import Client
from amanat_local.demo.telling import Teller
from amanat_local.stack import Stack

PAUSE_S = 0.003
GIVE_UP_S = 20.0
CONSENT = payloads.consent("police-link", "station-saddar", ["identity", "incident"], payloads.SURVIVOR)
BODY: dict[str, Any] = {
    "person": {"full_name": "Invented Person", "birth_date": "1999-02-03"},
    "incident": {"history": "invented", "acts": ["rape"]},
    "consents": [CONSENT],
}


def main() -> None:
    """Measures, prints, and appends a section to bench/README.md."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--stack", choices=("embedded", "real"), default="real")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--save", type=Path, default=Path(__file__).with_name("README.md"))
    asked = parser.parse_args()
    console = Console(highlight=False)
    kind: Literal["embedded", "real"] = "real" if asked.stack == "real" else "embedded"
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack.start(kind, Path(folder), settings={"RATE_PER_MINUTE": "1000000"}) as stack,
    ):
        ready = time.monotonic() - began
        memory = {name: resident(process["pid"]) for name, process in stack.info["processes"].items()}
        readable, refused = measure(stack, asked.rounds)
    text = report(kind, asked.rounds, ready, memory, readable, refused)
    console.print(text, markup=False)
    with asked.save.open("a") as saved:
        saved.write(text)


def measure(stack: Stack, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds: intake's answer → readable at police-link; withdrawal's answer → refused there."""
    teller, info = Teller(), stack.info
    hospital = Client(teller, "arcc-karachi-system", info["services"]["intake"], info)
    station = Client(teller, "station-saddar-system", info["services"]["police-link"], info)
    readable, refused = [], []
    for _ in track(range(rounds), description="rounds"):
        opened = hospital.post("/v1/cases", BODY, quiet=True).json()
        path = f"/v1/referrals/{opened['referrals'][0]['referral']}"
        readable.append(until(station, path, lambda parts: "incident" in parts))
        consents = hospital.get(f"/v1/cases/{opened['case']}/consents", quiet=True).json()["consents"]
        withdrawal = f"/v1/cases/{opened['case']}/consents/{consents[0]['consent']}/withdrawal"
        hospital.post(withdrawal, {"categories": ["incident"]}, quiet=True)
        refused.append(until(station, path, lambda parts: "incident" not in parts))
    return readable, refused


def until(client: Client, path: str, good: Callable[[dict[str, Any]], bool]) -> float:
    """Milliseconds until the answer is good. Raises TimeoutError."""
    began = time.perf_counter()
    while True:
        answer = client.get(path, quiet=True)
        if answer.status_code == 200 and good(answer.json()["parts"]):
            return (time.perf_counter() - began) * 1000
        if time.perf_counter() - began > GIVE_UP_S:
            raise TimeoutError(path.split("/")[-2])
        time.sleep(PAUSE_S)


def resident(pid: int) -> int:
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def report(
    kind: str,
    rounds: int,
    ready: float,
    memory: dict[str, int],
    readable: list[float],
    refused: list[float],
) -> str:
    """A section of bench/README.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    rows = "\n".join(
        f"| {what} | {statistics.median(times):.0f} ms | {quantile(times, 99):.0f} ms | {max(times):.0f} ms |"
        for what, times in (
            ("commit at intake → readable at police-link", readable),
            ("withdrawal → refused at police-link", refused),
        )
    )
    memories = ", ".join(f"{name} {mib} MiB" for name, mib in sorted(memory.items()))
    return (
        f"\n## {datetime.now(UTC):%Y-%m-%d}, {kind} stack, commit {commit or 'unknown'}\n\n"
        f"{os.cpu_count()} cores, {total_memory()} GiB, {platform.system()}, Python {platform.python_version()}. "
        f"{rounds} rounds, one client, one after another.\n\n"
        f"| | p50 | p99 | max |\n|---|---|---|---|\n{rows}\n\n"
        f"Stack ready in {ready:.1f} s (installed before). Resident memory: {memories}.\n"
    )


def quantile(values: list[float], percent: int) -> float:
    """The value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(len(ordered) * percent / 100))]


def total_memory() -> int:
    """The machine's memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30


if __name__ == "__main__":
    main()
