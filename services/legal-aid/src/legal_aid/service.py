"""What a partner does with a case: assigns a lawyer, or declines and says why."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.instruments import Instruments
from amanat.agency.recording import Act, report
from amanat.agency.schemas import Reported
from amanat.contracts.legal_aid import LawyerAssigned, LegalAidDeclined
from amanat.contracts.records import Assignment, Decline
from amanat.principal import Principal
from legal_aid.errors import AlreadyDeclined
from legal_aid.schemas import NewAssignment, NewDecline

# An assignment may follow another (counsel changes, hearings are set) or a decline (it is offered again).
ASSIGN = Act("assignment", becomes="lawyer_assigned")
DECLINE = Act("decline", becomes="declined", not_after={"declined": AlreadyDeclined})


async def assign(
    session: AsyncSession, principal: Principal, code: str, body: NewAssignment, now: datetime, instruments: Instruments
) -> Reported:
    """Names counsel and hearings. Raises NotFound."""
    record = Assignment.model_validate(body.model_dump() | {"assigned_at": body.assigned_at or now})
    fact = LawyerAssigned(referral=code, record=record)
    return await report(session, principal, code, ASSIGN, fact, record, now, instruments)


async def decline(
    session: AsyncSession, principal: Principal, code: str, body: NewDecline, now: datetime, instruments: Instruments
) -> Reported:
    """Steps back, before or after a lawyer was assigned. Raises NotFound, AlreadyDeclined."""
    record = Decline.model_validate(body.model_dump())
    fact = LegalAidDeclined(referral=code, record=record)
    return await report(session, principal, code, DECLINE, fact, record, now, instruments)
