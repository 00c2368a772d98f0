"""A kit is followed from the cell to whoever has it: halves that confirm each other are no chain by themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdf
import pytest

from amanat import verify
from amanat.categories import Agency
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.records.custody import Attestation
from amanat_local.postgres import Postgres

from .court import KIT, Court, codes, half, page
from .world import FORENSICS, KARACHI, LAB, POLICE, SADDAR, World, consent

CELL, STATION, LABORATORY = (Agency.INTAKE, KARACHI), (POLICE, SADDAR), (FORENSICS, LAB)
Holder = tuple[Agency, str]
WEEK = timedelta(days=7)


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    """A case with a kit that nobody has handed over yet."""
    case, referrals = await world.open_case(consent(POLICE, "incident"), consent(FORENSICS, "incident"))
    assert (await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})).status_code == 201
    return Court(world, migrated("intake", "intake"), case, referrals)


async def say(court: Court, way: str, holder: Holder, other: Holder, at: datetime, **more: Any) -> None:
    """One half, as its holder records it."""
    if holder == CELL:
        body = {"counterpart": {"agency": other[0], "organisation": other[1]}, "at": at.isoformat()}
        assert (await court.world.post(f"/v1/kits/{KIT}/{way}", body)).status_code == 201
        return
    fact = KitReleased if way == "release" else KitReceived
    said = half(*other, **more).model_copy(update={"at": at})
    await court.world.fact(holder[0], fact(referral=court.referrals[holder[0]], barcode=KIT, half=said))


async def hand(court: Court, giver: Holder, taker: Holder, at: datetime, takes: timedelta = timedelta(0)) -> None:
    """Both halves of one handing over."""
    await say(court, "release", giver, taker, at)
    await say(court, "receipt", taker, giver, at + takes)


async def judged(court: Court) -> tuple[dict[str, Any], dict[str, int], bytes]:
    """The kit as the bundle has it, what the verifier says of it (code → entry), and the bundle."""
    await court.checkpoint()
    _, packed = await court.made()
    verdict = verify.verify(packed, court.trusted)
    assert verdict.proven
    [kit] = page(packed, "custody.json")["kits"]
    said = {each.code: each.told.get("entry", -1) for each in verdict.proved if each.told.get("barcode") == KIT}
    assert codes(verdict.proved).count("kit") + codes(verdict.proved).count("kit_kept") <= 1
    return kit, said, packed


async def alarms(court: Court) -> list[str]:
    return [each["detail"]["gap"] for each in await court.world.timeline(court.case) if each["kind"] == "custody_gap"]


def entry_of(kit: dict[str, Any], holder: Holder, way: str) -> int:
    """The last half of this holder."""
    return int(
        [each["entry"] for each in kit["halves"] if (each["holder"]["agency"], each["half"]) == (holder[0], way)][-1]
    )


async def test_from_the_cell_to_the_laboratory_and_back_is_no_gap(court: Court) -> None:
    day = datetime.now(UTC) - WEEK
    hours = [day + timedelta(hours=number) for number in range(4)]
    await hand(court, CELL, STATION, hours[0], timedelta(minutes=30))
    await hand(court, STATION, LABORATORY, hours[1])
    await hand(court, LABORATORY, STATION, hours[2])
    await hand(court, STATION, CELL, hours[3])
    await hand(court, CELL, LABORATORY, hours[3] + timedelta(hours=1))
    kit, said, _ = await judged(court)
    assert (kit["gaps"], set(said), await alarms(court)) == ([], {"kit"}, [])


async def test_what_the_cell_never_released_was_by_no_holder_to_release(court: Court) -> None:
    await hand(court, STATION, LABORATORY, datetime.now(UTC))
    kit, said, _ = await judged(court)
    assert kit["gaps"] == ["released_by_no_holder"]
    assert said == {"gap_released_by_no_holder": entry_of(kit, STATION, "release")}
    assert await alarms(court) == ["released_by_no_holder"]


async def test_what_the_cell_gave_away_it_cannot_give_to_another(court: Court) -> None:
    now = datetime.now(UTC)
    await hand(court, CELL, STATION, now - timedelta(hours=2))
    await hand(court, CELL, LABORATORY, now - timedelta(hours=1))
    kit, said, _ = await judged(court)
    assert kit["gaps"] == ["released_by_no_holder"]
    assert said == {"gap_released_by_no_holder": entry_of(kit, CELL, "release")}
    assert await alarms(court) == ["released_by_no_holder"]


async def test_what_was_handed_on_before_it_had_come_was_by_no_holder(court: Court) -> None:
    now = datetime.now(UTC)
    await hand(court, CELL, STATION, now - timedelta(hours=1))
    await hand(court, STATION, LABORATORY, now - timedelta(hours=3))
    kit, said, _ = await judged(court)
    assert kit["gaps"] == ["released_by_no_holder"]
    assert said == {"gap_released_by_no_holder": entry_of(kit, STATION, "release")}


async def test_what_nobody_took_is_in_nobodys_hands(court: Court) -> None:
    now = datetime.now(UTC)
    await say(court, "release", CELL, STATION, now - timedelta(hours=2))
    await hand(court, STATION, LABORATORY, now - timedelta(hours=1))
    kit, said, _ = await judged(court)
    assert said == {
        "gap_release_without_receipt": entry_of(kit, CELL, "release"),
        "gap_released_by_no_holder": entry_of(kit, STATION, "release"),
    }


async def test_who_received_it_from_nobody_holds_it_and_may_hand_it_on(court: Court) -> None:
    now = datetime.now(UTC)
    await say(court, "receipt", STATION, CELL, now - timedelta(hours=2))
    await hand(court, STATION, LABORATORY, now - timedelta(hours=1))
    kit, _, _ = await judged(court)
    assert kit["gaps"] == ["receipt_without_release"]
    assert await alarms(court) == []  # not yet: the release may still be on its way to the gate


async def test_a_minute_between_two_clocks_is_no_gap(court: Court) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    await hand(court, CELL, STATION, now, timedelta(seconds=-20))
    await hand(court, STATION, LABORATORY, now - timedelta(seconds=40))
    kit, _, _ = await judged(court)
    assert kit["gaps"] == []


@pytest.mark.parametrize(("hours", "gaps"), [(23.9, []), (24.1, ["long_on_the_way"]), (7 * 24, ["long_on_the_way"])])
async def test_a_parcel_that_was_long_on_the_way_was_in_no_hand_though_it_arrived(
    court: Court, hours: float, gaps: list[str]
) -> None:
    await hand(court, CELL, STATION, datetime.now(UTC) - WEEK, timedelta(hours=hours))
    kit, said, _ = await judged(court)
    assert kit["gaps"] == gaps
    assert said == ({"gap_long_on_the_way": entry_of(kit, STATION, "receipt")} if gaps else {"kit": -1})
    assert await alarms(court) == gaps


async def test_who_writes_of_a_receipt_a_week_later_does_not_make_it_one_of_that_day(court: Court) -> None:
    then, later = datetime.now(UTC), datetime.now(UTC) + WEEK
    await say(court, "release", CELL, STATION, then)
    attestation = Attestation(subject="s", token_id="t", at=later)
    await say(court, "receipt", STATION, CELL, then, attestation=attestation)
    kit, _, _ = await judged(court)
    assert kit["gaps"] == await alarms(court) == ["long_on_the_way"]


@pytest.mark.needs("pango")
async def test_a_kit_that_was_never_handed_over_is_said_to_be_so_on_the_page_as_well(court: Court) -> None:
    kit, said, packed = await judged(court)
    assert (kit["halves"], kit["gaps"], set(said)) == ([], [], {"kit_kept"})
    reader = pypdf.PdfReader(io.BytesIO(verify.unpack(packed)[verify.PDF]))
    text = " ".join(" ".join(each.extract_text() for each in reader.pages).split())
    assert "never handed over" in text
    assert "no gap is on record" not in text
