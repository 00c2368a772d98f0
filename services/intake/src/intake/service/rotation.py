"""Generations of the key-encryption key: live keys move to a new one, the old is destroyed.

After that a database backup from before opens nothing that was withdrawn: its wraps lead to a generation that no longer
exists (law 4). Runs daily in the gate and by `amanat keys rotate`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import AnyRow, Database
from amanat.kek import KekPrivate, KekPublic, RequestSecret, unwrap
from amanat.sealing import DataKey
from intake.errors import GateClosed
from intake.repository import changes, keys, restorations
from intake.service.instruments import Instruments

BATCH = 100
WAITS = 200
WAIT_S = 0.1


@dataclass(frozen=True)
class Rotated:
    """What a rotation did."""

    generation: int
    rewrapped: int
    destroyed: tuple[int, ...]


class AlreadyRotating(RuntimeError):
    """Another rotation is under way."""


class StillInUse(RuntimeError):
    """Secrets of an old generation are left; nothing was destroyed. Running it again goes on where it stopped."""


async def rotate_if_due(
    database: Database,
    kek: KekPrivate,
    public: KekPublic,
    instruments: Instruments,
    *,
    now: Callable[[], datetime],
    every: timedelta,
) -> Rotated | None:
    """Rotates if the last complete rotation is longer ago than `every`. Not while the gate is closed.

    Where none was noted yet, the generation found is the first, and its age counts from now.
    """
    async with database.transaction(()) as session:
        last = await keys.rotated_at(session)
        if last is None:
            last = now()
            await keys.begin_rotation(session, public.current(), last)
            await keys.end_rotation(session, public.current(), last)
        closed = await restorations.open_request(session) is not None
    if closed or now() - last < every:
        return None
    try:
        return await rotate(database, kek, public, instruments, now=now)
    except AlreadyRotating:
        return None


async def rotate(
    database: Database,
    kek: KekPrivate,
    public: KekPublic,
    instruments: Instruments,
    *,
    now: Callable[[], datetime],
) -> Rotated:
    """Makes a generation, rewraps every live key under it, destroys all older ones. Safe to interrupt and repeat.

    Raises StillInUse; AlreadyRotating; GateClosed after a restore, when old wraps may lead to generations that are
    gone: reopening replaces them all.
    """
    async with database.transaction(()) as alone:
        if not await keys.only_rotation(alone):
            raise AlreadyRotating
        if await restorations.open_request(alone) is not None:
            raise GateClosed
        generation = await asyncio.to_thread(kek.create)
        async with database.transaction(()) as session:
            # Whoever minted under the old generation has committed when this is granted; who comes later reads the new.
            await keys.fence_minting(session)
            await keys.begin_rotation(session, generation, now())
        rewrapped = await _rewrap_all(database, alone, kek, public, instruments, generation)
        destroyed = tuple(alive for alive in kek.generations() if alive < generation)
        for retired in destroyed:
            kek.destroy(retired)
        async with database.transaction(()) as session:
            await keys.end_rotation(session, generation, now())
    return Rotated(generation, rewrapped, destroyed)


async def _rewrap_all(
    database: Database,
    alone: AsyncSession,
    kek: KekPrivate,
    public: KekPublic,
    instruments: Instruments,
    generation: int,
) -> int:
    """Moves every live key; returns how many. Raises StillInUse."""
    rewrapped = 0
    for _ in range(WAITS):
        while moved := await _rewrap_some(database, kek, public, instruments, generation):
            rewrapped += moved
            await keys.stay(alone)
        async with database.transaction(()) as session:
            await keys.drop_unused_secrets(session, below=generation)
        async with database.transaction(()) as session:
            left = await keys.left_below(session, generation)
        if not left:
            return rewrapped
        # A withdrawal under way holds its keys and their secret a moment longer.
        await keys.stay(alone)
        await asyncio.sleep(WAIT_S)
    raise StillInUse("keys of an older generation are left")


async def _rewrap_some(
    database: Database, kek: KekPrivate, public: KekPublic, instruments: Instruments, generation: int
) -> int:
    """Moves one batch of keys; returns how many.

    Opening them takes long, so it comes before they are locked: a withdrawal waits for none of it.
    """
    async with database.transaction(()) as session:
        rows = await keys.keys_below(session, generation, BATCH)
    old = await asyncio.to_thread(_unsealed, kek, rows)
    async with database.transaction(()) as session:
        # Like everybody who mints: another rotation must not retire what this one is sealing to.
        await changes.hold_generation(session)
        unchanged = await keys.lock_unchanged(session, {row.key_id: row.secret_id for row in rows})
        secrets: dict[str, RequestSecret] = {}
        for row in rows:
            if row.key_id not in unchanged:
                continue
            # One new secret per cell and batch: an old secret is never carried over (amanat.kek).
            if row.tenant not in secrets:
                fresh = secrets[row.tenant] = RequestSecret.new(public, instruments.randomness)
                if fresh.generation < generation:
                    raise StillInUse("the public half of the new generation is not where this process reads it")
                await keys.add_secret(
                    session,
                    secret_id=fresh.secret_id,
                    tenant=row.tenant,
                    generation=fresh.generation,
                    sealed=fresh.sealed,
                )
            secret = secrets[row.tenant]
            key = DataKey(key_id=row.key_id, key=unwrap(old[row.secret_id], row.key_id, row.wrap))
            await keys.rewrap(session, row.key_id, secret.secret_id, secret.wrap(key))
    return len(unchanged)


def _unsealed(kek: KekPrivate, rows: Sequence[AnyRow]) -> dict[UUID, bytes]:
    """Each old secret, opened once."""
    sealed = {row.secret_id: (row.generation, row.sealed) for row in rows}
    return {secret_id: kek.unseal(generation, [each])[0] for secret_id, (generation, each) in sealed.items()}
