"""What the gate tells an agency: twice, late, in another order, parked; and the withdrawal that never waits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import DBAPIError

from amanat import parked
from amanat.agency import arriving, handlers
from amanat.agency.testing import World, statements
from amanat.categories import Category
from amanat.contracts.withdrawals import TombstoneConfirmed, TombstonesReported
from amanat.db import AnyRow
from amanat.inbox import Inbox
from amanat.tables import disclosures, kits, ledger_entries, outbox, referrals, tombstones

SADDAR, CLIFTON = "station-saddar", "station-clifton"
STORY = ("incident", {"history": "told once"})


async def rows(police: World, table: Table, *organisations: str) -> list[AnyRow]:
    async with police.worker.transaction(organisations or (SADDAR, CLIFTON)) as session:
        return list((await session.execute(select(table))).all())


async def waiting(police: World) -> list[parked.ParkedEvent]:
    async with police.worker.transaction(()) as session:
        return await parked.list_parked(session)


async def test_the_same_events_again_change_nothing(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    events = [gate.opened(code, SADDAR), gate.disclosed(code, SADDAR, Category.INCIDENT, STORY)]
    events.append(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    await police.tell(*events)
    tables = (referrals, disclosures, tombstones, outbox, ledger_entries)
    before = [await rows(police, table) for table in tables]
    await police.tell(*events)
    assert [await rows(police, table) for table in tables] == before


async def test_an_older_projection_that_comes_late_does_not_replace_the_newer(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    older = gate.disclosed(code, SADDAR, Category.INCIDENT, STORY)
    newer = gate.disclosed(code, SADDAR, Category.INCIDENT, STORY)
    await police.tell(gate.opened(code, SADDAR), newer)
    await police.tell(older)
    [kept] = await rows(police, disclosures)
    assert kept.event_id == newer.event_id


async def test_a_disclosure_of_a_withdrawn_epoch_is_not_even_kept(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    late = gate.disclosed(code, SADDAR, Category.INCIDENT, STORY)
    await police.tell(gate.opened(code, SADDAR), gate.withdrawn(code, SADDAR, Category.INCIDENT))
    await police.tell(late)
    assert await rows(police, disclosures) == []


async def test_a_tombstone_only_ever_rises(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT, epoch=3))
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT, epoch=2))
    [kept] = await rows(police, tombstones)
    assert kept.epoch == 3


async def test_a_withdrawal_is_confirmed_to_the_gate_in_its_own_transaction(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.opened(code, SADDAR))
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT, epoch=2))
    [confirmed] = await police.facts()
    assert isinstance(confirmed, TombstoneConfirmed)
    assert (confirmed.referral, confirmed.category, confirmed.epoch) == (code, Category.INCIDENT, 2)
    [row], [sent] = await rows(police, tombstones), await rows(police, outbox)
    assert row.applied_at == confirmed.confirmed_at
    assert (sent.topic, sent.key, sent.tenant, sent.seq) == ("facts.police-link", code, SADDAR, 1)
    [entry] = await rows(police, ledger_entries)
    assert (entry.kind, entry.subject) == ("tombstone", code)


async def test_a_withdrawal_that_comes_before_its_referral_takes_effect(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    [confirmed] = await police.facts()
    assert confirmed.referral == code
    await police.tell(gate.opened(code, SADDAR), gate.disclosed(code, SADDAR, Category.INCIDENT, STORY))
    async with police.client(SADDAR) as officer:
        assert (await officer.get(f"/v1/referrals/{code}")).status_code == 404


async def test_a_withdrawal_whose_header_is_wrong_takes_effect_all_the_same(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.opened(code, SADDAR), gate.disclosed(code, SADDAR, Category.INCIDENT, STORY))
    await police.tell(replace(gate.withdrawn(code, SADDAR, Category.INCIDENT), organisation=None))
    assert len(await rows(police, tombstones)) == 1
    assert await waiting(police) == []


async def test_a_withdrawal_does_not_wait_for_its_parked_referral(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.opened(code, SADDAR), gate.disclosed(code, SADDAR, Category.INCIDENT, STORY))
    await police.tell(replace(gate.kit(code, SADDAR, "SAK-1"), body=b"{}"))
    again = gate.disclosed(code, SADDAR, Category.IDENTITY, ("person", {"full_name": "Zainab"}))
    await police.tell(again, gate.withdrawn(code, SADDAR, Category.INCIDENT))
    assert [event.type.split(".")[2] for event in await waiting(police)] == ["kit-announced", "category-disclosed"]
    assert len(await rows(police, tombstones)) == 1


async def test_consent_versions_only_ever_rise(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.opened(code, SADDAR, consent_version=7))
    await police.tell(gate.opened(code, SADDAR, consent_version=3))
    [row] = await rows(police, referrals)
    assert row.consent_version == 7


async def test_an_event_addressed_to_another_organisation_than_it_says_is_parked(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(replace(gate.opened(code, SADDAR), organisation=CLIFTON))
    [event] = await waiting(police)
    assert event.reason == "Misaddressed"
    assert await rows(police, referrals) == []


async def test_a_code_that_another_organisation_has_is_parked(police: World) -> None:
    gate, code = police.gate, police.gate.code()
    await police.tell(gate.opened(code, SADDAR))
    await police.tell(gate.opened(code, CLIFTON))
    assert len(await waiting(police)) == 1
    [row] = await rows(police, referrals)
    assert row.tenant == SADDAR


async def test_one_barcode_on_two_referrals_stays_with_the_first_and_holds_back_nothing(police: World) -> None:
    gate, first, second = police.gate, police.gate.code(), police.gate.code()
    await police.tell(gate.opened(first, SADDAR), gate.kit(first, SADDAR, "SAK-7"))
    await police.tell(gate.opened(second, SADDAR), gate.kit(second, SADDAR, "SAK-7"))
    await police.tell(gate.kit(second, SADDAR, "SAK-8"))
    assert await waiting(police) == []
    assert {(row.barcode, row.referral) for row in await rows(police, kits)} == {("SAK-7", first), ("SAK-8", second)}


async def test_the_gate_gets_all_tombstones_of_all_organisations(police: World) -> None:
    gate = police.gate
    withdrawn = [
        gate.withdrawn(gate.code(), SADDAR, Category.INCIDENT, epoch=4),
        gate.withdrawn(gate.code(), CLIFTON, Category.IDENTITY),
    ]
    await police.tell(*withdrawn)
    asked = gate.asks_for_tombstones()
    await police.tell(asked)
    reported = (await police.facts())[-1]
    assert isinstance(reported, TombstonesReported)
    assert {(each.organisation, each.category, each.epoch) for each in reported.tombstones} == {
        (SADDAR, Category.INCIDENT, 4),
        (CLIFTON, Category.IDENTITY, 1),
    }
    assert reported.request_id == asked.event().request_id  # type: ignore[attr-defined]


async def test_many_tombstones_go_in_pieces_that_every_broker_takes(police: World) -> None:
    held = {(police.gate.code(), number) for number in range(1, 2_501)}
    row = {"tenant": SADDAR, "category": "representation", "consent_version": 2}
    at = {"withdrawn_at": datetime.now(UTC), "applied_at": datetime.now(UTC)}
    async with police.worker.transaction(()) as session:
        await session.execute(
            insert(tombstones), [{"referral": code, "epoch": epoch, **row, **at} for code, epoch in held]
        )
    asked = police.gate.asks_for_tombstones()
    await police.tell(asked)
    pieces = [fact for fact in await police.facts() if isinstance(fact, TombstonesReported)]
    assert [(piece.part, piece.parts, len(piece.tombstones)) for piece in pieces] == [
        (1, 3, 1_000), (2, 3, 1_000), (3, 3, 500),
    ]  # fmt: skip
    assert {(each.referral, each.epoch) for piece in pieces for each in piece.tombstones} == held
    assert len({(piece.request_id, piece.answer_id) for piece in pieces}) == 1
    sent = await rows(police, outbox)
    assert max(len(row.body) for row in sent) < 350_000, "a broker refuses what is over 1 MB, headers and all"
    # Asked again, it is another answer: pieces of the two do not make one whole.
    await police.tell(police.gate.asks_for_tombstones())
    pieces = [fact for fact in await police.facts() if isinstance(fact, TombstonesReported)]
    assert len({piece.answer_id for piece in pieces}) == 2


async def test_who_holds_no_tombstone_says_so(police: World) -> None:
    await police.tell(police.gate.asks_for_tombstones())
    [reported] = await police.facts()
    assert isinstance(reported, TombstonesReported)
    assert (reported.tombstones, reported.part, reported.parts) == ((), 1, 1)


async def test_a_hundred_events_take_no_more_statements_than_one_of_each_kind(police: World) -> None:
    gate = police.gate

    async def told(referrals_of: int) -> int:
        codes = [(gate.code(), SADDAR if number % 2 else CLIFTON) for number in range(referrals_of)]
        opened = [gate.opened(code, to) for code, to in codes]
        shared = [gate.disclosed(code, to, Category.INCIDENT, STORY) for code, to in codes]
        with statements(police.worker) as seen:
            await police.tell(*opened, *shared)
        return len(seen)

    assert await told(50) == await told(1)
    assert len(await rows(police, disclosures)) == 51


async def test_of_one_category_the_last_of_a_batch_is_kept(police: World) -> None:
    gate, code, other = police.gate, police.gate.code(), police.gate.code()
    first, second, third = (gate.disclosed(code, SADDAR, Category.INCIDENT, STORY) for _ in range(3))
    elsewhere = gate.disclosed(other, CLIFTON, Category.INCIDENT, STORY)
    await police.tell(gate.opened(code, SADDAR), gate.opened(other, CLIFTON), first, second, elsewhere, third)
    kept = {row.referral: row.event_id for row in await rows(police, disclosures)}
    assert kept == {code: third.event_id, other: elsewhere.event_id}


async def test_what_is_hooked_in_is_part_of_the_events_transaction(police: World) -> None:
    called: list[tuple[str, ...]] = []

    def hook(name: str) -> handlers.OfReferrals:
        async def note(session: object, places: Sequence[arriving.Referred], now: datetime) -> None:
            called.extend((name, referral, organisation) for organisation, referral in places)
            if name == "refuses":
                raise RuntimeError

        return note

    async def kit(session: object, referral: str, organisation: str, barcode: str, now: datetime) -> None:
        called.append(("kit", referral, organisation, barcode))

    hooks = handlers.Hooks(
        arrived=(hook("arrived"),), disclosed=(hook("disclosed"),), withdrawn=(hook("withdrawn"),), kit_announced=(kit,)
    )
    police.inbox = hooked(police, hooks)
    gate, code = police.gate, police.gate.code()
    opened = gate.opened(code, SADDAR)
    await police.tell(opened, gate.disclosed(code, SADDAR, Category.INCIDENT, STORY))
    await police.tell(opened, gate.opened(code, SADDAR), gate.kit(code, SADDAR, "SAK-9"))
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    assert called == [
        ("arrived", code, SADDAR),
        ("disclosed", code, SADDAR),
        ("kit", code, SADDAR, "SAK-9"),
        ("withdrawn", code, SADDAR),
    ]
    police.inbox = hooked(police, handlers.Hooks(arrived=(hook("refuses"),)))
    await police.tell(gate.opened(gate.code(), SADDAR))
    assert len(await rows(police, referrals)) == 1
    assert [event.reason for event in await waiting(police)] == ["RuntimeError"]


def hooked(police: World, hooks: handlers.Hooks) -> Inbox:
    table = handlers.build(police.desk.instruments, lambda: datetime.now(UTC), hooks)
    return Inbox(police.worker, table, never_park=handlers.NEVER_PARK, tenants_of=handlers.tenant_of)


async def test_locks_are_taken_in_the_platforms_order(police: World) -> None:
    gate, first, second = police.gate, police.gate.code(), police.gate.code()
    await police.tell(gate.opened(first, SADDAR), gate.opened(second, CLIFTON))
    with statements(police.worker) as run:
        await police.tell(
            gate.withdrawn(first, SADDAR, Category.INCIDENT), gate.withdrawn(second, CLIFTON, Category.INCIDENT)
        )
    written = [re.search(r"(?:INSERT INTO|UPDATE) (\w+)", statement) for statement in run]
    order = ["inbox", "referrals", "tombstones", "webhook_deliveries", "outbox", "ledger_entries"]
    touched = [order.index(found[1]) for found in written if found]
    assert touched == sorted(touched)
    assert set(touched) == set(range(len(order)))


async def test_the_worker_may_not_write_what_the_organisation_itself_records(police: World) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with police.worker.transaction((SADDAR,)) as session:
            await session.execute(text("INSERT INTO own_records SELECT * FROM own_records"))
    with pytest.raises(DBAPIError, match="permission denied"):
        async with police.desk.database.transaction((SADDAR,)) as session:
            await session.execute(text("DELETE FROM tombstones"))
