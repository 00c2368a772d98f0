"""A fact older than the inbox remembers takes effect on an operator's word alone: it may be a repetition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from amanat import parked
from amanat.categories import Agency
from amanat.contracts.base import Fact
from amanat.contracts.custody import KitReceived
from amanat.contracts.looks import LooksReported, LookTold
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged
from amanat.contracts.records import RECORDS
from amanat.contracts.records.custody import Counterpart, CustodyHalf
from amanat.contracts.withdrawals import TombstoneConfirmed, TombstonesReported
from amanat.facts import FactOpener
from amanat.inbox import Inbox
from amanat.outbox import prune
from intake.handlers import NEVER_PARK, handlers
from intake.service import restoring

from .world import FORENSICS, POLICE, World, consent

FIR = RECORDS["fir"](fir_number="FIR 77/26")
ACKNOWLEDGED = RECORDS["acknowledgement"]()
FORGOTTEN = timedelta(days=61)


def _in(world: World, time: timedelta) -> Inbox:
    """The gate's inbox, so much later."""
    table = handlers(
        FactOpener.from_dir(world.keys.facts_dir, world.instruments.directory),
        world.gate_access,
        world.instruments,
        lambda: datetime.now(UTC) + time,
        remembers=timedelta(days=world.settings.inbox_retention_days),
    )
    return Inbox(world.gate, table, never_park=NEVER_PARK, tenants_of=lambda _: None)


async def _forget(world: World, time: timedelta) -> None:
    async with world.gate.transaction(()) as session:
        await prune(session, world.settings, datetime.now(UTC) + time)


async def _retry(world: World, what: str, inbox: Inbox | None = None) -> int:
    async with world.gate.transaction(()) as session:
        await parked.request_retry(session, what)
    return await parked.attend(world.gate, inbox or world.inbox)


async def _kinds(world: World, case: str) -> list[str]:
    return [record["kind"] for record in (await world.get(f"/v1/cases/{case}")).json()["records"]]


async def test_what_was_taken_down_and_sent_again_after_the_inbox_forgot_it_makes_no_second_half_and_no_gap(
    world: World,
) -> None:
    case, referrals = await world.open_case(consent(FORENSICS, "incident"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000001"})
    half = CustodyHalf(
        seal_intact=False, counterpart=Counterpart(agency=Agency.INTAKE, organisation="arcc-karachi"), at=world.now
    )
    event = await world.fact(FORENSICS, KitReceived(referral=referrals[FORENSICS], barcode="KIT-000001", half=half))
    before = await world.timeline(case)
    await _forget(world, FORGOTTEN)
    await _in(world, FORGOTTEN).process([event])
    assert await world.parked() == ["StaleFact"]
    assert len(await world.rows("SELECT 1 FROM custody_halves")) == 1
    assert await world.timeline(case) == before
    async with world.gate.transaction(()) as session:
        assert await parked.discard(session, event.event_id)
    await _in(world, FORGOTTEN).process([event])
    assert await world.parked() == []
    assert len(await world.rows("SELECT 1 FROM custody_halves")) == 1


@pytest.mark.parametrize(("days", "parks"), [(58.9, False), (59.1, True), (400, True)])
async def test_what_is_too_old_to_be_told_from_a_repetition_is_parked_and_nothing_younger(
    world: World, days: float, parks: bool
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    fact = FirRegistered(referral=referrals[POLICE], record=FIR)
    await world.inbox.process([world.sealed(POLICE, fact, age=timedelta(days=days))])
    assert await world.parked() == (["StaleFact"] if parks else [])
    assert ("fir" in await _kinds(world, case)) is not parks


async def test_what_an_agency_that_was_cut_off_sends_late_is_kept_in_its_order_and_taken_on_an_operators_word(
    world: World,
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    code = referrals[POLICE]
    first = world.sealed(
        POLICE, ReferralAcknowledged(referral=code, at=world.now, record=ACKNOWLEDGED), age=timedelta(days=80)
    )
    second = world.sealed(POLICE, FirRegistered(referral=code, record=FIR), age=timedelta(days=70))
    await world.inbox.process([first, second])
    assert await world.parked() == ["StaleFact", "ReferralParked"]
    assert await parked.attend(world.gate, world.inbox) == 0, "not without being asked"
    # What waited behind it was too old when it came as well: it is named before it is taken.
    assert await _retry(world, code) == 1
    assert await world.parked() == ["StaleFact"]
    assert await _retry(world, code) == 1
    assert await world.parked() == []
    assert await _kinds(world, case) == ["person", "incident", "acknowledgement", "fir"]


async def test_what_came_in_time_and_was_parked_for_something_else_is_not_old_however_late_it_is_tried_again(
    world: World,
) -> None:
    case, referrals = await world.open_case(referrals=[{"agency": POLICE, "organisation": "station-saddar"}])
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=FIR))
    assert await world.parked() == ["NeverOpened"]
    await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "identity"))
    await _forget(world, 2 * FORGOTTEN)
    assert await _retry(world, referrals[POLICE], _in(world, 2 * FORGOTTEN)) == 1
    assert "fir" in await _kinds(world, case)


async def test_confirmations_looks_and_tombstones_take_effect_however_old(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    code = referrals[POLICE]
    async with world.gate.transaction(()) as session:
        request = await restoring.close(session, datetime.now(UTC), world.instruments)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    look = LookTold(look_id=world.instruments.new_id(), at=world.now, categories=("identity",), purpose="investigation")
    facts: list[Fact] = [
        TombstoneConfirmed(referral=code, category="identity", epoch=1, confirmed_at=world.now),
        LooksReported(referral=code, looks=(look,)),
        TombstonesReported(request_id=request, tombstones=()),
    ]
    await world.inbox.process([world.sealed(POLICE, fact, age=timedelta(days=400)) for fact in facts])
    assert await world.parked() == []
    assert [row.confirmed_at for row in await world.rows("SELECT confirmed_at FROM shares")] == [world.now]
    assert len(await world.rows("SELECT 1 FROM agency_looks")) == 1
    async with world.gate.transaction(()) as session:
        assert POLICE in (await restoring.status(session)).answered
