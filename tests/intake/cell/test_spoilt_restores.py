"""After a restore one case that does not open keeps no other closed, and is itself closed to every agency."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from amanat.contracts.withdrawals import Tombstone, TombstonesReported
from amanat_local.postgres import Postgres
from intake import commands
from intake.service import reopening, restoring

from .test_spoilt_cases import consent_number, keys, kinds, spoil, tombstones
from .world import FORENSICS, LEGAL, POLICE, SADDAR, World, consent


async def test_a_tombstone_of_a_spoilt_case_takes_effect_and_fails_no_others(world: World, postgres: Postgres) -> None:
    spoilt, first = await world.open_case(consent(POLICE, "identity", "incident"))
    whole, second = await world.open_case(consent(POLICE, "identity", "incident"))
    await spoil(postgres, consent_number(1, spoilt))
    async with world.gate.transaction(()) as session:
        request = await restoring.close(session, datetime.now(UTC), world.instruments)
    reported = tuple(
        Tombstone(
            referral=referrals[POLICE],
            organisation=SADDAR,
            category="incident",
            epoch=1,
            withdrawn_at=datetime.now(UTC),
        )
        for referrals in (first, second)
    )
    await world.fact(POLICE, TombstonesReported(request_id=request, tombstones=reported))
    assert await world.parked() == []
    assert await keys(world) == [("police-link", "identity")] * 2
    for case in (spoilt, whole):
        assert "withdrawal_recovered" in await kinds(world, case)


async def test_a_spoilt_case_is_closed_when_the_gate_reopens_and_keeps_no_other_closed(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt, first = await world.open_case(consent(POLICE, "identity", "incident"))
    _, second = await world.open_case(consent(POLICE, "identity"))
    await spoil(postgres, consent_number(1, spoilt))
    settings = world.settings.model_copy(update={"database_url": postgres.url("intake_gate", "intake")})
    monkeypatch.setattr(commands, "_settings", lambda: settings)

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, commands.gate, list(words))

    async with world.gate.transaction(()) as session:
        await restoring.close(session, datetime.now(UTC), world.instruments)
    everybody = ("--without", "police-link", "--without", "forensics", "--without", "legal-aid")
    done = await run("reopen", *everybody)
    assert done.exit_code == 1
    assert "the gate is open; 1 cases went into a new epoch" in done.output
    assert f"1 cases do not open, and are closed to every agency until they are mended: {spoilt}" in done.output
    assert (await world.leased(POLICE, first[POLICE]))["keys"] == []
    assert set(await world.readable(POLICE, second[POLICE])) == {"identity"}
    assert await tombstones(world) == [
        ("police-link", "identity"),
        ("police-link", "identity"),
        ("police-link", "incident"),
    ]
    assert "case_not_restarted" in await kinds(world, spoilt)


async def test_where_nothing_opens_the_gate_stays_closed_and_no_case_ends(world: World, postgres: Postgres) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    await spoil(postgres, consent_number(1, case))
    async with world.gate.transaction(()) as session:
        await restoring.close(session, datetime.now(UTC), world.instruments)
    with pytest.raises(reopening.NothingOpens):
        await reopening.reopen(
            world.gate, world.gate_access, lambda: datetime.now(UTC), world.instruments, (POLICE, FORENSICS, LEGAL)
        )
    assert await keys(world) == [("police-link", "identity")]
    assert (await world.lease(POLICE, "P-0000-0000-0")).status_code == 503
