"""What forensics does on each event of the gate: what every agency does, and a parcel that waited for its kit."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.handlers import Hooks, build
from amanat.agency.instruments import Instruments
from amanat.inbox import Handler
from forensics import service


def handlers(instruments: Instruments, now: Callable[[], datetime]) -> Mapping[str, Handler]:
    """The table from event type to effect."""

    async def match(session: AsyncSession, referral: str, organisation: str, barcode: str, at: datetime) -> None:
        await service.match_parcels(session, referral, organisation, barcode, at, instruments)

    return build(instruments, now, Hooks(kit_announced=(match,)))
