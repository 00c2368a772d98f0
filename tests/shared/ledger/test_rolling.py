"""A ledger's key is rolled without an alarm where the directory comes first, and with an operator's word where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from amanat.ledger.known import Ledgers
from amanat.notes import NoteSigner, NoteVerifier

from .test_witness import OTHERS, _cosigned, _history
from .world import SERVICES, World, origin_of

POLICE, FORENSICS, LEGAL = SERVICES


def _knows(world: World, whom: Sequence[str], *keys: NoteVerifier) -> None:
    """These services are started on a directory that names these keys of the police's ledger, the current one first."""
    for name in whom:
        service = world[name]
        ledgers = Ledgers({**service.witness.ledgers.verifiers, POLICE: list(keys)})
        service.witness = replace(service.witness, ledgers=ledgers)


def _signs(world: World, signer: NoteSigner) -> None:
    """The police are started with another key file."""
    police = world[POLICE]
    police.speaker = replace(police.speaker, signer=signer)
    police.witness = replace(police.witness, speaker=police.speaker)


def _keys(world: World) -> tuple[NoteVerifier, NoteSigner, NoteVerifier]:
    """The old key's verifier, and a new key."""
    [old] = world[FORENSICS].witness.ledgers.verifiers[POLICE]
    key = Ed25519PrivateKey.generate()
    return old, NoteSigner(key, origin_of(POLICE)), NoteVerifier(key.public_key(), origin_of(POLICE))


async def test_a_key_is_rolled_in_three_steps_and_nobody_stops_cosigning(world: World) -> None:
    await _history(world)
    old, signer, new = _keys(world)
    _knows(world, SERVICES, old, new)
    await world[POLICE].append(3)
    await world.tick()
    assert await _cosigned(world, 53) == set(OTHERS)
    _signs(world, signer)
    for size in (56, 59):
        await world[POLICE].append(3)
        await world.tick()
        assert await _cosigned(world, size) == set(OTHERS)
    _knows(world, SERVICES, new)
    await world[POLICE].append(3)
    await world.tick()
    for service in SERVICES:
        await world[service].watch(world.now)
    assert await _cosigned(world, 62) == set(OTHERS)
    assert await world.all_alarms() == {}


async def test_what_the_old_key_signs_after_it_left_the_directory_is_an_alarm(world: World) -> None:
    await _history(world)
    _, _, new = _keys(world)
    _knows(world, OTHERS, new)
    await world[POLICE].append(3)
    await world.tick(POLICE)
    assert await world.all_alarms() == {each: [("bad_checkpoint", POLICE)] for each in OTHERS}
    assert await _cosigned(world, 53) == set()


async def test_a_witness_with_an_old_directory_goes_on_cosigning_once_it_has_the_new_one_and_an_operators_word(
    world: World,
) -> None:
    await _history(world)
    old, signer, new = _keys(world)
    _knows(world, (POLICE, LEGAL), old, new)
    _signs(world, signer)
    for _ in range(2):
        await world[POLICE].append(3)
        await world.tick()
    assert set(await world[FORENSICS].alarms()) == {("bad_checkpoint", POLICE), ("bad_checkpoint", LEGAL)}
    assert await _cosigned(world, 56) == {LEGAL}
    _knows(world, (FORENSICS,), old, new)
    await world.tick()
    assert await _cosigned(world, 56) == {LEGAL}
    for service in (POLICE, LEGAL):
        await world[FORENSICS].acknowledge(service, "the key was rolled before our directory")
    await world[POLICE].append(3)
    await world.tick()
    assert await world[FORENSICS].alarms() == []
    assert await _cosigned(world, 59) == set(OTHERS)
