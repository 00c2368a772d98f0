"""Keys that were leased and no look of anybody: an alarm, once, and never where somebody did look."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from intake.service import looks as looks_service
from intake.service.looks import CLOCKS_APART, LOOK_FOLLOWS, patience
from intake.service.sweeps import sweep

from .looking import IDENTITY, look, tell
from .world import LEGAL, POLICE, SADDAR, World, consent

ALARM, LATE = "opened_not_accounted_for", "accounted_for_late"


async def alarms(world: World, case: str) -> list[dict[str, Any]]:
    return [entry for entry in await world.timeline(case) if entry["kind"] in {ALARM, LATE}]


async def round_at(world: World, at: datetime, **more: Any) -> None:
    await sweep(world.gate, world.gate_access, at, world.instruments, **more)


async def leased(world: World, referral: str) -> Any:
    """A lease just given, as it is on record."""
    assert (await world.leased(POLICE, referral))["keys"]
    return (await world.rows("SELECT * FROM leases ORDER BY at DESC"))[0]


async def test_a_lease_without_a_look_is_an_alarm_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    lease = await leased(world, referrals[POLICE])
    await round_at(world, lease.at + LOOK_FOLLOWS - timedelta(seconds=1))
    assert await alarms(world, case) == []
    counted = looks_service._UNACCOUNTED.labels("police-link")._value.get()
    for minutes in (5, 6, 600):
        await round_at(world, lease.at + timedelta(minutes=minutes))
    [alarm] = await alarms(world, case)
    assert (alarm["kind"], alarm["agency"], alarm["organisation"], alarm["referral"]) == (
        ALARM, "police-link", SADDAR, referrals[POLICE],
    )  # fmt: skip
    assert alarm["detail"]["lease"] == str(lease.id)
    assert alarm["detail"]["categories"] == ["identity", "incident"]
    assert looks_service._UNACCOUNTED.labels("police-link")._value.get() == counted + 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if "lease_not_accounted_for" in line]
    assert str(lease.id) in line
    assert case not in line
    assert referrals[POLICE] not in line


async def test_the_alarm_makes_the_case_new(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    etag = (await world.get(f"/v1/cases/{case}")).headers["etag"]
    await round_at(world, lease.at + LOOK_FOLLOWS)
    assert (await world.get(f"/v1/cases/{case}", If_None_Match=etag)).status_code == 200


@pytest.mark.parametrize(
    "after",
    [timedelta(seconds=0.2), -CLOCKS_APART, timedelta(seconds=29), LOOK_FOLLOWS],
    ids=["at once", "by a clock that is behind", "at the end of a cached lease", "at the end of the longest lease"],
)
async def test_a_look_accounts_for_its_lease(world: World, after: timedelta) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    await tell(world, referrals[POLICE], look(lease.at + after, IDENTITY))
    await round_at(world, lease.at + timedelta(days=1))
    assert await alarms(world, case) == []


async def test_many_looks_may_rest_on_one_lease_and_several_leases_on_one_look(world: World) -> None:
    """Two processes of one service hold a lease each; one officer reads."""
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    first, second = await leased(world, referrals[POLICE]), await leased(world, referrals[POLICE])
    moments = [second.at + timedelta(seconds=seconds) for seconds in (0, 10, 20)]
    await tell(world, referrals[POLICE], *(look(at, IDENTITY) for at in moments))
    await round_at(world, first.at + timedelta(days=1))
    assert await alarms(world, case) == []
    assert {row.accounted_at is None for row in await world.rows("SELECT accounted_at FROM leases")} == {False}


async def test_a_look_that_was_told_before_the_lease_came_accounts_for_it_where_clocks_may_differ(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    await tell(world, referrals[POLICE], look(datetime.now(UTC), IDENTITY))
    lease = await leased(world, referrals[POLICE])
    await round_at(world, lease.at + LOOK_FOLLOWS)
    assert await alarms(world, case) == []


@pytest.mark.parametrize("after", [LOOK_FOLLOWS + timedelta(minutes=1), -timedelta(minutes=1)])
async def test_a_look_at_another_time_accounts_for_nothing(world: World, after: timedelta) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    await tell(world, referrals[POLICE], look(lease.at + after, IDENTITY))
    await round_at(world, lease.at + LOOK_FOLLOWS)
    assert [entry["kind"] for entry in await alarms(world, case)] == [ALARM]


async def test_a_look_at_another_referral_accounts_for_nothing(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    lease = await leased(world, referrals[POLICE])
    await tell(world, referrals[LEGAL], look(lease.at, IDENTITY), agency=LEGAL)
    await round_at(world, lease.at + LOOK_FOLLOWS)
    assert [entry["agency"] for entry in await alarms(world, case)] == ["police-link"]


async def test_a_look_that_is_told_after_the_alarm_is_shown_as_late_once(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    await round_at(world, lease.at + LOOK_FOLLOWS)
    for _ in range(2):
        await tell(world, referrals[POLICE], look(lease.at + timedelta(seconds=1), IDENTITY))
    await round_at(world, lease.at + timedelta(days=1))
    alarm, late = await alarms(world, case)
    assert (alarm["kind"], late["kind"]) == (ALARM, LATE)
    assert late["detail"] == alarm["detail"]
    assert (late["agency"], late["organisation"], late["referral"]) == ("police-link", SADDAR, referrals[POLICE])


async def test_a_lease_of_a_referral_that_was_closed_since_is_asked_about_all_the_same(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    await world.withdraw(case, await world.consent_of(case, POLICE))
    await round_at(world, lease.at + LOOK_FOLLOWS)
    assert [entry["kind"] for entry in await alarms(world, case)] == [ALARM]


async def test_what_a_gate_was_not_there_to_hear_is_not_missed_before_it_has_listened(world: World) -> None:
    """A gate that comes back after an hour finds leases from before it went, whose looks still lie in Kafka."""
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    back = lease.at + timedelta(hours=1)
    await round_at(world, back, listening_since=back)
    assert await alarms(world, case) == []
    await round_at(world, back + LOOK_FOLLOWS, listening_since=back)
    assert len(await alarms(world, case)) == 1


async def test_where_leases_last_longer_a_look_at_their_end_has_the_time_to_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert patience(world.instruments) == LOOK_FOLLOWS
    monkeypatch.setattr(type(world.instruments), "lease_of", lambda *_: 300.0)
    assert patience(world.instruments) == timedelta(minutes=6)


async def test_one_round_takes_more_cases_than_a_page_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake.service.sweeps.BATCH", 2)
    opened = [await world.open_case(consent(POLICE, "identity")) for _ in range(5)]
    for _, referrals in opened:
        lease = await leased(world, referrals[POLICE])
    await round_at(world, lease.at + LOOK_FOLLOWS)
    assert [len(await alarms(world, case)) for case, _ in opened] == [1] * 5


async def test_neither_look_nor_alarm_names_who_it_was(world: World) -> None:
    """By office, not by officer: what the agency's ledger has of the person stays there."""
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    lease = await leased(world, referrals[POLICE])
    await round_at(world, lease.at + LOOK_FOLLOWS)
    await tell(world, referrals[POLICE], look(lease.at, IDENTITY))
    [row] = await world.rows("SELECT * FROM agency_looks")
    assert set(row._mapping) == {
        "id", "tenant", "case_code", "referral", "look_id", "at", "categories", "purpose", "received_at",
    }  # fmt: skip
    entries = await alarms(world, case)
    assert {name for entry in entries for name in entry["detail"]} == {"lease", "leased_at", "categories"}
    assert lease.client not in json.dumps(entries)
