"""What time brings about here: reviews that are overdue, disclosures that nobody decided, secrecy that ends."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from intake.break_glass.repository import disclosures, emergencies
from intake.break_glass.service import decisions, reviews, secrecy
from intake.service.instruments import Instruments

BATCH = 100
Find = Callable[[AsyncSession, int], Awaitable[Sequence[tuple[str, str]]]]
Step = Callable[[AsyncSession, str, str], Awaitable[None]]


def steps(now: datetime, instruments: Instruments) -> Sequence[tuple[str, Find, Step]]:
    """(name, find, step) of each, for the gate's sweep: a page of (tenant, case), then each case by itself."""

    async def unreviewed(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await emergencies.cases_with_unreviewed(session, now, BATCH, skip)

    async def note_unreviewed(session: AsyncSession, tenant: str, code: str) -> None:
        await reviews.note_unreviewed(session, tenant, code, now)

    async def undecided(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await disclosures.cases_with_lapsed(session, now, BATCH, skip)

    async def lapse(session: AsyncSession, tenant: str, code: str) -> None:
        await decisions.lapse(session, tenant, code, now, instruments)

    async def no_longer_secret(session: AsyncSession, skip: int) -> Sequence[tuple[str, str]]:
        return await disclosures.cases_with_ended_secrecy(session, now, BATCH, skip)

    async def note_ended(session: AsyncSession, tenant: str, code: str) -> None:
        await secrecy.note_ended(session, tenant, code, now, instruments)

    return (
        ("emergency reviews", unreviewed, note_unreviewed),
        ("disclosures outside", undecided, lapse),
        ("secrecy", no_longer_secret, note_ended),
    )
