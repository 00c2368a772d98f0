"""The operator's commands: what they show, and that they show no content."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from typer import Typer
from typer.testing import CliRunner, Result

from amanat import outbox_commands, parked, parked_commands
from amanat.db import Database
from amanat.facts import BadFact
from amanat.inbox import Handler, Inbox
from amanat.received import Received
from amanat.tables import outbox as rows
from amanat_local.postgres import Postgres

from .making import KIT, NOW, P1, P2, SADDAR, came, disclosed, kit, say, withdrawn

Amanat = Callable[..., Result]
SECRET = "Fatima Bibi"


@pytest.fixture
def amanat(cluster: Postgres, monkeypatch: pytest.MonkeyPatch) -> Amanat:
    monkeypatch.setenv("AMANAT_DATABASE_URL", cluster.url("police_link_worker", "police_link"))
    monkeypatch.setenv("COLUMNS", "250")

    def run(app: Typer, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--service", "police-link"])

    return run


class Poison(Exception):
    """Quotes."""


async def fails(session: AsyncSession, events: Sequence[Received]) -> None:
    raise Poison(events[0].body)


async def passes(session: AsyncSession, events: Sequence[Received]) -> None:
    """Takes effect."""


def inbox(worker: Database, handler: Handler) -> Inbox:
    return Inbox(worker, {KIT: handler}, frozenset(), lambda event: event.organisation)


async def test_parked_events_are_listed_and_shown_without_content(worker: Database, amanat: Amanat) -> None:
    await inbox(worker, fails).process([came(P1, body=SECRET.encode()), came(P1, body=SECRET.encode())])
    listed = await asyncio.to_thread(amanat, parked_commands.app, "list")
    shown = await asyncio.to_thread(amanat, parked_commands.app, "show", P1)
    for result in (listed, shown):
        assert result.exit_code == 0
        assert "Poison" in result.output
        assert SECRET not in result.output
    assert parked.BEHIND in shown.output


async def test_a_retry_is_carried_out_by_the_worker_and_told(worker: Database, amanat: Amanat) -> None:
    await inbox(worker, fails).process([came(P1), came(P1)])

    async def attend(handler: Handler) -> Result:
        asked = asyncio.create_task(asyncio.to_thread(amanat, parked_commands.app, "retry", P1))
        while not asked.done():
            await parked.attend(worker, inbox(worker, handler))
            await asyncio.sleep(0.05)
        return await asked

    failed = await attend(fails)
    assert failed.exit_code == 1
    assert "0 released, 2 parked" in failed.output
    done = await attend(passes)
    assert done.exit_code == 0
    assert "2 released, 0 parked" in done.output


async def test_a_retry_without_a_worker_says_so(worker: Database, amanat: Amanat) -> None:
    await inbox(worker, fails).process([came(P1)])
    alone = await asyncio.to_thread(amanat, parked_commands.app, "retry", P1, "--wait", "0.3")
    assert alone.exit_code == 1
    assert "no worker of police-link" in alone.output


async def test_what_nobody_signed_is_given_up_and_nothing_else_is(worker: Database, amanat: Amanat) -> None:
    async def disbelieves(session: AsyncSession, events: Sequence[Received]) -> None:
        raise BadFact("not signed")

    unsigned, failed = came(P1), came(P2)
    await inbox(worker, disbelieves).process([unsigned])
    await inbox(worker, fails).process([failed])
    given_up = await asyncio.to_thread(amanat, parked_commands.app, "discard", str(unsigned.event_id))
    refused = await asyncio.to_thread(amanat, parked_commands.app, "discard", str(failed.event_id))
    assert (given_up.exit_code, refused.exit_code) == (0, 1)
    assert "nothing else is ever given up" in refused.output
    async with worker.transaction(()) as session:
        assert [event.event_id for event in await parked.list_parked(session)] == [failed.event_id]


async def test_a_replay_tells_how_many_go_again(worker: Database, amanat: Amanat) -> None:
    topic = "disclosures.police-link"
    async with worker.transaction([SADDAR]) as session:
        await say(session, topic, disclosed(P1), withdrawn(P1), kit(P2))
        await session.execute(update(rows).values(published_at=NOW))
    replayed = await asyncio.to_thread(amanat, outbox_commands.app, "replay")
    assert "2 events of police-link" in replayed.output
    told = await asyncio.to_thread(amanat, outbox_commands.app, "status")
    assert topic in told.output


def test_a_service_that_is_none_is_refused_plainly(amanat: Amanat) -> None:
    result = CliRunner().invoke(outbox_commands.app, ["status", "--service", "counselling"])
    assert result.exit_code == 2
    assert "no such service" in result.output


def test_without_an_address_or_a_stack_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMANAT_DATABASE_URL", raising=False)
    result = CliRunner().invoke(outbox_commands.app, ["status", "--service", "police-link"])
    assert result.exit_code == 2
    assert "AMANAT_DATABASE_URL" in result.output


def test_the_local_stack_is_found_by_its_own_description(
    cluster: Postgres, worker: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMANAT_DATABASE_URL", raising=False)
    roles = {"police_link_worker": cluster.url("police_link_worker", "police_link", "postgresql")}
    (tmp_path / ".amanat").mkdir()
    described = {"databases": {"police_link": {"roles": roles}}}
    (tmp_path / ".amanat" / "stack.json").write_text(json.dumps(described))
    assert CliRunner().invoke(outbox_commands.app, ["status", "--service", "police-link"]).exit_code == 0
