"""What agencies report takes effect at the cell, and goes on only under others' grants (laws 1 and 2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency
from amanat.clocks import due
from amanat.consent import Access
from amanat.contracts.base import Fact
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.forensics import KitReported
from amanat.contracts.legal_aid import LawyerAssigned, LegalAidDeclined
from amanat.contracts.looks import LooksReported
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged, ReferralRefused
from amanat.contracts.withdrawals import TombstoneConfirmed, TombstonesReported
from intake.changes import Changes
from intake.repository import cases, consents, facts
from intake.repository import changes as changes_repository
from intake.service import custody, looks, restoring
from intake.service.clocks import as_clock
from intake.service.documents import add_document
from intake.service.instruments import Instruments
from intake.service.loading import amend_all, load, plan_all, save, setting_of


class NeverOpened(Exception):
    """A fact on a referral that was never opened to that agency: parked, and an alarm."""


@dataclass(frozen=True)
class Effect:
    """What a fact does besides its record: the referral's progress, clocks that stop, a trigger that starts others."""

    record: str
    progress: str
    stops: tuple[str, ...] = ()
    starts: str | None = None


EFFECTS: Mapping[type[Fact], Effect] = {
    ReferralAcknowledged: Effect("acknowledgement", "acknowledged"),
    FirRegistered: Effect("fir", "fir_registered", stops=("fir",), starts="fir"),
    ReferralRefused: Effect("refusal", "refused"),
    KitReported: Effect("laboratory_report", "reported", stops=("laboratory_report",)),
    LawyerAssigned: Effect("assignment", "lawyer_assigned"),
    LegalAidDeclined: Effect("decline", "declined"),
}

CASE_ALONE = frozenset({TombstoneConfirmed.type, LooksReported.type})
"""Facts that lock their case and none of its referrals: leases wait for none of them."""


@dataclass(frozen=True)
class Coming:
    """What is known of a fact before it is opened. `agency` is the topic's."""

    agency: Agency
    type: str
    referral: str


async def hold(
    session: AsyncSession, coming: Sequence[Coming], reported: Iterable[tuple[Agency, TombstonesReported]] = ()
) -> None:
    """Locks all that these facts will change: their cases by code, then the referrals of all those cases by code.

    Left to each fact, the second's case would be taken after the first's referrals, and its referrals in no order with
    the first's: a lease of both, or another gate's batch, would wait for this one and this one for it.
    """
    located = await facts.locate(session, sorted({fact.referral for fact in coming}))
    place = {(row.agency, row.code): (row.tenant, row.case_code) for row in located}
    held = {place[fact.agency, fact.referral] for fact in coming if (fact.agency, fact.referral) in place}
    whole = {
        place[fact.agency, fact.referral]
        for fact in coming
        if fact.type not in CASE_ALONE and (fact.agency, fact.referral) in place
    }
    if whole:
        await changes_repository.hold_generation(session)
    for agency, report in reported:
        whole |= (await restoring.news(session, agency, report)).keys()
    if held | whole:
        await cases.lock_cases(session, sorted(code for _, code in held | whole))
    if whole:
        await consents.lock_referrals_of(session, sorted(whole))


async def take(
    session: AsyncSession, gate: Access, agency: Agency, fact: Fact, now: datetime, instruments: Instruments
) -> None:
    """Applies one opened and verified fact. `agency` is the topic's.

    Raises NeverOpened; a fact on a referral since closed still takes effect at the cell.
    """
    if isinstance(fact, TombstonesReported):
        await restoring.take_tombstones(session, gate, agency, fact, now, instruments)
        return
    place = await facts.find_referral(session, agency, fact.referral)
    if place is None or place.opened_at is None:
        raise NeverOpened
    if isinstance(fact, TombstoneConfirmed):
        await cases.lock_case(session, [place.tenant], place.case_code)
        changed = await consents.confirm_ending(
            session, place.tenant, fact.referral, fact.category, fact.epoch, fact.confirmed_at
        )
        if changed:
            await cases.touch_case(session, place.tenant, place.case_code)
        return
    if isinstance(fact, LooksReported):
        await looks.take(session, place.tenant, place.case_code, fact, now, instruments)
        return
    author = (agency, place.organisation)
    if isinstance(fact, KitReleased | KitReceived):
        await _take_half(session, gate, place.tenant, place.case_code, author, fact, now, instruments)
        return
    if isinstance(fact, KitReported):
        await _must_be_of_case(session, place.tenant, place.case_code, fact.barcode)
    effect = EFFECTS[type(fact)]
    record = getattr(fact, "record")  # noqa: B009 - every fact of the table has a record; the base does not
    case = await load(session, gate, [place.tenant], place.case_code, instruments)
    changes = Changes()
    document = add_document(
        changes, case.tenant, case.code, effect.record, record,
        author=author, referral=fact.referral, corrects=None, reason=None, instruments=instruments, now=now,
    )  # fmt: skip
    case.documents.append(document)
    changes.timeline.append(
        {
            "at": now,
            "kind": f"referral_{effect.progress}",
            "agency": agency,
            "organisation": place.organisation,
            "referral": fact.referral,
            "detail": {"record": str(document.record_id)},
        }
    )
    changes.state(f"referral_{effect.progress}", fact.referral, record=str(document.record_id))
    await consents.set_progress(session, case.tenant, fact.referral, effect.progress)
    if effect.stops:
        await cases.stop_clock(session, case.tenant, case.code, effect.stops, now)
    if effect.starts is not None:
        at = getattr(record, "registered_at", None) or now
        rows = due(instruments.clock_rules, effect.starts, at)
        await cases.start_clocks(
            session,
            case.tenant,
            case.code,
            [as_clock(row) for row in rows],
        )
    minter = instruments.minter()
    # A fact opens nothing new; what has expired meanwhile ends first, so that the fact does not go on under it.
    setting = setting_of(case, minter, instruments, now, opens=False, must_fit=False)
    plan_all(changes, case, setting)
    amend_all(changes, case, [document], setting)
    await save(session, case, changes, minter, instruments, now)


async def _must_be_of_case(session: AsyncSession, tenant: str, case: str, barcode: str) -> None:
    """A kit that is not this case's would put a stranger's evidence into it. Raises NeverOpened."""
    kit = await facts.find_kit(session, tenant, barcode)
    if kit is None or kit.case_code != case:
        raise NeverOpened


async def _take_half(
    session: AsyncSession,
    gate: Access,
    tenant: str,
    case: str,
    holder: tuple[Agency, str],
    fact: KitReleased | KitReceived,
    now: datetime,
    instruments: Instruments,
) -> None:
    await _must_be_of_case(session, tenant, case, fact.barcode)
    await custody.record_half(
        session, await load(session, gate, [tenant], case, instruments), barcode=fact.barcode,
        half="release" if isinstance(fact, KitReleased) else "receipt",
        holder=holder, body=fact.half, now=now, instruments=instruments,
    )  # fmt: skip
