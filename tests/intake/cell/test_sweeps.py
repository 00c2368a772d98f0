"""What time brings about shows on the timeline, once: clocks that ran over, and referrals that nobody took up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged
from amanat.contracts.records import RECORDS
from intake.service.sweeps import sweep

from .world import LEGAL, PARTNER, POLICE, SADDAR, World, consent

OVERDUE, SILENT = "clock_overdue", "referral_unacknowledged"
A_MOMENT = timedelta(microseconds=1)
WITHIN_A_DAY = timedelta(hours=24)
"""By when a referral is acknowledged (`amanat/law/clocks.toml`)."""


async def round_at(world: World, at: datetime) -> None:
    await sweep(world.gate, world.gate_access, at, world.instruments)


async def entries(world: World, case: str, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in await world.timeline(case) if entry["kind"] == kind]


async def due_times(world: World, case: str) -> dict[str, datetime]:
    """{clock: when it is due}"""
    shown = (await world.get(f"/v1/cases/{case}")).json()
    return {clock["kind"]: datetime.fromisoformat(clock["due_at"]) for clock in shown["clocks"]}


async def etag(world: World, case: str) -> str:
    return (await world.get(f"/v1/cases/{case}")).headers["etag"]


async def test_each_clock_that_runs_over_shows_on_the_timeline_once(world: World) -> None:
    case, _ = await world.open_case(incident={"occurred_at": (datetime.now(UTC) - timedelta(hours=30)).isoformat()})
    due = await due_times(world, case)
    first = due["hiv_prophylaxis"]
    together = {kind for kind, at in due.items() if at == first}
    earlier = {kind for kind, at in due.items() if at < first}
    assert {"anal_swab", "examination", "fir"} <= earlier
    await round_at(world, first - A_MOMENT)
    assert {entry["detail"]["clock"] for entry in await entries(world, case, OVERDUE)} == earlier
    before = await etag(world, case)
    await round_at(world, first)
    told = await entries(world, case, OVERDUE)
    assert sorted(entry["detail"]["clock"] for entry in told) == sorted(earlier | together)
    [ours] = [entry for entry in told if entry["detail"]["clock"] == "hiv_prophylaxis"]
    assert datetime.fromisoformat(ours["detail"]["due_at"]) == first
    assert datetime.fromisoformat(ours["at"]) == first
    assert (ours["agency"], ours["organisation"], ours["referral"]) == (None, None, None)
    after = await etag(world, case)
    assert after != before
    await round_at(world, first + A_MOMENT)
    assert await entries(world, case, OVERDUE) == told
    assert await etag(world, case) == after


async def test_a_clock_that_was_met_in_time_stays_silent_for_ever(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    due = await due_times(world, case)
    fir = RECORDS["fir"](fir_number="FIR 77/26", registered_at=datetime.now(UTC))
    await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=fir))
    await round_at(world, due["fir"])
    told = {entry["detail"]["clock"] for entry in await entries(world, case, OVERDUE)}
    assert told == {kind for kind, at in due.items() if at == due["fir"]} - {"fir"}
    await round_at(world, due["fir"] + timedelta(days=1))
    assert "fir" not in {entry["detail"]["clock"] for entry in await entries(world, case, OVERDUE)}


async def test_a_referral_that_nobody_acknowledged_in_a_day_shows_on_the_timeline_once(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    acknowledgement = RECORDS["acknowledgement"](received_by="A duty officer")
    told = ReferralAcknowledged(referral=referrals[POLICE], at=datetime.now(UTC), record=acknowledgement)
    await world.fact(POLICE, told)
    [row] = await world.rows("SELECT opened_at FROM referrals WHERE agency = 'legal-aid'")
    late = row.opened_at + WITHIN_A_DAY
    await round_at(world, late - A_MOMENT)
    assert await entries(world, case, SILENT) == []
    before = await etag(world, case)
    await round_at(world, late)
    [entry] = await entries(world, case, SILENT)
    assert (entry["agency"], entry["organisation"], entry["referral"]) == (LEGAL, PARTNER, referrals[LEGAL])
    assert datetime.fromisoformat(entry["detail"]["opened_at"]) == row.opened_at
    after = await etag(world, case)
    assert after != before
    for later in (A_MOMENT, timedelta(minutes=1)):
        await round_at(world, late + later)
    assert await entries(world, case, SILENT) == [entry]
    assert await etag(world, case) == after


async def test_what_was_acknowledged_or_closed_or_never_opened_is_not_missed(world: World) -> None:
    case, referrals = await world.open_case(
        consent(POLICE, "identity"),
        consent(LEGAL, "identity"),
        referrals=[{"agency": POLICE, "organisation": "station-clifton"}],
    )
    acknowledgement = RECORDS["acknowledgement"](received_by="A duty officer")
    [saddar] = await world.rows("SELECT code FROM referrals WHERE organisation = :station", station=SADDAR)
    told = ReferralAcknowledged(referral=saddar.code, at=datetime.now(UTC), record=acknowledgement)
    await world.fact(POLICE, told)
    await world.withdraw(case, await world.consent_of(case, LEGAL))
    await round_at(world, datetime.now(UTC) + timedelta(days=30))
    assert await entries(world, case, SILENT) == []
    assert len(referrals) == 2
