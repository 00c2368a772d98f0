"""Once, in order, and what cannot be handled keeps back its own referral and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from asyncpg import DeadlockDetectedError
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from amanat import parked
from amanat.db import Database
from amanat.inbox import Handler, Inbox, TryAgain, UnknownType, unseen
from amanat.received import Received
from amanat.tables import parked as parked_rows
from amanat_local.postgres import Postgres

from .making import CLIFTON, DISCLOSED, KIT, NOW, P1, P2, P3, SADDAR, WITHDRAWN, came

EFFECT = text("INSERT INTO effects (tenant, referral, what) VALUES (:tenant, :referral, :what)")
SECRET = "Fatima Bibi, 42101-1234567-1"


class Poison(Exception):
    """Its text, like a database's, quotes what it failed on."""


class Effects:
    """Handlers that write their event's body as their effect; a body that starts with `poison` fails."""

    def __init__(self, cluster: Postgres) -> None:
        self._cluster = cluster
        self.healed = False
        self.calls: list[list[str | None]] = []

    async def handle(self, session: AsyncSession, events: Sequence[Received]) -> None:
        self.calls.append([event.referral for event in events])
        for event in events:
            if event.body.startswith(b"poison") and not self.healed:
                raise Poison(event.body)
            what = event.body.decode()
            await session.execute(EFFECT, {"tenant": event.organisation, "referral": event.referral, "what": what})

    def of(self, referral: str) -> list[str]:
        found = self._cluster.sql("police_link", f"SELECT what FROM effects WHERE referral = '{referral}' ORDER BY id")
        return found.split()


@pytest.fixture
def effects(cluster: Postgres, worker: Database) -> Effects:
    return Effects(cluster)


def inbox_of(worker: Database, handler: Handler) -> Inbox:
    return Inbox(
        worker,
        {KIT: handler, DISCLOSED: handler, WITHDRAWN: handler},
        frozenset({WITHDRAWN}),
        lambda event: event.organisation,
    )


@pytest.fixture
def inbox(worker: Database, effects: Effects) -> Inbox:
    return inbox_of(worker, effects.handle)


async def parked_of(worker: Database, referral: str | None = None) -> list[tuple[str, str]]:
    async with worker.transaction(()) as session:
        return [(event.type, event.reason) for event in await parked.list_parked(session, referral)]


def numbered(referral: str, *bodies: str, type: str = KIT) -> list[Received]:
    return [came(referral, type, body.encode(), offset=offset) for offset, body in enumerate(bodies)]


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


async def test_redelivery_of_what_was_parked_parks_nothing_twice(worker: Database, inbox: Inbox) -> None:
    batch = numbered(P1, "1", "poison", "3")
    await inbox.process(batch)
    await inbox.process(batch)
    assert len(await parked_of(worker)) == 2


async def test_an_agency_cannot_hold_back_anothers_referral_by_naming_it(inbox: Inbox, effects: Effects) -> None:
    await inbox.process([came(P1, body=b"poison", topic="facts.forensics")])
    await inbox.process([came(P1, body=b"1", topic="facts.police-link")])
    assert effects.of(P1) == ["1"]


async def test_a_retry_runs_what_is_parked_in_its_order(worker: Database, inbox: Inbox, effects: Effects) -> None:
    await inbox.process(numbered(P1, "poison", "2", "3"))
    effects.healed = True
    assert await parked.retry(worker, inbox, P1) == parked.Retried(released=3, remaining=0, reason=None)
    assert effects.of(P1) == ["poison", "2", "3"]
    await inbox.process(numbered(P1, "4"))
    assert effects.of(P1) == ["poison", "2", "3", "4"]


