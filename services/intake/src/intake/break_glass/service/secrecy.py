"""What a court's secrecy order hides from her, and until when. Everybody at the cell sees it all the same."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency, Category
from amanat.consent import Access, ended, missing_deciders
from intake.break_glass.repository import disclosures
from intake.repository import cases
from intake.service.cases import entry
from intake.service.instruments import Instruments
from intake.service.loading import load_grants

Hidden = tuple[Agency, str, Category]
"""(agency, organisation, category)"""
BY_ORDER = frozenset({"court_order", "statutory_duty"})
BASES = BY_ORDER | {"consent", "guardian"}


async def hidden_from_her(
    session: AsyncSession, access: Access, tenant: str, case: str, now: datetime, instruments: Instruments
) -> frozenset[Hidden]:
    """What she is not shown at `now`: shares that rest on nothing but disclosures under a secrecy order in force, and
    the looks that were made at them. What another valid basis opens to the same organisation is not hidden.

    Whatever became of such a disclosure (asked for, refused, ended), the order holds until its review. Lines of the
    timeline carry `secret_until` where she is not shown them before; `secret_consents` names the consents.
    """
    return await _secret(session, access, tenant, case, now, instruments, but_for=BASES)


async def under_secrecy(
    session: AsyncSession, access: Access, tenant: str, case: str, now: datetime, instruments: Instruments
) -> frozenset[Hidden]:
    """All that an order in force speaks of, also where her own consent opens the same: there her page shows the consent
    and nothing of the order. What another order that is no secret opens as well is not hidden."""
    return await _secret(session, access, tenant, case, now, instruments, but_for=BY_ORDER)


async def _secret(
    session: AsyncSession,
    access: Access,
    tenant: str,
    case: str,
    now: datetime,
    instruments: Instruments,
    *,
    but_for: frozenset[str],
) -> frozenset[Hidden]:
    secret = await disclosures.secret_disclosures(session, access, tenant, case, now)
    if not secret:
        return frozenset()
    hidden = {
        (Agency(row.agency), row.organisation, Category(category)) for row in secret for category in row.categories
    }
    under_order = {row.consent for row in secret}
    for grant in await load_grants(session, access, tenant, case, instruments):
        if (
            grant.basis in but_for
            and grant.grant_id not in under_order
            and max(grant.given_at, grant.recorded_at) <= now
            and not ended(grant, now)
            and not missing_deciders(grant, instruments.age_rules)
        ):
            hidden -= {(grant.agency, grant.organisation, category) for category in grant.categories}
    return frozenset(hidden)


async def secret_consents(
    session: AsyncSession, access: Access, tenant: str, case: str, now: datetime
) -> frozenset[UUID]:
    """The consents, by their ids, of which she is not told at `now`."""
    secret = await disclosures.secret_disclosures(session, access, tenant, case, now)
    return frozenset(row.consent for row in secret if row.consent is not None)


async def note_ended(session: AsyncSession, tenant: str, code: str, now: datetime) -> None:
    """Puts on the timeline, once, that an order's review has come: from then on she is told."""
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
