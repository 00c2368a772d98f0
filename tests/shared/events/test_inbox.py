"""Events take effect once and in order, each as its own organisation's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.db import Database
from amanat.inbox import Inbox, TryAgain, unseen
from amanat.outbox import prune
from amanat.received import Received
from amanat.tables import inbox as inbox_rows

from .effects import EFFECT, Effects, inbox_of, parked_of
from .making import CLIFTON, DISCLOSED, KIT, P1, P2, P3, SADDAR, WITHDRAWN, came


class Ages:
    """The retentions that settings give unless they are told others, in days."""

    outbox_retention_days = 28
    topic_retention_days = 7
    inbox_retention_days = 60


async def test_an_event_that_comes_twice_takes_effect_once(inbox: Inbox, effects: Effects) -> None:
    event = came(P1, body=b"once")
    await inbox.process([event])
    await inbox.process([event])
    assert effects.of(P1) == ["once"]


async def test_unseen_filters_what_comes_twice_within_a_batch(worker: Database) -> None:
    event, other = came(P1), came(P1)
    async with worker.transaction([SADDAR]) as session:
        assert await unseen(session, [event, other, event]) == [event, other]
        assert await unseen(session, [other, event]) == []
        assert await unseen(session, []) == []


async def test_what_came_from_a_clock_that_ran_ahead_is_remembered_from_its_own_time_on(worker: Database) -> None:
    now = datetime.now(UTC)
    ahead = replace(came(P1), time=now + timedelta(days=10))
    async with worker.transaction([SADDAR]) as session:
        await unseen(session, [ahead, came(P1)])
    for days, left in ((61, 1), (71, 0)):
        async with worker.transaction(()) as session:
            await prune(session, Ages(), now + timedelta(days=days))
            assert await session.scalar(select(func.count()).select_from(inbox_rows)) == left


async def test_the_effect_and_the_note_of_its_arrival_are_one_transaction(worker: Database, effects: Effects) -> None:
    event = came(P1, body=b"once")

    async def fails_late(session: AsyncSession, events: Sequence[Received]) -> None:
        await effects.handle(session, events)
        raise TryAgain

    with pytest.raises(TryAgain):
        await inbox_of(worker, fails_late).process([event])
    assert effects.of(P1) == []
    await inbox_of(worker, effects.handle).process([event])
    assert effects.of(P1) == ["once"]


async def test_the_order_of_a_referral_is_kept_across_types(inbox: Inbox, effects: Effects) -> None:
    dice = random.Random(7)
    sent: dict[str, list[str]] = {P1: [], P2: [], P3: []}
    batch = []
    for number in range(60):
        referral = dice.choice([P1, P2, P3])
        sent[referral].append(str(number))
        batch.append(came(referral, dice.choice([KIT, DISCLOSED, WITHDRAWN]), str(number).encode()))
    await inbox.process(batch)
    assert {referral: effects.of(referral) for referral in sent} == sent


async def test_a_handler_takes_several_referrals_at_once_in_the_referrals_order(inbox: Inbox, effects: Effects) -> None:
    await inbox.process([came(P1, body=b"a"), came(P3, body=b"b"), came(P2, body=b"c")])
    assert effects.calls == [sorted([P1, P2, P3])]


async def test_the_tenant_is_the_events_organisation_and_no_other(worker: Database, effects: Effects) -> None:
    async def forges(session: AsyncSession, events: Sequence[Received]) -> None:
        await session.execute(EFFECT, {"tenant": CLIFTON, "referral": events[0].referral, "what": "forged"})

    await inbox_of(worker, forges).process([came(P1, organisation=SADDAR)])
    assert effects.of(P1) == []
    assert len(await parked_of(worker)) == 1


async def test_two_consumers_with_the_same_events_apply_them_once(inbox: Inbox, effects: Effects) -> None:
    batch = [came(referral, body=str(number).encode()) for number in range(10) for referral in (P1, P2)]
    await asyncio.gather(inbox.process(batch), inbox.process(list(batch)))
    assert effects.of(P1) == effects.of(P2) == [str(number) for number in range(10)]


async def test_an_id_that_is_none_is_derived_from_the_place_on_the_topic() -> None:
    first, again, other = (came(P1, headers=[("ce_id", b"none")], offset=offset).event_id for offset in (1, 1, 2))
    assert first == again != other
    assert isinstance(first, UUID)
    assert first != uuid4()
