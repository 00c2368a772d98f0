"""What the gate does with each fact: open it, check it, apply it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency
from amanat.consent import Access
from amanat.contracts.base import FACTS, Fact, SealedFact
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.looks import LooksReported
from amanat.contracts.withdrawals import TombstoneConfirmed, TombstonesReported
from amanat.facts import BadFact, FactOpener, StaleFact
from amanat.inbox import Handler, Hold
from amanat.received import Received
from intake.service import facts
from intake.service.instruments import Instruments

TOPICS = {f"facts.{agency}": agency for agency in (Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID)}
TAKEN = (*facts.EFFECTS, KitReleased, KitReceived, TombstoneConfirmed, TombstonesReported, LooksReported)
NEVER_PARK = frozenset({TombstoneConfirmed.type, TombstonesReported.type, LooksReported.type})
"""What may come any number of times: confirmations and looks are known by themselves, and a withdrawal taken twice is
one withdrawal."""
MARGIN = timedelta(days=1)
"""Between forgetting and refusing: no fact falls into both."""


def handlers(
    opener: FactOpener, gate: Access, instruments: Instruments, now: Callable[[], datetime], *, remembers: timedelta
) -> Mapping[str, Handler]:
    """One handler for every fact that the gate takes, by type; any other type is parked.

    `remembers` is how long the inbox knows what came: a fact that was older when it came, and would change something if
    it came twice, is parked as StaleFact, and taken when an operator has it tried again as that.
    """

    def is_stale(event: Received) -> bool:
        if event.type in NEVER_PARK or event.parked_for == StaleFact.__name__:
            return False
        return (event.parked_at or now()) - event.time > remembers - MARGIN

    async def take(session: AsyncSession, events: Sequence[Received]) -> None:
        for event in events:
            fact = _opened(opener, event)
            if is_stale(event):
                raise StaleFact
            await facts.take(session, gate, TOPICS[event.topic], fact, now(), instruments)

    return {fact.type: take for fact in FACTS.values() if fact in TAKEN}


def holding(opener: FactOpener) -> Hold:
    """Locks all that a batch changes before its first effect, so that it waits for nobody in a circle.

    A report of all tombstones names its cases inside its seal alone, and is opened here as well.
    """

    async def hold(session: AsyncSession, events: Sequence[Received]) -> None:
        coming = [facts.Coming(TOPICS[event.topic], event.type, event.referral or "") for event in events]
        reported = [
            (TOPICS[event.topic], fact)
            for event in events
            if event.type == TombstonesReported.type and isinstance(fact := _opened(opener, event), TombstonesReported)
        ]
        await facts.hold(session, coming, reported)

    return hold


def _opened(opener: FactOpener, event: Received) -> Fact:
    """Raises BadFact."""
    # The topic says whose word it is: Kafka's ACLs let only that agency write there.
    agency = TOPICS[event.topic]
    try:
        sealed = event.event()
    except ValidationError:
        raise BadFact("no sealed fact") from None
    if not isinstance(sealed, SealedFact):
        raise BadFact("no sealed fact")
    return opener.open(
        agency, sealed, event_id=event.event_id, type=event.type, referral=event.referral or "", time=event.time
    )
