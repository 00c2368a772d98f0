"""Generations of the key-encryption key: live keys move to a new one, the old is destroyed.

After that a database backup from before opens nothing that was withdrawn: its wraps lead to a generation that no longer
exists (law 4). Runs daily and by `amanat keys rotate`.
"""

from dataclasses import dataclass

from amanat.db import Database
from amanat.kek import KekPrivate, KekPublic, RequestSecret, unwrap
from amanat.sealing import DataKey
from intake.repository import keys
from intake.service.instruments import Instruments

BATCH = 200


@dataclass(frozen=True)
class Rotated:
    """What a rotation did."""

    generation: int
    rewrapped: int
    destroyed: tuple[int, ...]


class StillInUse(RuntimeError):
    """Secrets of an old generation are left; nothing was destroyed. Running it again goes on where it stopped."""


async def rotate(database: Database, kek: KekPrivate, public: KekPublic, instruments: Instruments) -> Rotated:
    """Makes a generation, rewraps every live key under it, destroys all older ones. Safe to interrupt and repeat.

    Raises StillInUse.
    """
    generation = kek.create()
    async with database.transaction(()) as session:
        # Whoever minted under the old generation has committed when this is granted; who comes later reads the new.
        await keys.fence_minting(session)
    rewrapped = 0
    while True:
        async with database.transaction(()) as session:
            rows = await keys.keys_below(session, generation, BATCH)
            if not rows:
                break
            secrets: dict[str, RequestSecret] = {}
            for row in rows:
                [old] = kek.unseal(row.generation, [row.sealed])
                # One new secret per cell and batch: an old secret is never carried over (amanat.kek).
                if row.tenant not in secrets:
                    fresh = secrets[row.tenant] = RequestSecret.new(public, instruments.randomness)
                    await keys.add_secret(
                        session,
                        secret_id=fresh.secret_id,
                        tenant=row.tenant,
                        generation=fresh.generation,
                        sealed=fresh.sealed,
                    )
                secret = secrets[row.tenant]
                key = DataKey(key_id=row.key_id, key=unwrap(old, row.key_id, row.wrap))
                await keys.rewrap(session, row.key_id, secret.secret_id, secret.wrap(key))
            rewrapped += len(rows)
    async with database.transaction(()) as session:
        await keys.drop_unused_secrets(session, below=generation)
    async with database.transaction(()) as session:
        if await keys.count_below(session, generation):
            raise StillInUse("keys of an older generation are left")
    destroyed = tuple(alive for alive in kek.generations() if alive < generation)
    for retired in destroyed:
        kek.destroy(retired)
    return Rotated(generation, rewrapped, destroyed)
