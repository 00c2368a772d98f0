"""Signing in with a claim code and a PIN. Whoever has not both learns nothing: not whether the code exists, not whether
it is closed, not whether the PIN was near.

1. In one short transaction, held by the digest's lock: today's misses are counted, and this attempt is put on record as
   one more. So a thousand guesses at once try five PINs, and no more.
2. Argon2, always, against both hashes; of an unknown code against one that nothing matches.
3. The attempt gets its outcome, written for a miss as for a hit.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from amanat.db import AnyRow, Database
from intake.my_case.repository import sign_ins
from intake.my_case.service.pins import spelled, spelled_code
from intake.my_case.service.secret_words import Kind, bound_to
from intake.my_case.service.tools import Tools
from intake.my_case.service.visits import Visit

MISSES_A_DAY = 5
# Pakistan's standard time all year: a day ends at midnight there (as in intake.service.ages).
_LOCAL = timedelta(hours=5)
LONGEST_INPUT = 100
Outcome = Literal["hit", "miss", "duress"]


@dataclass(frozen=True)
class Claim:
    """A live claim that was proved, by a PIN or by a visit that a PIN began: the proof that a read of it asks for."""

    id: UUID
    digest: bytes
    tenant: str
    case: str

    @property
    def of(self) -> bytes:
        """What its visits are bound to."""
        return bound_to(self.digest, self.tenant, self.case)


async def sign_in(
    database: Database, code: str, pin: str, form: bytes | None, now: datetime, tools: Tools
) -> Claim | None:
    """Her claim, or None for everything else. Every attempt is on record. Raises Unavailable when too many wait.

    `form` is None where the form that was sent is none of ours: that is a miss, too.
    """
    digest = tools.claim_digest(spelled_code(code[:LONGEST_INPUT]))
    async with tools.turns.turn():
        attempt, row = await _attempt(database, digest, form, now, tools)
        hit, duress = await asyncio.to_thread(_compare, tools, digest, spelled(pin[:LONGEST_INPUT]), row)
        open_today = attempt.misses < MISSES_A_DAY and form is not None
        # Her PIN in a form that was sent before opens nothing and is no miss: the first answer may have been lost.
        outcome: Outcome = "hit" if hit and open_today else "duress" if duress and not attempt.again else "miss"
        await settle(database, digest, attempt.id, outcome)
    return _claim(row) if row is not None and outcome == "hit" and not attempt.again else None


async def visited(database: Database, visit: Visit) -> Claim | None:
    """The claim that a visit opens, while it lives and is of the same case: ending it ends its visits."""
    async with database.transaction(()) as session:
        await sign_ins.name_claim(session, visit.digest)
        row = await sign_ins.find_claim(session, visit.digest)
    claim = _claim(row) if row is not None else None
    return claim if claim is not None and visit.is_of(claim.of) else None


async def _attempt(
    database: Database, digest: bytes, form: bytes | None, now: datetime, tools: Tools
) -> tuple[sign_ins.Attempt, AnyRow | None]:
    async with database.transaction(()) as session:
        await sign_ins.hold_claim(session, digest)
        attempt = await sign_ins.add_attempt(
            session,
            digest,
            form or tools.instruments.randomness(16),
            day_of(now),
            now,
            up_to=MISSES_A_DAY,
        )
        return attempt, await sign_ins.find_claim(session, digest)


def _compare(tools: Tools, digest: bytes, pin: str, row: AnyRow | None) -> tuple[bool, bool]:
    hashes: tuple[tuple[Kind, str], ...] = (
        ("pin", row.pin_hash if row is not None else tools.words.nobodys),
        ("duress", row.duress_hash if row is not None else tools.words.nobodys),
    )
    of = bound_to(digest, row.tenant if row is not None else "", row.case_code if row is not None else "")
    hit, duress = [tools.words.matches(kind, of, pin, hashed) for kind, hashed in hashes]
    return hit, duress


async def settle(database: Database, digest: bytes, attempt: int, outcome: Outcome) -> None:
    """Writes what an attempt came to."""
    async with database.transaction(()) as session:
        await sign_ins.name_claim(session, digest)
        await sign_ins.settle(session, digest, attempt, outcome)


def day_of(now: datetime) -> datetime:
    """When today began, in Pakistan."""
    return (now + _LOCAL).replace(hour=0, minute=0, second=0, microsecond=0) - _LOCAL


def _claim(row: AnyRow) -> Claim:
    return Claim(id=row.id, digest=row.digest, tenant=row.tenant, case=row.case_code)
