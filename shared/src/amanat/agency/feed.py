"""A feed of referrals by arrival, for who cannot receive: operational only, so it opens nothing and makes no look."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency import repository
from amanat.agency.schemas import Feed, ReferralListed
from amanat.consent import own
from amanat.pages import Cursors
from amanat.principal import Principal


async def page(
    session: AsyncSession, principal: Principal, path: str, cursor: str | None, limit: int, cursors: Cursors
) -> Feed:
    """The organisation's referrals that arrived after the cursor. Raises BadCursor (422).

    Arrivals are numbered in the order in which they become visible to an organisation (`handlers.referral_opened`),
    so a reader that keeps `resume` misses none.
    """
    scope = f"{path} {principal.organisation}"
    after = int(cursors.decode(cursor, scope=scope)[0]) if cursor is not None else 0
    rows = await repository.arrivals(session, own(principal), after=after, limit=limit + 1)
    shown = rows[:limit]
    resume = cursors.encode((shown[-1].arrival,), scope=scope) if shown else cursor
    return Feed(
        items=tuple(
            ReferralListed(referral=row.code, state=row.state, opened_at=row.opened_at, categories=row.categories)
            for row in shown
        ),
        next=resume if len(rows) > limit else None,
        resume=resume,
    )
