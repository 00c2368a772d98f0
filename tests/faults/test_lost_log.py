"""A broker that lost all it had, in the middle of the story: the outboxes refill it, and the story ends as ever."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from amanat.categories import Agency
from amanat.ledger.alarms import ENDING
from amanat_local.demo import payloads
from amanat_local.real import Real
from amanat_local.stack import Stack

from .compact_story import Story
from .final_state import differences, settle, unrecorded, untold
from .statements import DATABASES

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.fault]
READERS = ("intake-gate", "police-link-worker", "forensics-worker", "legal-aid-worker")
PATIENCE_S = 120.0


def test_a_broker_that_lost_its_log_is_refilled_and_nothing_is_lost_doubled_or_suspected(
    stack: Stack, tmp_path: Path
) -> None:
    usual, story = Story(stack.info), Story(stack.info)
    try:
        usual.play()
        wanted = settle(usual)
        began = datetime.now(UTC)
        # What is published and not read when the log is lost: all that concerns the partner, the FIR, and checkpoints.
        stack.stop_process("legal-aid-worker")
        story.subscribe()
        story.first, story.second = story.first_arrival(), story.second_arrival()
        story.taken_up()
        story.kit_goes_round(story.second)
        stack.stop_process("intake-gate")
        story.station.post("fir", f"/v1/referrals/{story.second['police-link']}/fir", payloads.FIR, 201)
        asyncio.run(until_all_is_published(stack, "police_link", "forensics"))

        refused = amanat(stack, tmp_path, "outbox", "replay", "--service", "intake", "--reset-group")
        assert refused.returncode == 2
        assert "the worker of forensics and the worker of police-link must be stopped first" in refused.stderr

        for name in READERS[1:3]:
            stack.stop_process(name)
        lose_the_log(stack)
        for service in Agency:
            done = amanat(stack, tmp_path, "outbox", "replay", "--service", service, "--reset-group")
            assert done.returncode == 0, done.stderr
        for name in READERS:
            stack.start_process(name, wait=False)
        for name in READERS:
            stack.part(name).wait()

        story.reported_and_shared(story.second)
        story.withdrawn(story.first)
        story.withdrawn(story.second)
        assert differences(wanted, settle(story)) == []
        assert unrecorded(story) + untold([usual, story]) == []
        assert asyncio.run(suspected(stack, began)) == []
        asyncio.run(until_all_cosign_again(stack, datetime.now(UTC)))
        assert asyncio.run(suspected(stack, began)) == []
    finally:
        for name in stack.ended():
            stack.start_process(name)
        usual.close()
        story.close()


def amanat(stack: Stack, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The operator's command, in a folder in which this stack is the one that runs."""
    here = folder / ".amanat"
    if not here.exists():
        here.symlink_to(stack.folder)
    command = [str(Path(sys.executable).with_name("amanat")), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMANAT_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def lose_the_log(stack: Stack) -> None:
    """All of the broker's disk is gone; it is formatted and started again with its users, topics and ACLs."""
    infrastructure = stack._infrastructure
    assert isinstance(infrastructure, Real)
    stack.kill("kafka")
    shutil.rmtree(stack.home / "kafka" / "data")
    infrastructure.server.start()


async def until_all_is_published(stack: Stack, *dbs: str) -> None:
    await _until(stack, dbs, "SELECT 1 FROM outbox WHERE published_at IS NULL AND cancelled_at IS NULL LIMIT 1")


async def until_all_cosign_again(stack: Stack, since: datetime) -> None:
    """Each service's ledger has a checkpoint of after `since` that the three others cosigned, and no alarm that ends by
    itself stands."""
    signed = (
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM cosignatures JOIN ledger_checkpoints USING (size, root)"
        f" WHERE published_at > '{since.isoformat()}' GROUP BY size, root HAVING count(DISTINCT witness) = 3)"
    )
    await _until(stack, DATABASES, signed)
    ending = ", ".join(f"'{kind}'" for kind in sorted(ENDING))
    await _until(stack, DATABASES, f"SELECT 1 FROM ledger_alarms WHERE kind IN ({ending}) AND ended_at IS NULL")


async def suspected(stack: Stack, since: datetime) -> list[str]:
    """Alarms over a ledger that somebody would have to look at."""
    found: list[str] = []
    for db in DATABASES:
        connection = await asyncpg.connect(stack.info["databases"][db]["admin"])
        try:
            raised = "SELECT kind, origin FROM ledger_alarms WHERE raised_at >= $1 AND kind <> ALL ($2)"
            found += [f"{db}: {row[0]} {row[1]}" for row in await connection.fetch(raised, since, list(ENDING))]
        finally:
            await connection.close()
    return found


async def _until(stack: Stack, dbs: Iterable[str], nothing: str) -> None:
    """Returns when the statement finds nothing in any of these databases."""
    deadline = time.monotonic() + PATIENCE_S
    for db in dbs:
        connection = await asyncpg.connect(stack.info["databases"][db]["admin"])
        try:
            while (found := await connection.fetch(nothing)) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            assert not found, f"{db}: {nothing}"
        finally:
            await connection.close()
