"""After a restore (DESIGN.md, "Sealing"): the gate leases nothing until agencies have said what was withdrawn since.

A backup knows nothing of the withdrawals that came after it. So the gate closes, asks each agency for all its
tombstones, and takes each that it does not know for the withdrawal that it was. Then it is reopened (`reopening`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import outbox
from amanat.categories import OUTSIDE, Agency
from amanat.consent import Access, ConsentEvent, ConsentGiven, ConsentWithdrawn
from amanat.contracts.disclosures import TombstonesRequested
from amanat.contracts.withdrawals import Tombstone, TombstonesReported
from intake.changes import Changes
from intake.repository import restorations
from intake.repository.changes import SOURCE
from intake.service.ending import load_to_end, plan_endings
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, add_event, save, setting_of

EVERYBODY = "*"
WITHDRAWABLE = frozenset({"consent", "guardian"})


class NotRequested(Exception):
    """Tombstones in answer to nothing that this gate ever asked: parked, and an alarm."""


@dataclass(frozen=True)
class Status:
    """Whether the gate is closed, since when, who answered: {agency: (tombstones, withdrawals taken)}, and of whose
    answer only pieces are here: {agency: (how many, of how many)}."""

    closed: bool
    restored_at: datetime | None
    reopened_at: datetime | None
    answered: Mapping[str, tuple[int, int]]
    partly: Mapping[str, tuple[int, int]]

    @property
    def missing(self) -> tuple[str, ...]:
        """Agencies that have not answered."""
        return tuple(sorted(agency for agency in OUTSIDE if agency not in self.answered))


async def close(session: AsyncSession, now: datetime, instruments: Instruments) -> UUID:
    """Closes the gate and asks every agency for its tombstones, in one transaction.

    Asks anew where it is closed already: the backup itself may be of a closed gate, and what agencies had answered by
    then says nothing of the withdrawals that came after it.
    """
    request_id = instruments.new_id()
    await restorations.begin(session, request_id, now)
    await restorations.skip_numbers(session)
    for agency in sorted(OUTSIDE):
        await outbox.add(
            session,
            outbox.row(
                topic=f"disclosures.{agency}",
                event=TombstonesRequested(request_id=request_id, requested_at=now),
                event_id=instruments.new_id(),
                tenant=EVERYBODY,
                seq=None,
                now=now,
                source=SOURCE,
            ),
        )
    return request_id


async def status(session: AsyncSession) -> Status:
    """How the gate stands."""
    last = await restorations.last_request(session)
    if last is None:
        return Status(False, None, None, {}, {})
    told = await restorations.answers(session, last.request_id)
    answered = {row.agency: (row.tombstones, row.applied) for row in told if row.here == row.parts}
    partly = {row.agency: (row.here, row.parts) for row in told if row.agency not in answered}
    return Status(last.reopened_at is None, last.restored_at, last.reopened_at, answered, partly)


async def take_tombstones(
    session: AsyncSession,
    gate: Access,
    agency: Agency,
    fact: TombstonesReported,
    now: datetime,
    instruments: Instruments,
) -> None:
    """Records each withdrawal that the restored database does not know, and ends what rested on it.

    Each piece of an answer takes effect as it comes, the agency counts as having answered with the last. Also after the
    gate was reopened without this agency: its tombstones still take effect. Raises NotRequested.
    """
    if await restorations.find_request(session, fact.request_id) is None:
        raise NotRequested
    by_case = await news(session, agency, fact)
    for tenant, code in sorted(by_case):
        await _take_of_case(session, gate, tenant, code, by_case[tenant, code], now, instruments)
    piece = (fact.answer_id or fact.request_id, fact.part or 1, fact.parts or 1)
    taken = sum(map(len, by_case.values()))
    await restorations.note_part(session, fact.request_id, agency, piece, now, len(fact.tombstones), taken)


async def news(
    session: AsyncSession, agency: Agency, fact: TombstonesReported
) -> Mapping[tuple[str, str], Sequence[Tombstone]]:
    """The tombstones that are not on record here, by (tenant, case). Locks nothing; none becomes news later."""
    found = {row.code: row for row in await restorations.locate(session, agency, [t.referral for t in fact.tombstones])}
    ended = {
        (row.referral, row.category, row.epoch): row.ended_at
        for row in await restorations.ended_shares(session, list(found))
    }
    by_case: dict[tuple[str, str], list[Tombstone]] = defaultdict(list)
    for tombstone in fact.tombstones:
        # A referral that the restored database never heard of has no key either: nothing of it will be leased.
        place = found.get(tombstone.referral)
        if place is not None and place.organisation == tombstone.organisation and not _is_known(tombstone, ended):
            by_case[place.tenant, place.case_code].append(tombstone)
    return by_case


async def _take_of_case(
    session: AsyncSession,
    gate: Access,
    tenant: str,
    code: str,
    tombstones: Collection[Tombstone],
    now: datetime,
    instruments: Instruments,
) -> None:
    case = await load_to_end(session, gate, [tenant], code, instruments)
    changes = Changes()
    reported = {(tombstone.referral, tombstone.category) for tombstone in tombstones}
    for tombstone in tombstones:
        for event in _withdrawals(case, tombstone):
            add_event(case, changes, event, instruments, now)
        await restorations.raise_floor(session, tenant, tombstone.referral, tombstone.epoch)
        referral = case.referral(tombstone.referral)
        if referral is None:
            continue
        case.replace(replace(referral, epoch_floor=max(referral.epoch_floor, tombstone.epoch)))
        changes.timeline.append(
            {
                "at": now,
                "kind": "withdrawal_recovered",
                "agency": referral.agency,
                "organisation": referral.organisation,
                "referral": referral.code,
                "detail": {"category": tombstone.category, "withdrawn_at": tombstone.withdrawn_at.isoformat()},
            }
        )
        changes.state("withdrawal_recovered", referral.code, category=tombstone.category.value, epoch=tombstone.epoch)
    minter = instruments.minter()
    setting = setting_of(case, minter, instruments, now, opens=False)
    plan_endings(changes, case, setting, lambda referral, share: (referral.code, share.category) in reported)
    await save(session, case, changes, minter, instruments, now)


def _withdrawals(case: LoadedCase, tombstone: Tombstone) -> list[ConsentEvent]:
    """What the tombstone was. A category ends with its *last* basis: a court order of before then had ended too, and
    no withdrawal by recipient reaches it."""
    referral = case.referral(tombstone.referral)
    if referral is None:
        return []
    withdrawal = ConsentWithdrawn(
        agency=referral.agency,
        organisation=referral.organisation,
        categories=frozenset({tombstone.category}),
        withdrawn_at=tombstone.withdrawn_at,
    )
    others = [
        withdrawal.model_copy(update={"consent_id": event.consent_id})
        for event in case.events
        if isinstance(event, ConsentGiven)
        and event.terms.basis not in WITHDRAWABLE
        and (event.terms.recipient.agency, event.terms.recipient.organisation)
        == (referral.agency, referral.organisation)
        and tombstone.category in event.terms.categories
        and event.recorded_at <= tombstone.withdrawn_at
    ]
    return [withdrawal, *others]


def _is_known(tombstone: Tombstone, ended: Mapping[tuple[str, str, int], datetime]) -> bool:
    """Whether this epoch's end is on record here, and not only because reopening ended it later."""
    at = ended.get((tombstone.referral, tombstone.category, tombstone.epoch))
    return at is not None and at <= tombstone.withdrawn_at
