"""She takes something back: the key is gone in that transaction, for that agency and category, and for nothing else."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from amanat.contracts.disclosures import CategoryWithdrawn
from amanat.contracts.withdrawals import TombstoneConfirmed
from amanat_local.postgres import Postgres
from intake.repository import keys as key_repository
from intake.service import withdrawals
from intake.service.sweeps import sweep

from .world import FORENSICS, LEGAL, POLICE, SADDAR, World, body_of, consent, principal


async def _keys(world: World, referral: str) -> list[str]:
    rows = await world.rows("SELECT category FROM keys WHERE referral = :r ORDER BY category", r=referral)
    return [row.category for row in rows]


async def test_a_withdrawn_category_is_gone_and_the_others_stay(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "incident"))
    answer = await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    assert answer.status_code == 200
    assert await _keys(world, referrals[POLICE]) == ["identity"]
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}
    assert set(await world.readable(LEGAL, referrals[LEGAL])) == {"incident"}
    [ending] = answer.json()["endings"]
    assert (ending["agency"], ending["category"], ending["confirmed_at"]) == ("police-link", "incident", None)
    assert ending["closed_no_later_than"] is not None


async def test_the_tombstone_goes_out_with_the_raised_consent_version(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    before = (await world.leased(POLICE, referrals[POLICE]))["consent_version"]
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    after = (await world.leased(POLICE, referrals[POLICE]))["consent_version"]
    [tombstone] = [row for row in await world.outbox(referrals[POLICE]) if row.type == CategoryWithdrawn.type]
    told = body_of(tombstone)
    assert (told["category"], told["epoch"], told["organisation"]) == ("incident", 1, SADDAR)
    assert told["consent_version"] == after > before
    assert tombstone.cancelled_at is None


async def test_disclosures_not_yet_published_are_cancelled_and_published_ones_are_not(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    async with world.gate.transaction(()) as session:
        await session.execute(text("UPDATE outbox SET published_at = now() WHERE category = 'identity'"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    cancelled = {row.category: row.cancelled_at is not None for row in await world.outbox(referrals[POLICE])
                 if row.type.endswith("category-disclosed.v1")}  # fmt: skip
    assert cancelled == {"identity": False, "incident": True}


async def test_another_consent_to_the_same_category_keeps_the_key(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    await world.order(case, POLICE, "incident")
    shown = (await world.get(f"/v1/cases/{case}/consents")).json()["consents"]
    [hers] = [each["consent"] for each in shown if each["basis"] == "consent"]
    answer = (await world.withdraw(case, hers)).json()
    assert answer["still_shared"] == ["incident"]
    assert [ending["category"] for ending in answer["endings"]] == ["identity"]
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"incident"}


async def test_a_withdrawal_repeated_changes_nothing(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    hers = await world.consent_of(case, POLICE)
    first = await world.withdraw(case, hers, "incident")
    etag = (await world.get(f"/v1/cases/{case}")).headers["etag"]
    sent, events = len(await world.outbox()), await world.rows("SELECT id FROM consent_events ORDER BY id")
    again = await world.withdraw(case, hers, "incident")
    assert again.json() == first.json()
    assert len(await world.outbox()) == sent
    assert await world.rows("SELECT id FROM consent_events ORDER BY id") == events
    assert (await world.get(f"/v1/cases/{case}")).headers["etag"] == etag
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_many_withdrawals_at_once_end_one_epoch_once(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    hers = await world.consent_of(case, POLICE)
    answers = await asyncio.gather(*(world.withdraw(case, hers) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    tombstones = [row for row in await world.outbox(referrals[POLICE]) if row.type == CategoryWithdrawn.type]
    assert sorted(row.category for row in tombstones) == ["identity", "incident"]


async def test_a_withdrawal_needs_no_key_encryption_key(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    hers = await world.consent_of(case, POLICE)
    away = world.keys.kek_public.with_name("away")
    os.rename(world.keys.kek_public, away)
    try:
        answer = await world.withdraw(case, hers)
    finally:
        os.rename(away, world.keys.kek_public)
    assert answer.status_code == 200
    assert await _keys(world, referrals[POLICE]) == []


async def test_a_withdrawal_does_not_wait_for_a_rotation(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    hers = await world.consent_of(case, POLICE)
    async with world.gate.transaction(()) as session:
        await key_repository.fence_minting(session)
        answer = await asyncio.wait_for(world.withdraw(case, hers), 3)
    assert answer.status_code == 200
    assert await _keys(world, referrals[POLICE]) == []


async def test_a_new_consent_starts_a_new_epoch_and_never_revives_the_old(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    first = await world.leased(POLICE, referrals[POLICE])
    await world.withdraw(case, await world.consent_of(case, POLICE))
    await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "identity"))
    second = await world.leased(POLICE, referrals[POLICE])
    assert [key["epoch"] for key in first["keys"]] == [1]
    assert [key["epoch"] for key in second["keys"]] == [2]
    assert not {key["key_id"] for key in first["keys"]} & {key["key_id"] for key in second["keys"]}
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_a_consent_withdrawn_by_its_id_is_not_revived_by_a_court_order_for_another_category(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    await world.order(case, POLICE, "incident")
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"incident"}


async def test_the_agencys_word_sets_when_it_was_confirmed(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    at = datetime.now(UTC)
    fact = TombstoneConfirmed(referral=referrals[POLICE], category="identity", epoch=1, confirmed_at=at)
    await world.fact(POLICE, fact)
    await world.fact(POLICE, fact.model_copy(update={"confirmed_at": at + timedelta(hours=1)}))
    shown = (await world.get(f"/v1/cases/{case}/consents")).json()
    [ending] = shown["endings"]
    assert datetime.fromisoformat(ending["confirmed_at"]) == at
    assert ending["closed_no_later_than"] is None
    assert shown["consents"][0]["valid"] is False


async def test_no_other_agency_confirms_in_its_place(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    fact = TombstoneConfirmed(referral=referrals[POLICE], category="identity", epoch=1, confirmed_at=datetime.now(UTC))
    await world.fact(FORENSICS, fact)
    assert (await world.get(f"/v1/cases/{case}/consents")).json()["endings"][0]["confirmed_at"] is None
    assert await world.parked() == ["NeverOpened"]


async def test_what_was_taken_back_before_it_was_sent_tells_nobody_that_there_was_a_case(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(FORENSICS, "incident"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000007"})
    await world.withdraw(case, await world.consent_of(case, POLICE))
    left = {row.type.split(".")[2] for row in await world.outbox(referrals[POLICE]) if row.cancelled_at is None}
    assert left == {"category-withdrawn"}
    others = {row.type.split(".")[2] for row in await world.outbox(referrals[FORENSICS]) if row.cancelled_at is None}
    assert others == {"referral-opened", "category-disclosed", "kit-announced"}
    await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "identity"))
    again = [row.type.split(".")[2] for row in await world.outbox(referrals[POLICE]) if row.cancelled_at is None]
    assert again == ["category-withdrawn", "referral-opened", "kit-announced", "category-disclosed"]


async def test_an_expired_consent_ends_as_a_withdrawal_does(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    case, referrals = await world.open_case(
        consent(POLICE, "identity", expires_at=soon.isoformat()), consent(POLICE, "incident")
    )
    await sweep(world.gate, world.gate_access, soon - timedelta(seconds=1), world.instruments)
    assert await _keys(world, referrals[POLICE]) == ["identity", "incident"]
    await sweep(world.gate, world.gate_access, soon, world.instruments)
    assert await _keys(world, referrals[POLICE]) == ["incident"]
    [tombstone] = [row for row in await world.outbox(referrals[POLICE]) if row.type == CategoryWithdrawn.type]
    assert body_of(tombstone)["category"] == "identity"
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"][0]["category"] == "incident"
    sent = len(await world.outbox())
    await sweep(world.gate, world.gate_access, soon, world.instruments)
    assert len(await world.outbox()) == sent
    assert "category_ended" in {entry["kind"] for entry in await world.timeline(case)}


async def test_nothing_goes_out_under_a_consent_that_expired_before_its_sweep(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    case, referrals = await world.open_case(consent(FORENSICS, "incident", expires_at=soon.isoformat()))
    before = len(await world.disclosed(referrals[FORENSICS]))
    await asyncio.sleep(1.1)
    await world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"acts": ["another"]}})
    await world.post(f"/v1/cases/{case}/kits", {"barcode": "KIT-000009"})
    assert len(await world.disclosed(referrals[FORENSICS])) < before + 1
    assert not [row for row in await world.outbox() if row.type.endswith("kit-announced.v1")]


@pytest.mark.parametrize("at_once", [100, 1])
async def test_a_case_that_cannot_be_settled_keeps_no_other_from_ending(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("intake.service.sweeps.BATCH", at_once)
    soon = datetime.now(UTC) + timedelta(minutes=5)
    cases = [await world.open_case(consent(POLICE, "identity", expires_at=soon.isoformat())) for _ in range(3)]
    spoilt = cases[0][1][POLICE]
    await asyncio.to_thread(
        postgres.sql, "intake", f"UPDATE shares SET category = 'no-category' WHERE referral = '{spoilt}'"
    )
    await sweep(world.gate, world.gate_access, soon, world.instruments)
    left = await world.rows("SELECT referral FROM keys")
    assert [row.referral for row in left] == [spoilt]


async def test_a_consent_recorded_by_a_process_whose_clock_runs_ahead_does_not_end_here(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    hers = await world.consent_of(case, LEGAL)
    behind = datetime.now(UTC) - timedelta(minutes=2)
    body = withdrawals.schemas.Withdrawal()
    async with world.main.transaction(("arcc-karachi",)) as session:
        await withdrawals.withdraw(session, principal(), case, UUID(hers), body, behind, world.instruments)
    assert await _keys(world, referrals[LEGAL]) == []
    assert await _keys(world, referrals[POLICE]) == ["identity"]


@pytest.mark.parametrize("who", ["arcc-lahore", "arcc-karachi"])
async def test_an_unknown_consent_and_a_foreign_case_are_one_404(world: World, who: str) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    hers = await world.consent_of(case, POLICE)
    answer = await world.withdraw(case, hers if who == "arcc-lahore" else str(uuid4()), cell=who)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_category_that_is_not_in_the_named_consent_is_no_withdrawal(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "incident"), consent(FORENSICS, "examination"))
    answer = await world.withdraw(case, await world.consent_of(case, POLICE), "examination")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "/categories", "code": "not-in-consent", "message": "not in this consent"}
    ]


async def test_an_old_consent_written_down_again_revives_nothing(world: World) -> None:
    given = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    case, referrals = await world.open_case(consent(POLICE, "incident", given_at=given))
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    again = await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "incident", "identity", given_at=given))
    assert again.status_code == 422
    assert again.json()["errors"][0]["code"] == "withdrawn-since"
    assert await world.readable(POLICE, referrals[POLICE]) == {}
    asked_anew = await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "incident"))
    assert asked_anew.status_code == 201
