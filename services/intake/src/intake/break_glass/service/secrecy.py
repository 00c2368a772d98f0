"""What rests on a court's secrecy order, and until when. Everybody at the cell sees it all the same."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Category
from amanat.consent import Access, ConsentEvent, ConsentGiven, GrantTerms, Recipient
from intake.break_glass.repository import disclosures
from intake.my_case.service.calls import owe
from intake.repository import cases
from intake.service.cases import entry
from intake.service.instruments import Instruments

UNREAD_REFERENCE = "unread"
"""What stands for the reference of an order whose own row is not opened for it; a grant without any is not valid."""


async def secret_consents(
    session: AsyncSession, access: Access, tenant: str, case: str, now: datetime
) -> frozenset[UUID]:
    """The consents, by their ids, of which she is not told at `now`: of approved disclosures under an order in force.
    They stay secret when they have ended; what was only asked for, refused or lapsed opened nothing to be hidden.

    What of her page follows from them, `intake.my_case.service.keeping` says. Lines of the timeline carry
    `secret_until` where she is not shown them before.
    """
    secret = await disclosures.secret_disclosures(session, access, tenant, case, now)
    return frozenset(row.consent for row in secret if row.consent is not None)


async def secret_orders_besides(
    session: AsyncSession,
    access: Access,
    tenant: str,
    case: str,
    now: datetime,
    secret: Collection[UUID],
    events: Collection[ConsentEvent],
) -> list[ConsentEvent]:
    """The consents of `secret` that are not among `events`, as the rows of their orders tell of them: an order must not
    come to light because its consent does not open."""
    there = {event.consent_id for event in events if isinstance(event, ConsentGiven)}
    return [
        ConsentGiven(
            consent_id=row.consent,
            terms=GrantTerms(
                recipient=Recipient(agency=row.agency, organisation=row.organisation),
                categories=frozenset(Category(each) for each in row.categories),
                basis=row.basis,
                basis_reference=UNREAD_REFERENCE,
                expires_at=row.expires_at,
            ),
            age_years=None,
            recorded_at=row.decided_at,
        )
        for row in await disclosures.secret_disclosures(session, access, tenant, case, now)
        if row.consent in secret and row.consent not in there
    ]


async def note_ended(session: AsyncSession, tenant: str, code: str, now: datetime, instruments: Instruments) -> None:
    """Puts on the timeline, once, that an order's review has come: from then on she is told, on her page and by a call
    for what was disclosed."""
    if await cases.lock_case(session, [tenant], code) is None:
        return
    rows = await disclosures.note_ended_secrecy(session, tenant, code, now)
    if rows:
        await cases.touch_case(session, tenant, code)
        lines = [
            {
                **entry(now, "secrecy_ended", disclosure=str(row.id)),
                "agency": row.agency,
                "organisation": row.organisation,
            }
            for row in rows
        ]
        await cases.add_timeline(session, tenant, code, lines)
        for _ in await disclosures.approved_of(session, tenant, [row.id for row in rows]):
            await owe(session, tenant, code, "disclosed_outside", instruments.new_id(), now)
