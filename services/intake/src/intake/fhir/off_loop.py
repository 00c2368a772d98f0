"""Parsing without holding up the event loop.

Threads suffice (measured, see docs/fhir.md): validation is many short Python calls, between which the interpreter
passes the loop its turn. A process of its own would cost another 60 MB and outlive a killed parent. Two threads: a
large bundle does not hold up a small one, and at most two are in memory as objects.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from intake.fhir import validation
from intake.fhir.bundle import ParsedBundle, parse

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="fhir")


async def parse_off_loop(body: bytes) -> ParsedBundle:
    """`parse` in a thread. Raises what `parse` raises."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, parse, body)


async def warm_up_off_loop() -> None:
    """Loads the models at start, so that the first bundle does not wait 0.4 s for them."""
    await asyncio.get_running_loop().run_in_executor(_THREADS, validation.warm_up)
