"""A form that is sent again: it opens nothing, and costs a guesser no less and her no more than another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import text

from amanat_local.postgres import Postgres
from intake.my_case.repository import sign_ins
from intake.my_case.service.signing_in import MISSES_A_DAY, day_of

from ..world import World
from .test_sign_ins import tools_of

READ = text("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'sign_ins'")


async def test_an_attempt_reads_few_of_the_earlier_ones_of_its_code(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    """Else each guess would make the next one dearer, and her own sign-in with it."""
    digest, now = tools_of(world).claim_digest("M-GUESSED"), datetime.now(UTC)
    migrated("intake", "intake").sql(
        "intake",
        "INSERT INTO sign_ins (digest, form, at, outcome)"
        f" SELECT '\\x{digest.hex()}', decode(md5(n::text), 'hex'), now(), 'miss' FROM generate_series(1, 20000) n",
        "ANALYZE sign_ins",
    )
    async with world.main.transaction(()) as session:
        await sign_ins.hold_claim(session, digest)
        attempt = await sign_ins.add_attempt(session, digest, b"new", day_of(now), now, up_to=MISSES_A_DAY)
        assert (attempt.misses, attempt.again) == (MISSES_A_DAY, False)
        assert (await session.execute(READ)).scalar_one() <= 2 * MISSES_A_DAY
