"""Custody in halves: a release and its receipt are matched, and everything else shows as a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.categories import Agency
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.records import RECORDS
from amanat.contracts.records.custody import Attestation, Counterpart
from amanat.custody import canonical_sha256
from intake.service.sweeps import sweep

from .world import CANARY, FORENSICS, KARACHI, LAB, LAHORE, LEGAL, POLICE, SADDAR, World, consent

KIT = "KIT-000123"
BESIDE = {"kind", "half", "barcode", "holder"}
"""What is told with a half and was not attested by its holder."""
TO_SADDAR = {"counterpart": {"agency": "police-link", "organisation": SADDAR}, "seal_number": "S1"}


def half(agency: str, organisation: str, **more: Any) -> Any:
    counterpart = Counterpart(agency=agency, organisation=organisation)
    return RECORDS["custody_half"](counterpart=counterpart, at=datetime.now(UTC), **more)


async def _case(world: World) -> tuple[str, dict[str, str]]:
    case, referrals = await world.open_case(consent(POLICE, "incident"), consent(FORENSICS, "incident"))
    assert (await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})).status_code == 201
    return case, referrals


async def _kit(world: World, case: str) -> dict[str, Any]:
    [kit] = (await world.get(f"/v1/cases/{case}")).json()["kits"]
    return dict(kit)


async def _sweep(world: World, *, hours: float) -> None:
    await sweep(world.gate, world.gate_access, datetime.now(UTC) + timedelta(hours=hours), world.instruments)


async def _gaps(world: World, case: str) -> list[str]:
    return [e["detail"]["gap"] for e in await world.timeline(case) if e["kind"] == "custody_gap"]


async def test_a_release_is_matched_by_the_receipt_of_whom_it_names(world: World) -> None:
    case, referrals = await _case(world)
    released = await world.post(f"/v1/kits/{KIT}/release", {**TO_SADDAR, "person_name": CANARY})
    assert released.status_code == 201
    assert (await _kit(world, case))["gaps"] == ["release_without_receipt"]
    received = KitReceived(
        referral=referrals[POLICE], barcode=KIT, half=half("intake", KARACHI, seal_intact=True, seal_number="s1 ")
    )
    await world.fact(POLICE, received)
    kit = await _kit(world, case)
    assert [(each["half"], each["matched"]) for each in kit["halves"]] == [("release", True), ("receipt", True)]
    assert kit["gaps"] == []
    assert await _gaps(world, case) == []
    assert CANARY not in str(await world.timeline(case))


async def test_a_receipt_that_is_heard_of_first_is_no_gap_once_its_release_is_known(world: World) -> None:
    case, referrals = await _case(world)
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=half("intake", KARACHI)))
    assert (await _kit(world, case))["gaps"] == ["receipt_without_release"]
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    assert (await _kit(world, case))["gaps"] == []
    await _sweep(world, hours=48)
    assert await _gaps(world, case) == []


async def test_a_release_recorded_after_its_receipt_is_a_gap(world: World) -> None:
    case, referrals = await _case(world)
    earlier = Attestation(subject="s", token_id="t", at=datetime.now(UTC) - timedelta(minutes=10))
    received = half("intake", KARACHI, attestation=earlier)
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=received))
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    assert await _gaps(world, case) == ["release_recorded_late"]


async def test_a_half_that_stays_alone_is_a_gap_on_the_timeline_once(world: World) -> None:
    case, referrals = await _case(world)
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=half("intake", KARACHI)))
    await world.post(
        f"/v1/kits/{KIT}/release", {"counterpart": {"agency": "forensics", "organisation": LAB}, "seal_number": "S1"}
    )
    await _sweep(world, hours=0)
    assert await _gaps(world, case) == []
    for _ in range(2):
        await _sweep(world, hours=1)
    assert await _gaps(world, case) == ["receipt_without_release"]
    await _sweep(world, hours=25)
    assert await _gaps(world, case) == ["receipt_without_release", "release_without_receipt"]


async def test_a_broken_seal_and_another_seals_number_are_gaps(world: World) -> None:
    case, referrals = await _case(world)
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    broken = half("intake", KARACHI, seal_intact=False, seal_number="S2")
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=broken))
    assert (await _kit(world, case))["gaps"] == ["seal_broken"]
    assert await _gaps(world, case) == ["seal_numbers_differ", "seal_broken"]


async def test_a_receipt_by_somebody_else_does_not_take_the_release(world: World) -> None:
    case, referrals = await _case(world)
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    await world.fact(FORENSICS, KitReceived(referral=referrals[FORENSICS], barcode=KIT, half=half("intake", KARACHI)))
    assert (await _kit(world, case))["gaps"] == ["receipt_without_release", "release_without_receipt"]


async def test_hand_to_hand_the_oldest_open_release_is_taken_first(world: World) -> None:
    case, referrals = await _case(world)
    for _ in range(2):
        await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=half("intake", KARACHI)))
    matched = [each["matched"] for each in (await _kit(world, case))["halves"]]
    assert matched == [True, False, True]


async def test_the_whole_way_to_the_laboratory_leaves_no_gap(world: World) -> None:
    case, referrals = await _case(world)
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    police, lab = referrals[POLICE], referrals[FORENSICS]
    await world.fact(POLICE, KitReceived(referral=police, barcode=KIT, half=half("intake", KARACHI)))
    await world.fact(POLICE, KitReleased(referral=police, barcode=KIT, half=half("forensics", LAB)))
    received = half("police-link", SADDAR, accepted=True, seal_intact=True)
    await world.fact(FORENSICS, KitReceived(referral=lab, barcode=KIT, half=received))
    kit = await _kit(world, case)
    assert len(kit["halves"]) == 4
    assert kit["gaps"] == []
    assert await world.parked() == []


async def test_a_half_on_a_closed_referral_still_takes_effect(world: World) -> None:
    case, referrals = await _case(world)
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=half("intake", KARACHI)))
    assert (await _kit(world, case))["gaps"] == []


async def test_a_half_of_a_kit_of_another_case_is_parked(world: World) -> None:
    case, _ = await _case(world)
    _, others = await world.open_case(consent(POLICE, "incident"))
    await world.fact(POLICE, KitReceived(referral=others[POLICE], barcode=KIT, half=half("intake", KARACHI)))
    assert await world.parked() == ["NeverOpened"]
    assert (await _kit(world, case))["halves"] == []


async def test_a_half_that_names_nobody_is_parked(world: World) -> None:
    case, referrals = await _case(world)
    nobody = RECORDS["custody_half"](place="a corridor")
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=nobody))
    assert await world.parked() == ["HalfWithoutCounterpart"]
    assert (await _kit(world, case))["halves"] == []


async def test_another_cells_kit_is_a_404_and_its_barcode_may_be_used_again(world: World) -> None:
    await _case(world)
    lab = {"counterpart": {"agency": "forensics", "organisation": "lab-lahore"}}
    answer = await world.post(f"/v1/kits/{KIT}/release", lab, cell=LAHORE)
    assert answer.status_code == 404
    case = (await world.post("/v1/cases", {}, cell=LAHORE)).json()["case"]
    assert (await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT}, cell=LAHORE)).status_code == 201
    assert (await world.post(f"/v1/kits/{KIT}/release", lab, cell=LAHORE)).status_code == 201


async def test_one_client_of_two_cells_with_one_barcode_is_told_so(world: World) -> None:
    await test_another_cells_kit_is_a_404_and_its_barcode_may_be_used_again(world)
    async with world.cell(KARACHI, [KARACHI, LAHORE]) as client:
        answer = await client.post(f"/v1/kits/{KIT}/release", json=TO_SADDAR, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (409, "ambiguous-kit")


async def test_a_barcode_opens_one_kit(world: World) -> None:
    case, _ = await _case(world)
    answer = await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})
    assert (answer.status_code, answer.json()["code"]) == (409, "kit-exists")


async def test_a_kit_is_announced_to_police_and_laboratory_only_while_they_share(world: World) -> None:
    _, referrals = await _case(world)
    announced = {row.referral for row in await world.outbox() if row.type.endswith("kit-announced.v1")}
    assert announced == {referrals[POLICE], referrals[FORENSICS]}


async def test_a_half_sent_again_under_its_key_is_one_attestation(world: World) -> None:
    case, _ = await _case(world)
    first = await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR, key="k")
    again = await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR, key="k")
    assert first.json() == again.json()
    assert len((await _kit(world, case))["halves"]) == 1


async def test_a_half_goes_on_to_who_may_see_the_laboratorys_part_and_never_back_to_its_holder(world: World) -> None:
    case, referrals = await world.open_case(
        consent(POLICE, "laboratory"), consent(FORENSICS, "incident"), consent(LEGAL, "laboratory")
    )
    await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})
    await world.post(f"/v1/kits/{KIT}/release", {**TO_SADDAR, "place": "Room 4"})
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=half("intake", KARACHI)))

    async def told(agency: Agency) -> list[tuple[str, str, str]]:
        parts = await world.readable(agency, referrals[agency])
        return [(part["half"], part["barcode"], part["holder"]["organisation"]) for part in parts.get("laboratory", [])]

    assert await told(POLICE) == [("release", KIT, KARACHI)]
    assert await told(LEGAL) == [("release", KIT, KARACHI), ("receipt", KIT, SADDAR)]
    assert "laboratory" not in await world.readable(FORENSICS, referrals[FORENSICS])


async def test_what_goes_on_of_a_half_leaves_its_attestation_as_it_was(world: World) -> None:
    case, referrals = await world.open_case(consent(LEGAL, "laboratory"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})
    attested = (await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)).json()
    [part] = (await world.readable(LEGAL, referrals[LEGAL]))["laboratory"]
    assert part["attestation"]["sha256"] == attested["sha256"]
    told = RECORDS["custody_half"].model_validate({k: v for k, v in part.items() if k not in BESIDE})
    assert canonical_sha256(told) == attested["sha256"]


async def test_a_half_takes_effect_although_what_it_is_shared_with_has_grown_too_large(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "laboratory"), consent(FORENSICS, "incident"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})
    await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)
    sent = len(await world.disclosed(referrals[POLICE]))
    monkeypatch.setattr("intake.service.sharing.LARGEST", 10)
    received = KitReceived(referral=referrals[FORENSICS], barcode=KIT, half=half("intake", KARACHI))
    await world.fact(FORENSICS, received)
    assert (await world.post(f"/v1/kits/{KIT}/release", TO_SADDAR)).status_code == 201
    assert await world.parked() == []
    assert len((await _kit(world, case))["halves"]) == 3
    assert len(await world.disclosed(referrals[POLICE])) == sent
    told = [entry for entry in await world.timeline(case) if entry["kind"] == "too_much_to_share"]
    assert [entry["detail"]["category"] for entry in told] == ["laboratory", "laboratory"]
