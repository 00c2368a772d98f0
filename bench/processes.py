"""What each process costs: its start, its memory; and the share of sealing in intake's processor time."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from amanat import sealing
from amanat.at_rest import AtRest
from amanat.categories import Agency
from amanat.db import Database
from amanat.kek import FileKekPublic, RequestSecret
from amanat_local.services import NAMES
from amanat_local.stack import Stack
from bench import stack as at
from bench.figures import Figure, Goal, compared
from bench.ledger import CELL, principal
from bench.road import told
from intake.schemas import NewCase
from intake.service.instruments import Instruments
from intake.service.opening import open_case
from intake.settings import Settings

CASES = 200
SEALING = (
    (sealing, "seal"),
    (sealing, "mint"),
    (AtRest, "seal"),
    (FileKekPublic, "seal"),
    (RequestSecret, "wrap"),
)


def starts(stack: Stack, rounds: int) -> list[Figure]:
    """Seconds from a process's start until it is ready, one at a time while the others run."""
    figures = []
    for name in NAMES:
        took = []
        for _ in range(rounds):
            stack.stop_process(name)
            began = time.perf_counter()
            stack.start_process(name)
            took.append(time.perf_counter() - began)
        figures.append(compared(f"start of {name} until ready", "s", took, goal=Goal(value_at_most=5)))
    return figures


def embedded(folder: Path, rounds: int) -> list[Figure]:
    """Seconds until the whole embedded stack is ready, once installed, from empty databases; beside the real one."""
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        with Stack.start("embedded", folder / str(number)):
            took.append(time.perf_counter() - began)
    return [compared("start of the embedded stack until ready", "s", took, goal=Goal(value_at_most=15))]


def memory(stack: Stack) -> list[Figure]:
    """Proportional memory (PSS) of each Python process, in MiB, and of all together."""
    each = {name: proportional(int(stack.info["processes"][name]["pid"])) for name in NAMES}
    together = compared("memory of all Python processes", "MiB", [sum(each.values())], goal=Goal(value_at_most=1000))
    return [together, *(compared(f"memory of {name}", "MiB", [mib]) for name, mib in each.items())]


def proportional(pid: int) -> float:
    """MiB; pages shared with others count by the part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"no Pss of {pid}")


async def sealing_share(stack: Stack) -> list[Figure]:
    """Processor time within sealing ÷ all processor time of opening cases, in this process; percent."""
    settings = Settings.model_validate(told(stack, "intake-main"))
    instruments = Instruments.from_settings(settings, FileKekPublic(settings.kek_public_dir), secrets.token_bytes)
    database = Database(settings.database_url, application_name="bench")
    body, who = NewCase.model_validate_json(at.case(at.STATION)), principal(Agency.INTAKE, CELL)

    async def cases(count: int) -> None:
        for _ in range(count):
            async with database.transaction([CELL]) as session:
                await open_case(session, who, body, datetime.now(UTC), instruments)

    await cases(20)
    gc.collect()
    shares = []
    for _ in range(5):
        with clocked() as within:
            began = time.thread_time()
            await cases(CASES)
            shares.append(100 * within() / (time.thread_time() - began))
    await database.dispose()
    return [
        compared("sealing, share of intake's processor time", "%", shares, goal=Goal(value_at_most=10)),
    ]


@contextmanager
def clocked() -> Iterator[Callable[[], float]]:
    """Counts the processor time within sealing meanwhile: contents, columns at rest, keys and their wrapping."""
    spent, depth = 0.0, 0

    def counting(what: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            nonlocal spent, depth
            depth += 1
            began = time.thread_time()
            try:
                return what(*args, **named)
            finally:
                depth -= 1
                if not depth:
                    spent += time.thread_time() - began

        return counted

    with ExitStack() as patched:
        for owner, name in SEALING:
            patched.enter_context(mock.patch.object(owner, name, counting(getattr(owner, name))))
        yield lambda: spent
