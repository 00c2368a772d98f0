"""What a reporting centre does with a referral: acknowledge it, register the FIR, or refuse and say why."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.instruments import Instruments
from amanat.agency.recording import Act, report
from amanat.agency.schemas import Reported
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged, ReferralRefused
from amanat.contracts.records import Acknowledgement, Fir, Refusal
from amanat.principal import Principal
from police_link.errors import AlreadyAcknowledged, AlreadyRefused, AlreadyRegistered
from police_link.schemas import NewAcknowledgement, NewFir, NewRefusal

ACKNOWLEDGE = Act(
    "acknowledgement",
    becomes="acknowledged",
    not_after={
        "acknowledged": AlreadyAcknowledged,
        "fir_registered": AlreadyAcknowledged,
        "refused": AlreadyAcknowledged,
    },
)
# A FIR needs no acknowledgement first, and may follow a refusal: whoever escalates one hopes for that.
REGISTER = Act("fir", becomes="fir_registered", not_after={"fir_registered": AlreadyRegistered})
REFUSE = Act("refusal", becomes="refused", not_after={"refused": AlreadyRefused, "fir_registered": AlreadyRegistered})


async def acknowledge(
    session: AsyncSession,
    principal: Principal,
    code: str,
    body: NewAcknowledgement,
    now: datetime,
    instruments: Instruments,
) -> Reported:
    """Takes a referral up. Raises NotFound, AlreadyAcknowledged."""
    at = body.at or now
    record = Acknowledgement.model_validate(body.model_dump() | {"at": at})
    fact = ReferralAcknowledged(referral=code, at=at, record=record)
    return await report(session, principal, code, ACKNOWLEDGE, fact, record, now, instruments)


async def register_fir(
    session: AsyncSession, principal: Principal, code: str, body: NewFir, now: datetime, instruments: Instruments
) -> Reported:
    """Reports a registered FIR, after a withdrawal too: the act stands. Raises NotFound, AlreadyRegistered."""
    record = Fir.model_validate(body.model_dump())
    fact = FirRegistered(referral=code, record=record)
    return await report(session, principal, code, REGISTER, fact, record, now, instruments)


async def refuse(
    session: AsyncSession, principal: Principal, code: str, body: NewRefusal, now: datetime, instruments: Instruments
) -> Reported:
    """Says why no FIR was registered. Raises NotFound, AlreadyRefused, AlreadyRegistered."""
    record = Refusal.model_validate(body.model_dump())
    fact = ReferralRefused(referral=code, record=record)
    return await report(session, principal, code, REFUSE, fact, record, now, instruments)
