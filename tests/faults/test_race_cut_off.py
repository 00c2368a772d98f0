"""With the agency or the gate cut off, a lease is the longest that anything withdrawn can still be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from amanat_local.stack import Stack

from .racing import CATEGORIES, Cell, Read, Reader, Station, clients, until_all_there

pytestmark = [pytest.mark.stack, pytest.mark.fault]

LEASE_S = 3.0
UNKNOWN = "P-0000-0000-0"


@pytest.fixture(scope="module")
def short_leases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, whose leases last three seconds; of the agencies police-link alone."""
    needed = ["intake-main", "intake-gate", "police-link-main", "police-link-worker"]
    settings = {"LEASE_SECONDS": f"{LEASE_S:.0f}", "RATE_PER_MINUTE": "1000000"}
    folder = Path(tmp_path_factory.mktemp("short-leases"))
    with Stack.start("embedded", folder, needed, settings=settings) as running:
        yield running


@asynccontextmanager
async def read_all_the_while(info: dict[str, Any], police: Station, *referrals: str) -> AsyncIterator[list[Reader]]:
    """A reader of each referral, without a pause until the block ends."""
    over = asyncio.Event()
    readers = [Reader(info, police) for _ in referrals]

    async def keep_reading(reader: Reader, referral: str) -> None:
        while not over.is_set():
            await reader.read(referral)

    reading = [asyncio.create_task(keep_reading(*each)) for each in zip(readers, referrals, strict=True)]
    try:
        yield readers
    finally:
        over.set()
        await asyncio.gather(*reading)


_ENDED = "SELECT category, pg_xact_commit_timestamp(xmin) FROM shares WHERE referral = $1 AND ended_at IS NOT NULL"


async def withdrawn_at(stack: Stack, referral: str) -> dict[str, float]:
    """Category → when the withdrawal's transaction committed at intake (epoch seconds): it wrote the share's row last,
    as long as no agency has confirmed."""
    connection = await asyncpg.connect(stack.info["databases"]["intake"]["admin"])
    try:
        ended = (
            "SELECT category, pg_xact_commit_timestamp(xmin) FROM shares WHERE referral = $1 AND ended_at IS NOT NULL"
        )
        return {category: at.timestamp() for category, at in await connection.fetch(ended, referral)}
    finally:
        await connection.close()


async def opened(cell: Cell, police: Station, stack: Stack) -> tuple[str, str, str]:
    case, referral, consent = await cell.open_case()
    await until_all_there(Reader(stack.info, police), referral)
    return case, referral, consent


async def until_status(reader: Reader, status: int, within_s: float = LEASE_S + 5) -> Read:
    async with asyncio.timeout(within_s):
        while not reader.reads or reader.reads[-1].status != status:
            await asyncio.sleep(0.02)
    return reader.reads[-1]


async def test_without_tombstones_nothing_withdrawn_is_read_once_the_lease_is_over(short_leases: Stack) -> None:
    async with clients(short_leases.info) as (cell, police):
        case, referral, consent = await opened(cell, police, short_leases)
        short_leases.kill("police-link-worker")
        try:
            async with read_all_the_while(short_leases.info, police, referral, referral) as readers:
                await asyncio.sleep(0.5)
                await cell.withdraw(case, consent, "incident")
                await asyncio.sleep(LEASE_S / 2)
                await cell.withdraw(case, consent, *(each for each in CATEGORIES if each != "incident"))
                await asyncio.sleep(LEASE_S + 1)
            ended = await withdrawn_at(short_leases, referral)
        finally:
            short_leases.start_process("police-link-worker")
        reads = [read for reader in readers for read in reader.reads]
        late = [
            (category, read.came_at - ended[category])
            for read in reads
            for category in read.categories
            if read.came_at > ended[category] + LEASE_S
        ]
        assert late == []
        assert set(ended) == set(CATEGORIES)
        # Without a tombstone the lease is what held: read on after the withdrawal, and not after the lease.
        assert any("incident" in read.categories for read in reads if read.first_byte_at > ended["incident"])
        assert {reader.reads[-1].status for reader in readers} == {404}


async def test_with_the_gate_away_a_lease_lasts_and_then_it_is_503_with_retry_after_and_never_404(
    short_leases: Stack,
) -> None:
    async with clients(short_leases.info) as (cell, police):
        case, referral, consent = await opened(cell, police, short_leases)
        async with read_all_the_while(short_leases.info, police, referral, UNKNOWN) as (known, unknown):
            await until_status(unknown, 404)
            await until_status(known, 200)
            short_leases.kill("intake-gate")
            gone = asyncio.get_running_loop().time()
            known.reads.clear()
            unknown.reads.clear()
            await cell.withdraw(case, consent, "incident")  # which needs no gate
            await until_status(known, 503)
            lasted = asyncio.get_running_loop().time() - gone
            after = len(known.reads)
            await asyncio.sleep(1)
            assert {read.status for read in known.reads[after:]} == {503}
        ended = await withdrawn_at(short_leases, referral)
        assert lasted <= LEASE_S + 1.5
        assert {read.status for read in known.reads} == {200, 503}
        # One that was on its way when the gate was killed may still have had its answer.
        assert {read.status for read in unknown.reads[1:]} == {503}
        assert all(read.retry_after for read in (*known.reads, *unknown.reads) if read.status == 503)
        latest = max(read.came_at for read in known.reads if "incident" in read.categories)
        assert latest <= ended["incident"] + LEASE_S
        short_leases.start_process("intake-gate")
        again = Reader(short_leases.info, police)
        await until_all_there(again, referral, [each for each in CATEGORIES if each != "incident"])
        assert (await again.read(UNKNOWN)).status == 404
