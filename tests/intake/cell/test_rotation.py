"""Generations of the key-encryption key: live keys move on, and a backup from before opens nothing withdrawn."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.kek import FileKekPrivate, unwrap
from amanat.sealing import Unopenable
from intake.errors import GateClosed
from intake.repository import keys as key_repository
from intake.service import restoring, rotation

from .world import FORENSICS, LEGAL, POLICE, World, consent

BACKUP = (
    "SELECT k.key_id, k.category, k.referral, k.wrap, s.generation, s.sealed"
    " FROM keys k JOIN request_secrets s ON s.id = k.secret_id"
)


def _now() -> datetime:
    return datetime.now(UTC)


async def _rotate(world: World) -> rotation.Rotated:
    return await rotation.rotate(world.gate, world.kek, world.public, world.instruments, now=_now)


def _opens(kek: FileKekPrivate, row: Any) -> bool:
    try:
        [secret] = kek.unseal(row.generation, [bytes(row.sealed)])
        unwrap(secret, row.key_id, bytes(row.wrap))
    except Unopenable:
        return False
    return True


async def test_live_keys_move_to_the_new_generation_and_the_old_is_destroyed(world: World) -> None:
    opened = [await world.open_case(consent(POLICE, "identity", "incident")) for _ in range(3)]
    before = world.kek.generations()
    done = await _rotate(world)
    assert (done.rewrapped, done.destroyed) == (6, tuple(before))
    assert world.kek.generations() == [done.generation] == [world.public.current()]
    for _, referrals in opened:
        assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity", "incident"}
    secrets = await world.rows("SELECT generation FROM request_secrets")
    assert {row.generation for row in secrets} == {done.generation}


async def test_a_backup_from_before_a_withdrawal_opens_nothing_that_was_withdrawn(world: World) -> None:
    """The backup is a copy of the rows; the secret that wrapped the withdrawn key wrapped living ones too."""
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "incident"))
    backup = await world.rows(BACKUP)
    assert len(backup) == 3
    assert all(_opens(world.kek, row) for row in backup)
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    await _rotate(world)
    assert not any(_opens(world.kek, row) for row in backup)
    assert not any(_opens(FileKekPrivate(world.keys.kek_public, world.keys.kek_private), row) for row in backup)
    living = await world.rows(BACKUP)
    assert {(row.referral, row.category) for row in living} == {
        (referrals[POLICE], "identity"), (referrals[LEGAL], "incident"),
    }  # fmt: skip
    withdrawn = [row for row in backup if (row.referral, row.category) == (referrals[POLICE], "incident")]
    for row in living:
        [secret] = world.kek.unseal(row.generation, [bytes(row.sealed)])
        for old in withdrawn:
            with pytest.raises(Unopenable):
                unwrap(secret, old.key_id, bytes(old.wrap))


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_interrupted_in_the_middle_and_begun_again_it_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    opened = [await world.open_case(consent(POLICE, "identity", "incident")) for _ in range(2)]
    rewrap, done = key_repository.rewrap, 0

    async def killed(*args: Any) -> None:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        await rewrap(*args)

    monkeypatch.setattr(rotation, "BATCH", 1)
    monkeypatch.setattr("intake.repository.keys.rewrap", killed)
    with pytest.raises(KeyboardInterrupt):
        await _rotate(world)
    monkeypatch.undo()
    for _, referrals in opened:
        assert len((await world.leased(POLICE, referrals[POLICE]))["keys"]) == 2
    again = await _rotate(world)
    assert world.kek.generations() == [again.generation]
    for _, referrals in opened:
        assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity", "incident"}


async def test_minting_withdrawing_and_leasing_go_on_during_a_rotation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = [await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "incident")) for _ in range(6)]
    monkeypatch.setattr(rotation, "BATCH", 2)

    async def withdraw(number: int) -> int:
        case, _ = opened[number]
        return (await world.withdraw(case, await world.consent_of(case, LEGAL))).status_code

    async def mint() -> tuple[str, dict[str, str]]:
        return await world.open_case(consent(FORENSICS, "incident"))

    results = await asyncio.gather(
        _rotate(world), *(mint() for _ in range(6)), *(withdraw(number) for number in range(4))
    )
    minted = [result for result in results if isinstance(result, tuple)]
    assert [result for result in results if isinstance(result, int)] == [200] * 4
    for _, referrals in opened:
        assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}
    for _, referrals in opened[4:]:
        assert set(await world.readable(LEGAL, referrals[LEGAL])) == {"incident"}
    for _, referrals in minted:
        assert set(await world.readable(FORENSICS, referrals[FORENSICS])) == {"incident"}


async def test_two_rotations_at_once_are_one(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    first, second = await asyncio.gather(_rotate(world), _rotate(world), return_exceptions=True)
    assert {type(first), type(second)} == {rotation.Rotated, rotation.AlreadyRotating}
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_a_rotation_waits_for_who_minted_under_the_old_generation(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    async with world.main.transaction(("arcc-karachi",)) as session:
        await rotation.changes.hold_generation(session)
        turning = asyncio.create_task(_rotate(world))
        await asyncio.sleep(1.5)
        assert not turning.done()
    await turning
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_it_runs_by_itself_once_a_day(world: World) -> None:
    first = _now()

    async def at(moment: datetime) -> rotation.Rotated | None:
        return await rotation.rotate_if_due(
            world.gate, world.kek, world.public, world.instruments, now=lambda: moment, every=timedelta(hours=24)
        )

    assert await at(first) is None
    assert await at(first + timedelta(hours=23)) is None
    assert (await at(first + timedelta(hours=24))) is not None
    assert await at(first + timedelta(hours=25)) is None


async def test_while_the_gate_is_closed_nothing_is_rotated(world: World) -> None:
    async with world.gate.transaction(()) as session:
        await restoring.close(session, _now(), world.instruments)
    before = world.kek.generations()
    with pytest.raises(GateClosed):
        await _rotate(world)
    assert world.kek.generations() == before
