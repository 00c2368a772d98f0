"""The sender of webhooks interrupted wherever it waits: every arrival is told, under one id however often."""

from __future__ import annotations

import pytest
from counting import Count
from stepping import How, Process, sweep

from police_link.webhooks.service import queueing

from .conftest import Station
from .receivers import OPENED

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("how", How)
async def test_an_arrival_is_told_under_one_id_wherever_its_sender_is_interrupted(
    station: Station, how: How, count: Count
) -> None:
    await station.subscribed()
    codes: dict[int, str] = {}

    async def arrive(number: int) -> None:
        codes[number] = await station.referral()

    async def send(number: int) -> None:
        # As `turn` does, but not in tasks of their own: here a delivery is what is interrupted.
        room = 1
        for claimed in await queueing.claim(
            station.world.worker, station.world.desk.instruments.new_id(), station.now(), room
        ):
            await station.sending._deliver(claimed)

    async def judge(number: int) -> None:
        station.pass_time(seconds=queueing.LEASE.total_seconds() + 1)
        while await station.send():
            pass
        told = [each for each in station.receiver.events(OPENED) if each.event["data"]["referral"] == codes[number]]
        assert told
        assert len({each.headers["webhook-id"] for each in told}) == 1
        assert station.rows("SELECT count(*) FROM webhook_deliveries WHERE delivered_at IS NULL") == ["0"]

    points = await sweep(send, judge, how, Process((station.world.worker,)), prepare=arrive)
    assert points >= 15
    count(f"suspension points where something was {how}", points)
