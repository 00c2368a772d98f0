"""Police-link with webhooks: its app, its worker's part and its database are real, and so is the receiver's HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from amanat.agency.testing import World
from amanat.categories import Agency
from amanat_local.postgres import Postgres
from police_link.webhooks.connection import Caller
from police_link.webhooks.delivery import Deliveries, Rules

from .receivers import Receiver, receiver

SADDAR, CLIFTON = "station-saddar", "station-clifton"


@dataclass
class Station:
    """What tests hold: the world, a clock to move, the sending task, and the receiver."""

    world: World
    receiver: Receiver
    postgres: Postgres
    caller: Caller
    ahead: timedelta = timedelta(0)
    sending: Deliveries = field(init=False)

    def __post_init__(self) -> None:
        self.sending = self.worker()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_time(self, **kwargs: float) -> None:
        self.ahead += timedelta(**kwargs)

    def worker(self, pause_after: timedelta = timedelta(days=5)) -> Deliveries:
        rules = Rules(public_url="https://police.test", pause_after=pause_after, retention=timedelta(days=28))
        return Deliveries(self.world.worker, self.world.desk.instruments, self.caller, rules, self.now)

    async def send(self) -> int:
        """Sends what is due now; how many attempts."""
        claimed = await self.sending.turn()
        await self.sending.drained()
        return claimed

    async def subscribe(self, organisation: str = SADDAR, url: str | None = None, key: str | None = None) -> Any:
        async with self.world.client(organisation) as client:
            answer = await client.post(
                "/v1/subscriptions",
                json={"url": url or self.receiver.url()},
                headers={"Idempotency-Key": key or str(uuid4())},
            )
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def subscribed(self, organisation: str = SADDAR, url: str | None = None) -> Any:
        """A subscription whose endpoint has proved itself."""
        made = await self.subscribe(organisation, url)
        await self.send()
        assert (await self.shown(made["subscription"], organisation))["state"] == "active"
        return made

    async def shown(self, subscription: str, organisation: str = SADDAR) -> Any:
        async with self.world.client(organisation) as client:
            answer = await client.get(f"/v1/subscriptions/{subscription}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def replay(self, subscription: str, **body: Any) -> Any:
        async with self.world.client(SADDAR) as client:
            return await client.post(f"/v1/subscriptions/{subscription}/replay", json=body)

    async def referral(self, organisation: str = SADDAR) -> str:
        """A referral arrives."""
        code = self.world.gate.code()
        await self.world.tell(self.world.gate.opened(code, organisation))
        return code

    def rows(self, query: str) -> list[str]:
        return self.postgres.sql("police_link", query).split()


@pytest.fixture
async def station(serve: Callable[..., Awaitable[World]], postgres: Postgres) -> AsyncIterator[Station]:
    """Empty tables, a receiver that behaves, and private networks allowed, for loopback is one."""
    made = await serve(Agency.POLICE_LINK, role="reporting_centre_system", webhook_allow_private=True)
    async with receiver() as listening:
        found = Station(made, listening, postgres, Caller(allow_private=True, timeout_s=2.0))
        made.desk = replace(made.desk, clock=found.now)
        yield found