async def test_a_retry_that_fails_stays_parked_with_all_behind_it(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison", "2"))
    assert await parked.retry(worker, inbox, P1) == parked.Retried(released=0, remaining=2, reason="Poison")
    assert effects.of(P1) == []
    assert await parked_of(worker) == [(KIT, "Poison"), (KIT, parked.BEHIND)]


async def test_what_was_released_does_not_take_effect_again_when_it_is_delivered_again(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    batch = numbered(P1, "poison", "2")
    await inbox.process(batch)
    effects.healed = True
    await parked.retry(worker, inbox, P1)
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


async def test_a_type_that_nobody_handles_is_parked(worker: Database, inbox: Inbox) -> None:
    await inbox.process([came(P1, "pk.amanat.something-newer.v1")])
    assert await parked_of(worker) == [("pk.amanat.something-newer.v1", UnknownType.__name__)]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("INSERT", {}, DeadlockDetectedError("deadlock detected")),
        ConnectionResetError(),
        TimeoutError(),
        TryAgain(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_passing_trouble_is_raised_and_parks_nothing(worker: Database, error: Exception) -> None:
    async def troubled(session: AsyncSession, events: Sequence[Received]) -> None:
        raise error

    with pytest.raises(type(error)):
        await inbox_of(worker, troubled).process(numbered(P1, "1"))
    assert await parked_of(worker) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$",
        "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$",
        "DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$",
    ],
    ids=["connection lost", "serialization", "deadlock", "shutdown"],
)
async def test_the_databases_own_passing_troubles_park_nothing(
    worker: Database, effects: Effects, statement: str
) -> None:
    troubles = [statement]

    async def troubled(session: AsyncSession, events: Sequence[Received]) -> None:
        if troubles:
            await session.execute(text(troubles.pop()))
        await effects.handle(session, events)

    batch = numbered(P1, "1", "2")
    inbox = inbox_of(worker, troubled)
    with pytest.raises(Exception):  # noqa: B017, PT011 - of several classes, and it is not parked that matters
        await inbox.process(batch)
    assert await parked_of(worker) == []
    await inbox.process(batch)
    assert effects.of(P1) == ["1", "2"]


@pytest.mark.parametrize("value", ["a\x00b", 2**70], ids=["NUL", "a number too large"])
async def test_a_value_that_the_database_refuses_is_parked(worker: Database, value: object) -> None:
    async def writes(session: AsyncSession, events: Sequence[Received]) -> None:
        await session.execute(
            text("SELECT CAST(:text AS text), CAST(:number AS bigint)"),
            {
                "text": value if isinstance(value, str) else "",
                "number": value if isinstance(value, int) else 1,
            },
        )

    await inbox_of(worker, writes).process(numbered(P1, "1"))
    assert len(await parked_of(worker)) == 1


async def test_a_poison_body_is_parked_with_the_errors_class_alone_and_no_content_in_logs(
    worker: Database, inbox: Inbox, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    body = f"poison\x00 {SECRET}".encode()
    with capture_logs() as logs:
        await inbox.process([came(P1, body=body, headers=[("comment", SECRET.encode())])])
    assert await parked_of(worker) == [(KIT, "Poison")]
    out = capfd.readouterr()
    for sink in (repr(logs), caplog.text, out.out, out.err):
        assert SECRET not in sink
    assert logs[0]["reason"] == "Poison"
    async with worker.transaction(()) as session:
        row = (await session.execute(select(parked_rows))).one()
    assert row.body == body, "kept whole for the retry"
    assert SECRET not in repr(row.headers)
    assert SECRET not in repr(came(P1, body=body))


async def test_garbled_headers_are_parked_like_any_other_poison(worker: Database, inbox: Inbox) -> None:
    garbled = came(
        "P\x00" + random.Random(7).randbytes(5000).hex(),
        "type\x00\ud83d".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
        headers=[("ce_id", b"\xff\xfe"), ("ce_seq", b"9" * 50), ("ce_time", b"yesterday"), ("traceparent", b"\x00")],
    )
    with capture_logs() as logs:
        await inbox.process([garbled])
    assert len(await parked_of(worker)) == 1
    assert {entry["type"] for entry in logs} == {"unknown"}


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


async def test_a_retry_and_the_consumer_do_not_overtake_each_other(
    worker: Database, inbox: Inbox, effects: Effects
) -> None:
    await inbox.process(numbered(P1, "poison", *map(str, range(1, 10))))
    effects.healed = True
    await asyncio.gather(parked.retry(worker, inbox, P1), inbox.process(numbered(P1, "10")))
    await parked.retry(worker, inbox, P1)
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


async def test_an_id_that_is_none_is_derived_from_the_place_on_the_topic() -> None:
    first, again, other = (came(P1, headers=[("ce_id", b"none")], offset=offset).event_id for offset in (1, 1, 2))
    assert first == again != other
    assert isinstance(first, UUID)
    assert first != uuid4()
