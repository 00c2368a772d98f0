"""Of what was taken back nobody is told; of what came after it everybody is, once."""

from __future__ import annotations

from typing import Any

from amanat.categories import Category
from amanat.received import Received

from .conftest import SADDAR, Station

OPENED = "referral.opened"
NARRATIVE = ("incident", {"history": "told once"})
PERSON = ("person", {"full_name": "Zainab"})


def told(station: Station) -> list[str]:
    return [request.event["data"]["referral"] for request in station.receiver.events(OPENED)]


async def test_a_category_withdrawn_before_the_next_one_arrived_costs_nobody_the_arrival(station: Station) -> None:
    made = await station.subscribed()
    gate, code = station.world.gate, station.world.gate.code()
    await station.world.tell(
        gate.opened(code, SADDAR),
        gate.disclosed(code, SADDAR, Category.INCIDENT, NARRATIVE),
        gate.withdrawn(code, SADDAR, Category.INCIDENT),
    )
    assert await station.send() == 0
    await station.world.tell(gate.disclosed(code, SADDAR, Category.IDENTITY, PERSON))
    await station.send()
    assert told(station) == [code]
    await station.world.tell(gate.disclosed(code, SADDAR, Category.IDENTITY, PERSON))
    assert await station.send() == 0
    assert (await station.shown(made["subscription"]))["queued"] == 0


async def test_an_arrival_that_is_handled_after_its_withdrawal_is_told_to_nobody(station: Station) -> None:
    made = await station.subscribed()
    gate, code = station.world.gate, station.world.gate.code()
    opened = gate.opened(code, SADDAR)
    await station.world.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT), opened)
    assert (await station.shown(made["subscription"]))["queued"] == 0
    assert await station.send() == 0
    assert (await station.replay(made["subscription"], since="2020-01-01T00:00:00Z")).json()["queued"] == 0
    assert await station.send() == 0


async def test_a_referral_that_is_granted_again_is_told_again(station: Station) -> None:
    await station.subscribed()
    gate, code = station.world.gate, station.world.gate.code()
    first: list[Received] = [gate.opened(code, SADDAR), gate.disclosed(code, SADDAR, Category.INCIDENT, NARRATIVE)]
    await station.world.tell(*first)
    await station.send()
    await station.world.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    await station.world.tell(
        gate.opened(code, SADDAR, consent_version=1000),
        gate.disclosed(code, SADDAR, Category.INCIDENT, NARRATIVE, epoch=2),
    )
    await station.send()
    assert told(station) == [code, code]
    ids: list[Any] = [request.headers["webhook-id"] for request in station.receiver.events(OPENED)]
    assert len(set(ids)) == 2
