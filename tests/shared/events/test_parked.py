"""What is parked keeps back its own referral and nothing else; a retry runs it in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import parked
from amanat.db import Database
from amanat.facts import BadFact, StaleFact
from amanat.inbox import Inbox
from amanat.received import Received
from amanat.tables import parked as parked_rows
from amanat.waiting import Patience

from .effects import Effects, Poison, inbox_of, numbered, parked_of
from .making import DISCLOSED, KIT, NOW, P1, P2, SADDAR, WITHDRAWN, came

ON_P1 = ("disclosures.police-link", P1)


async def test_a_parked_referral_stops_only_itself(worker: Database, inbox: Inbox, effects: Effects) -> None:
    await inbox.process([*numbered(P1, "1", "poison", "3"), *numbered(P2, "1", "2", "3")])
    assert effects.of(P1) == ["1"]
    assert effects.of(P2) == ["1", "2", "3"]
    assert await parked_of(worker) == [(KIT, "Poison"), (KIT, parked.BEHIND)]


async def test_later_batches_of_a_parked_referral_wait_behind_it(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison"))
    await inbox.process([*numbered(P1, "2"), *numbered(P2, "1")])
    assert (effects.of(P1), effects.of(P2)) == ([], ["1"])
    assert await parked_of(worker, P1) == [(KIT, "Poison"), (KIT, parked.BEHIND)]


async def test_a_withdrawal_passes_a_parked_referral(worker: Database, inbox: Inbox, effects: Effects) -> None:
    await inbox.process(numbered(P1, "poison"))
    await inbox.process([came(P1, WITHDRAWN, b"withdrawn"), came(P1, DISCLOSED, b"later")])
    assert effects.of(P1) == ["withdrawn"]
    assert await parked_of(worker) == [(KIT, "Poison"), (DISCLOSED, parked.BEHIND)]


async def test_a_withdrawal_behind_poison_in_the_same_batch_is_applied_at_once(inbox: Inbox, effects: Effects) -> None:
    await inbox.process([came(P1, DISCLOSED, b"poison"), came(P1, WITHDRAWN, b"withdrawn"), came(P1, KIT, b"later")])
    assert effects.of(P1) == ["withdrawn"]


async def test_a_withdrawal_that_fails_itself_is_tried_again_without_an_operator(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    batch = [came(P1, WITHDRAWN, b"poison"), came(P1, KIT, b"later"), came(P2, WITHDRAWN, b"withdrawn")]
    await inbox.process(batch)
    assert effects.of(P2) == ["withdrawn"], "another's withdrawal on its partition did not wait"
    assert await parked.attend(worker, inbox) == 0
    effects.healed = True
    assert await parked.attend(worker, inbox) == 2
    assert effects.of(P1) == ["poison", "later"]
    assert await parked_of(worker) == []


async def test_what_must_not_wait_and_fails_again_is_tried_more_and_more_seldom(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    now = 0.0
    inbox.patience = Patience(lambda: now)
    await inbox.process([came(P1, WITHDRAWN, b"poison"), came(P2, WITHDRAWN, b"poison")])
    tried: list[float] = []
    while now < 1_000:
        before = len(effects.calls)
        await parked.attend(worker, inbox)
        tried += [now] * (len(effects.calls) - before)
        now += 2
    assert tried[::2] == tried[1::2], "both"
    assert tried[::2] == [0, 2, 6, 14, 30, 62, 126, 254, 510, 810]
    effects.healed = True
    now += 300
    assert await parked.attend(worker, inbox) == 2


async def test_a_passing_trouble_of_one_withdrawal_keeps_another_waiting_for_a_round_at_most(worker: Database) -> None:
    async def troubled(session: AsyncSession, events: Sequence[Received]) -> None:
        if events[0].referral in troubles:
            raise troubles[events[0].referral]

    troubles: dict[str | None, Exception] = {P1: Poison(), P2: Poison()}
    inbox = inbox_of(worker, troubled)
    inbox.patience = Patience(lambda: 0.0)
    await inbox.process([came(P1, WITHDRAWN), came(P2, WITHDRAWN)])
    troubles = {P1: ConnectionResetError()}
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            await parked.attend(worker, inbox)
    assert await parked.attend(worker, inbox) == 1
    assert await parked_of(worker, P2) == []
    assert len(await parked_of(worker, P1)) == 1


async def test_what_nobody_signed_waits_for_an_operator_even_under_a_type_that_is_never_parked(
    worker: Database,
) -> None:
    tried: list[str | None] = []

    async def disbelieves(session: AsyncSession, events: Sequence[Received]) -> None:
        tried.extend(event.referral for event in events)
        raise BadFact("not signed")

    inbox = inbox_of(worker, disbelieves)
    await inbox.process([came(P1, WITHDRAWN)])
    assert await parked_of(worker) == [(WITHDRAWN, "BadFact")]
    tried.clear()
    await parked.attend(worker, inbox)
    assert tried == []
    async with worker.transaction(()) as session:
        await parked.request_retry(session, P1)
    await parked.attend(worker, inbox)
    assert tried == [P1]


@pytest.mark.parametrize(("error", "given_up"), [(BadFact, True), (StaleFact, True), (Poison, False)])
async def test_only_what_is_unsigned_or_too_old_can_be_given_up_and_what_follows_goes_on(
    worker: Database, effects: Effects, error: type[Exception], given_up: bool
) -> None:
    async def handle(session: AsyncSession, events: Sequence[Received]) -> None:
        if any(event.body == b"wrong" for event in events):
            raise error
        await effects.handle(session, events)

    inbox = inbox_of(worker, handle)
    wrong = came(P1, body=b"wrong")
    await inbox.process([wrong, *numbered(P1, "2")])
    async with worker.transaction(()) as session:
        assert await parked.discard(session, wrong.event_id) is given_up
    async with worker.transaction(()) as session:
        assert not await parked.discard(session, wrong.event_id), "there is nothing left to give up"
    assert (await parked.retry(worker, inbox, ON_P1)).remaining == (0 if given_up else 2)
    assert effects.of(P1) == (["2"] if given_up else [])
    await inbox.process([wrong])
    assert len(await parked_of(worker)) == (0 if given_up else 2)


async def test_redelivery_of_what_was_parked_parks_nothing_twice(worker: Database, inbox: Inbox) -> None:
    batch = numbered(P1, "1", "poison", "3")
    await inbox.process(batch)
    await inbox.process(batch)
    assert len(await parked_of(worker)) == 2


async def test_an_agency_cannot_hold_back_anothers_referral_by_naming_it(inbox: Inbox, effects: Effects) -> None:
    await inbox.process([came(P1, body=b"poison", topic="facts.forensics")])
    await inbox.process([came(P1, body=b"1", topic="facts.police-link")])
    assert effects.of(P1) == ["1"]


@pytest.mark.parametrize("by", ["referral", "event"])
async def test_what_another_put_under_the_same_referral_keeps_no_retry_from_it(
    worker: Database, inbox: Inbox, effects: Effects, by: str
) -> None:
    garbage = came(P1, "pk.amanat.garbage.v1", topic="facts.forensics")
    fact = came(P1, body=b"poison", topic="facts.police-link")
    await inbox.process([garbage])
    await inbox.process([fact])
    effects.healed = True
    async with worker.transaction(()) as session:
        asked = P1 if by == "referral" else str(fact.event_id)
        assert await parked.request_retry(session, asked) == (2 if by == "referral" else 1)
    assert await parked.attend(worker, inbox) == 1
    assert effects.of(P1) == ["poison"]
    async with worker.transaction(()) as session:
        [left] = await parked.list_parked(session)
    assert (left.event_id, left.retry_requested) == (garbage.event_id, False)


async def test_a_withdrawal_that_heals_takes_along_what_waited_on_its_own_topic_alone(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process([came(P1, WITHDRAWN, b"poison"), came(P1, KIT, b"later")])
    await inbox.process([came(P1, "pk.amanat.garbage.v1", topic="disclosures.legal-aid")])
    effects.healed = True
    assert await parked.attend(worker, inbox) == 2
    assert effects.of(P1) == ["poison", "later"]


async def test_a_retry_runs_what_is_parked_in_its_order(worker: Database, inbox: Inbox, effects: Effects) -> None:
    await inbox.process(numbered(P1, "poison", "2", "3"))
    effects.healed = True
    assert await parked.retry(worker, inbox, ON_P1) == parked.Retried(released=3, remaining=0, reason=None)
    assert effects.of(P1) == ["poison", "2", "3"]
    await inbox.process(numbered(P1, "4"))
    assert effects.of(P1) == ["poison", "2", "3", "4"]


async def test_a_retry_that_fails_stays_parked_with_all_behind_it(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison", "2"))
    assert await parked.retry(worker, inbox, ON_P1) == parked.Retried(released=0, remaining=2, reason="Poison")
    assert effects.of(P1) == []
    assert await parked_of(worker) == [(KIT, "Poison"), (KIT, parked.BEHIND)]


async def test_what_was_released_does_not_take_effect_again_when_it_is_delivered_again(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    batch = numbered(P1, "poison", "2")
    await inbox.process(batch)
    effects.healed = True
    await parked.retry(worker, inbox, ON_P1)
    await inbox.process(batch)
    assert effects.of(P1) == ["poison", "2"]


async def test_an_operators_request_is_carried_out_by_the_worker(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison", "2"))
    effects.healed = True
    async with worker.transaction(()) as session:
        assert await parked.request_retry(session, P1) == 2
    assert await parked.attend(worker, inbox) == 2
    assert effects.of(P1) == ["poison", "2"]
    assert await parked.attend(worker, inbox) == 0


async def test_an_event_of_no_referral_is_parked_alone_and_retried_by_its_id(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    event = came(None, body=b"poison")
    await inbox.process([event, came(None, body=b"other")])
    assert await parked_of(worker) == [(KIT, "Poison")]
    effects.healed = True
    async with worker.transaction(()) as session:
        assert await parked.request_retry(session, str(event.event_id)) == 1
    assert await parked.attend(worker, inbox) == 1


async def test_a_retry_and_the_consumer_do_not_overtake_each_other(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison", *map(str, range(1, 10))))
    effects.healed = True
    await asyncio.gather(parked.retry(worker, inbox, ON_P1), inbox.process(numbered(P1, "10")))
    await parked.retry(worker, inbox, ON_P1)
    assert effects.of(P1) == ["poison", *map(str, range(1, 11))]


async def test_what_arrives_while_a_retry_is_at_work_waits_for_it_and_is_not_left_behind(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison"))
    (later,) = numbered(P1, "2")
    async with worker.transaction([SADDAR]) as retrying:
        await parked.lock(retrying, later.place)
        arriving = asyncio.create_task(inbox.process([later]))
        await asyncio.sleep(0.3)
        assert not arriving.done()
        await retrying.execute(update(parked_rows).values(released_at=NOW))
    await arriving
    assert effects.of(P1) == ["2"]
    assert await parked_of(worker) == []
