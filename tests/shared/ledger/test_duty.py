"""What other services write on their topics is never handled as the gate's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from amanat.at_rest import AtRest
from amanat.categories import Agency
from amanat.contracts.disclosures import CategoryWithdrawn, KitAnnounced, ReferralOpened
from amanat.directory import Directory
from amanat.groups import topics_of
from amanat.ledger_duty import LedgerDuty, NoLedgerKey
from amanat.settings import KafkaSettings, LedgerSettings
from amanat_local.keys import Keys

from .world import World

NOW = datetime(2026, 3, 1, tzinfo=UTC)
POLICE = "police-link"


def duty(world: World, keys: Keys, service: str = POLICE, key_of: str = POLICE) -> LedgerDuty:
    return LedgerDuty.of(
        service, LedgerSettings(ledger_key_file=keys.ledger(key_of)), Directory.load(keys.directory_file),
        world[POLICE].database, uuid4, lambda: NOW, sources=(), at_rest=AtRest({0: bytes(32)}), tenants=(),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [CategoryWithdrawn.type, KitAnnounced.type, ReferralOpened.type, "no.type.at.all"])
async def test_an_event_of_the_gates_on_a_ledgers_topic_has_no_effect_and_is_an_alarm(
    world: World, agency_keys: Keys, kind: str
) -> None:
    body = {"referral": "P-7KQ2-M4XD-1", "organisation": "station-saddar", "category": "incident", "epoch": 2**31 - 1,
            "consent_version": 9, "withdrawn_at": "2026-03-01T00:00:00Z", "barcode": "KIT-1",
            "announced_at": "2026-03-01T00:00:00Z", "opened_at": "2026-03-01T00:00:00Z", "purpose": "x"}  # fmt: skip
    ledger = duty(world, agency_keys)
    await ledger.process([world.event("checkpoints.forensics", kind, body)])
    async with ledger.database.transaction(["station-saddar"]) as session:
        for table in ("tombstones", "kits", "referrals", "parked"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0
        alarms = (await session.execute(text("SELECT origin, kind FROM ledger_alarms"))).all()
    assert [tuple(row) for row in alarms] == [("amanat.local/forensics", "bad_checkpoint")]


async def test_it_reads_as_the_group_that_an_operators_command_sets_back(world: World, agency_keys: Keys) -> None:
    ledger = duty(world, agency_keys)
    [(_, _), (group, topics)] = topics_of(Agency.POLICE_LINK).items()
    assert topics == sorted(ledger.topics)
    tasks = ledger.tasks(KafkaSettings(kafka_bootstrap="127.0.0.1:1", kafka_security="plaintext"))
    assert f"consumer {group}" in {task.name for task in tasks}


async def test_an_entry_that_a_foreign_transaction_keeps_from_the_tree_is_an_alarm_until_it_is_in(
    world: World, agency_keys: Keys
) -> None:
    ledger, police = duty(world, agency_keys), world[POLICE]
    late = replace(ledger, now=lambda: NOW + timedelta(seconds=3 * ledger.every_s))
    async with police.database.transaction(()) as idle:
        await idle.execute(text("SELECT pg_current_xact_id()"))
        await police.append(2)
        await ledger._sequence()
        await ledger._watch()
        assert ("sequencer_waits", POLICE) not in await police.alarms()
        await late._watch()
        assert ("sequencer_waits", POLICE) in await police.alarms()
        assert any(each.startswith("sequencer_waits") for each in late.standing())
    await late._sequence()
    await late._watch()
    assert ("sequencer_waits", POLICE) not in await police.alarms()


def test_what_the_gate_says_and_what_ledgers_say_come_by_consumers_of_their_own() -> None:
    """Whoever puts a ledger's topic beside the gate's lets every service speak as the gate."""
    for room in ("shared/src/amanat/agency/worker.py", "services/intake/src/intake/gate.py"):
        source = Path(__file__).parents[3].joinpath(room).read_text()
        assert "ledger.topics" not in source
        assert source.count("Consumer(") == 1


@pytest.mark.parametrize("of", [Agency.FORENSICS])
def test_a_key_that_the_directory_does_not_name_for_this_service_does_not_start(
    world: World, agency_keys: Keys, of: str
) -> None:
    with pytest.raises(NoLedgerKey):
        duty(world, agency_keys, key_of=of)
