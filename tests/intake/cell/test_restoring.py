"""After a restore the gate leases nothing until agencies have told what was withdrawn since the backup."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from amanat.categories import Agency
from amanat.codes import new_code
from amanat.contracts.disclosures import CategoryWithdrawn, TombstonesRequested
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged
from amanat.contracts.records import RECORDS
from amanat.contracts.withdrawals import Tombstone, TombstonesReported
from intake.service import reopening, restoring

from .world import FORENSICS, LEGAL, POLICE, World, body_of, consent

AGENCIES = (POLICE, FORENSICS, LEGAL)


def _now() -> datetime:
    return datetime.now(UTC)


async def _close(world: World) -> UUID:
    async with world.gate.transaction(()) as session:
        return await restoring.close(session, _now(), world.instruments)


async def _reopen(world: World, *without: str) -> int:
    return (await reopening.reopen(world.gate, world.gate_access, _now, world.instruments, without)).restarted


async def _answer(world: World, request: UUID, agency: Agency, tombstones: Sequence[Tombstone] = ()) -> None:
    await world.fact(agency, TombstonesReported(request_id=request, tombstones=tuple(tombstones)))


def _held(rows: Sequence[Any]) -> list[Tombstone]:
    """What an agency keeps of these tombstones."""
    told = [body_of(row) for row in rows if row.type == CategoryWithdrawn.type]
    names = ("referral", "organisation", "category", "epoch", "withdrawn_at")
    return [Tombstone(**{name: each[name] for name in names}) for each in told]


@pytest.fixture
def backups(world: World, postgres: Any) -> Any:
    """`take()` copies the database; `restore()` puts the copy in its place, as a dump would."""
    tables = (
        "cases", "case_index", "records", "consent_events", "referrals", "shares", "request_secrets", "keys", "leases",
        "kits", "clocks", "timeline", "outbox", "restorations", "restoration_answers", "rotations", "inbox",
    )  # fmt: skip

    class Backups:
        def take(self) -> None:
            postgres.sql(
                "intake",
                "DROP SCHEMA IF EXISTS backup CASCADE",
                "CREATE SCHEMA backup",
                *(f"CREATE TABLE backup.{table} AS TABLE public.{table}" for table in tables),
            )

        def restore(self) -> None:
            postgres.sql(
                "intake",
                "TRUNCATE " + ", ".join(tables) + " CASCADE",
                *(f"INSERT INTO public.{t} OVERRIDING SYSTEM VALUE TABLE backup.{t}" for t in tables),
            )

    yield Backups()
    postgres.sql("intake", "DROP SCHEMA IF EXISTS backup CASCADE")


async def test_a_closed_gate_answers_503_and_never_an_empty_lease(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    await _close(world)
    for code in (referrals[POLICE], "P-0000-0000-0"):
        answer = await world.lease(POLICE, code)
        assert (answer.status_code, answer.json()["code"]) == (503, "gate-closed")
        assert answer.headers["Retry-After"]
    assert await world.rows("SELECT 1 FROM leases") == []


async def test_closing_asks_every_agency(world: World) -> None:
    request = await _close(world)
    rows = await world.outbox("*")
    assert {row.topic for row in rows} == {f"disclosures.{agency}" for agency in AGENCIES}
    assert {row.type for row in rows} == {TombstonesRequested.type}
    assert {body_of(row)["request_id"] for row in rows} == {str(request)}


async def test_a_backup_of_a_closed_gate_is_asked_about_anew(world: World) -> None:
    """What agencies had answered when it was taken says nothing of what was withdrawn after it."""
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    request = await _close(world)
    for agency in AGENCIES:
        await _answer(world, request, agency)
    again = await _close(world)
    asked = [body_of(row)["request_id"] for row in await world.outbox("*")]
    assert asked.count(str(again)) == len(AGENCIES)
    with pytest.raises(reopening.Unanswered) as refused:
        await _reopen(world)
    assert refused.value.agencies == set(AGENCIES)
    await _answer(world, request, POLICE)  # late, and to the question before: it takes effect, and answers nothing
    with pytest.raises(reopening.Unanswered):
        await _reopen(world)
    assert (await world.lease(POLICE, referrals[POLICE])).status_code == 503
    for agency in AGENCIES:
        await _answer(world, again, agency)
    assert await _reopen(world) == 1


async def test_it_stays_closed_until_all_three_have_answered(world: World) -> None:
    with pytest.raises(reopening.StillOpen):
        await _reopen(world)
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    request = await _close(world)
    for number, agency in enumerate(AGENCIES):
        with pytest.raises(reopening.Unanswered) as refused:
            await _reopen(world)
        assert refused.value.agencies == set(AGENCIES[number:])
        assert (await world.lease(POLICE, referrals[POLICE])).status_code == 503
        await _answer(world, request, agency)
    assert await _reopen(world) == 1
    given = await world.leased(POLICE, referrals[POLICE])
    assert [key["epoch"] > 1000 for key in given["keys"]] == [True]
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_what_she_took_back_after_the_backup_stays_taken_back(world: World, backups: Any) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "incident"))
    police = referrals[POLICE]
    backups.take()
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    held = _held(await world.outbox(police))
    disclosed = await world.disclosed(police)
    backups.restore()
    assert {key["category"] for key in (await world.leased(POLICE, police))["keys"]} == {"identity", "incident"}
    request = await _close(world)
    await _answer(world, request, POLICE, held)
    await _answer(world, request, FORENSICS)
    await _answer(world, request, LEGAL)
    await _reopen(world)
    assert set(await world.readable(POLICE, police)) == {"identity"}
    assert set(await world.readable(LEGAL, referrals[LEGAL])) == {"incident"}
    given = await world.leased(POLICE, police)
    assert not {key["key_id"] for key in given["keys"]} & {body_of(row)["key_id"] for row in disclosed}
    newest = (await world.disclosed(police))[-1]
    assert newest.seq > 1_000_000
    kinds = [entry["kind"] for entry in await world.timeline(case)]
    assert "withdrawal_recovered" in kinds
    shown = (await world.get(f"/v1/cases/{case}/consents")).json()
    assert [ending["category"] for ending in shown["endings"]] == ["incident"]


async def test_a_court_order_that_had_ended_by_then_does_not_come_back_and_a_consent_given_since_stands(
    world: World, backups: Any
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    await world.order(case, POLICE, "incident")
    police = referrals[POLICE]
    backups.take()
    shown = (await world.get(f"/v1/cases/{case}/consents")).json()["consents"]
    for each in shown:
        end = world.withdraw if each["basis"] == "consent" else world.end_order
        assert (await end(case, each["consent"])).status_code == 200
    held = _held(await world.outbox(police))
    backups.restore()
    request = await _close(world)
    await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "identity"))
    await _answer(world, request, POLICE, held)
    await _reopen(world, "forensics", "legal-aid")
    assert set(await world.readable(POLICE, police)) == {"identity"}


async def test_a_tombstone_that_is_known_already_changes_nothing(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    held = _held(await world.outbox(referrals[POLICE]))
    await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "identity"))
    request = await _close(world)
    await _answer(world, request, POLICE, held)
    assert len(await world.rows("SELECT 1 FROM consent_events WHERE kind = 'withdrawn'")) == 1
    await _reopen(world, "forensics", "legal-aid")
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


def _pieces(
    request: UUID, answer: UUID, tombstones: Sequence[Tombstone], parts: int, size: int = 1_000
) -> list[TombstonesReported]:
    return [
        TombstonesReported(
            request_id=request,
            answer_id=answer,
            tombstones=tuple(tombstones[part * size : (part + 1) * size]),
            part=part + 1,
            parts=parts,
        )
        for part in range(parts)
    ]


async def test_an_answer_in_pieces_counts_when_all_are_here_in_whatever_order_and_however_often(
    world: World, backups: Any
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    backups.take()
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    held = _held(await world.outbox(referrals[POLICE]))
    backups.restore()
    strangers = [
        held[0].model_copy(update={"referral": new_code("P", world.instruments.randomness)}) for _ in range(2_499)
    ]
    request = await _close(world)
    first, second, third = _pieces(request, world.instruments.new_id(), [*strangers, *held], 3)
    for piece in (world.sealed(POLICE, third), world.sealed(POLICE, first)) * 2:
        await world.inbox.process([piece])
        with pytest.raises(reopening.Unanswered):
            await _reopen(world, "forensics", "legal-aid")
    async with world.gate.transaction(()) as session:
        assert (await restoring.status(session)).partly == {POLICE: (2, 3)}
    await world.fact(POLICE, second)
    async with world.gate.transaction(()) as session:
        found = await restoring.status(session)
    assert (found.answered, found.partly) == ({POLICE: (2_500, 1)}, {})
    assert len(await world.rows("SELECT 1 FROM consent_events WHERE kind = 'withdrawn'")) == 1
    await _reopen(world, "forensics", "legal-aid")
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}
    assert await world.parked() == []


async def test_pieces_of_two_answers_make_no_whole_one(world: World) -> None:
    request = await _close(world)
    one, other = (_pieces(request, world.instruments.new_id(), [], 2) for _ in range(2))
    await world.fact(POLICE, one[0])
    await world.fact(POLICE, other[1])
    with pytest.raises(reopening.Unanswered) as refused:
        await _reopen(world, "forensics", "legal-aid")
    assert refused.value.agencies == {POLICE}
    await world.fact(POLICE, other[0])
    assert await _reopen(world, "forensics", "legal-aid") == 0


@pytest.mark.parametrize("named", [{"part": 1}, {"part": 3, "parts": 2}, {"part": 0, "parts": 1}, {"parts": 2}])
def test_a_piece_that_is_none_is_refused(named: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TombstonesReported(request_id=UUID(int=1), tombstones=(), answer_id=UUID(int=2), **named)


async def test_without_an_agency_it_reopens_and_that_agencys_late_word_still_takes_effect(
    world: World, backups: Any
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    police = referrals[POLICE]
    backups.take()
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    held = _held(await world.outbox(police))
    backups.restore()
    request = await _close(world)
    await _answer(world, request, FORENSICS)
    await _answer(world, request, LEGAL)
    await _reopen(world, "police-link")
    assert set(await world.readable(POLICE, police)) == {"identity", "incident"}
    await _answer(world, request, POLICE, held)
    assert set(await world.readable(POLICE, police)) == {"identity"}


async def test_an_agency_speaks_only_of_its_own_organisations_referrals(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    request = await _close(world)
    made_up = {"category": "identity", "epoch": 9, "withdrawn_at": _now().isoformat()}
    await _answer(
        world,
        request,
        FORENSICS,
        [
            Tombstone(referral=referrals[POLICE], organisation="station-saddar", **made_up),
            Tombstone(referral=referrals[LEGAL], organisation="lab-karachi", **made_up),
            Tombstone(referral="F-0000-0000-0", organisation="lab-karachi", **made_up),
        ],
    )
    assert await world.rows("SELECT 1 FROM consent_events WHERE kind = 'withdrawn'") == []
    await _answer(
        world, request, POLICE, [Tombstone(referral=referrals[POLICE], organisation="station-clifton", **made_up)]
    )
    assert await world.rows("SELECT 1 FROM consent_events WHERE kind = 'withdrawn'") == []
    assert await world.parked() == []


async def test_tombstones_that_nobody_asked_for_are_parked(world: World) -> None:
    await _answer(world, world.instruments.new_id(), POLICE)
    assert await world.parked() == ["NotRequested"]


async def test_withdrawals_and_consents_go_on_while_the_gate_is_closed(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    request = await _close(world)
    assert (await world.withdraw(case, await world.consent_of(case, POLICE), "incident")).status_code == 200
    assert (await world.post(f"/v1/cases/{case}/consents", consent(LEGAL, "incident"))).status_code == 201
    for agency in AGENCIES:
        await _answer(world, request, agency)
    await _reopen(world)
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity"}


async def test_what_expired_meanwhile_gets_no_new_epoch(world: World) -> None:
    soon = _now() + timedelta(seconds=1)
    _, referrals = await world.open_case(consent(POLICE, "identity", expires_at=soon.isoformat()))
    await _close(world)
    await asyncio.sleep(1.1)
    await _reopen(world, *AGENCIES)
    assert (await world.leased(POLICE, referrals[POLICE]))["keys"] == []


async def test_what_was_reported_after_the_backup_takes_effect_again_and_what_was_before_does_not(
    world: World, backups: Any
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    at = {"referral": referrals[POLICE], "at": _now()}
    before = await world.fact(POLICE, ReferralAcknowledged(**at, record=RECORDS["acknowledgement"]()))
    backups.take()
    after = await world.fact(POLICE, FirRegistered(referral=referrals[POLICE], record=RECORDS["fir"](fir_number="1")))
    backups.restore()
    await _close(world)
    await world.inbox.process([before, after])
    kinds = [record["kind"] for record in (await world.get(f"/v1/cases/{case}")).json()["records"]]
    assert (kinds.count("acknowledgement"), kinds.count("fir")) == (1, 1)
    assert await world.parked() == []
