"""A creating request takes effect once, whoever sends it however often, and only its own client hears of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from amanat import idempotency
from amanat.db import Database
from amanat.errors import Busy, IdempotencyKeyInvalid, IdempotencyKeyMissing, KeyReused
from amanat.idempotency import Done, check_key
from amanat_local.postgres import Postgres

TENANT = "station-saddar"


class Effect:
    """Inserts a thing, after `hold` is set; counts how often it ran."""

    def __init__(self, database: Database, *, code: str = "P-1", hold: asyncio.Event | None = None) -> None:
        self.database = database
        self.code = code
        self.hold = hold
        self.began = asyncio.Event()
        self.runs = 0

    async def send(
        self, *, key: str = "k-1", client: str = "client-a", body: bytes = b"h" * 32, tenant: str = TENANT
    ) -> Done:
        async with self.database.transaction([tenant]) as session:

            async def effect() -> Done:
                self.runs += 1
                self.began.set()
                if self.hold is not None:
                    await self.hold.wait()
                values = {"tenant": tenant, "code": self.code}
                await session.execute(text("INSERT INTO things VALUES (:tenant, :code, '')"), values)
                return Done(status=201, location=f"/v1/referrals/{self.code}")

            return await idempotency.once(session, tenant=tenant, client=client, key=key, body_hmac=body, effect=effect)


async def under_way(database: Database) -> tuple[Effect, asyncio.Event, asyncio.Task[Done]]:
    """An effect that has begun, what lets it end, and the first request, which waits for that."""
    hold = asyncio.Event()
    effect = Effect(database, hold=hold)
    first = asyncio.create_task(effect.send())
    await effect.began.wait()
    return effect, hold, first


async def test_the_second_sending_gets_the_first_answer_and_has_no_effect(database: Database) -> None:
    effect = Effect(database)
    first, second = await effect.send(), await effect.send()
    assert first == Done(201, "/v1/referrals/P-1", replayed=False)
    assert second == Done(201, "/v1/referrals/P-1", replayed=True)
    assert effect.runs == 1


async def test_the_same_key_with_another_body_is_refused(database: Database) -> None:
    effect = Effect(database)
    await effect.send()
    with pytest.raises(KeyReused):
        await effect.send(body=b"o" * 32)
    assert effect.runs == 1


@pytest.mark.parametrize("other", [{"client": "client-b"}, {"tenant": "station-clifton"}, {"key": "k-2"}])
async def test_another_client_tenant_or_key_is_another_request(database: Database, other: dict[str, Any]) -> None:
    await Effect(database).send()
    elsewhere = Effect(database, code="P-2")
    assert not (await elsewhere.send(**other)).replayed
    assert elsewhere.runs == 1


async def test_a_twin_that_comes_meanwhile_waits_and_gets_the_firsts_answer(database: Database) -> None:
    effect, hold, first = await under_way(database)
    twin = asyncio.create_task(effect.send())
    await asyncio.sleep(0.3)
    assert not twin.done()
    hold.set()
    assert not (await first).replayed
    assert await twin == Done(201, "/v1/referrals/P-1", replayed=True)
    assert effect.runs == 1


async def test_a_twin_whose_first_fails_goes_ahead_itself(database: Database) -> None:
    effect, hold, first = await under_way(database)
    twin = asyncio.create_task(effect.send())
    await asyncio.sleep(0.2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    hold.set()
    assert not (await twin).replayed
    assert effect.runs == 2


async def test_a_twin_that_waited_five_seconds_is_told_to_come_again(database: Database) -> None:
    effect, hold, first = await under_way(database)
    began = time.monotonic()
    with pytest.raises(Busy):
        await effect.send()
    assert 4.5 < time.monotonic() - began < 8
    hold.set()
    assert (await first).status == 201


async def test_ten_at_once_have_one_effect(database: Database) -> None:
    effect = Effect(database)
    answers = await asyncio.gather(*(effect.send() for _ in range(10)))
    assert effect.runs == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9


async def test_an_effect_that_fails_leaves_the_key_free(database: Database, edge_postgres: Postgres) -> None:
    await Effect(database).send(key="other")
    again = Effect(database)
    with pytest.raises(IntegrityError):  # the thing is there already
        await again.send()
    assert edge_postgres.sql("edge", "SELECT key FROM idempotency").split() == ["other"]
    assert not (await Effect(database, code="P-2").send()).replayed


async def test_nothing_of_the_body_is_stored(database: Database, edge_postgres: Postgres) -> None:
    await Effect(database).send()
    stored = edge_postgres.sql("edge", "SELECT tenant, client, key, body_hmac, status, location FROM idempotency")
    assert stored.strip() == f"{TENANT}|client-a|k-1|\\x{(b'h' * 32).hex()}|201|/v1/referrals/P-1"


@pytest.mark.parametrize("key", ["k", "!" * 255, "7b0ab9be-34a5-4a3b-9d0e-9c8ad8bb5f1d", '"quoted"'])
def test_a_key_of_visible_ascii_is_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\t", "کلید", "é", "\x7f", "a\x00"])
def test_any_other_key_is_refused(key: str) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        check_key(key)


def test_a_missing_key_is_refused() -> None:
    with pytest.raises(IdempotencyKeyMissing):
        check_key(None)
