from __future__ import annotations

from amanat.agency.testing import World
from amanat.categories import Category

SADDAR, CLIFTON = "station-saddar", "station-clifton"


async def refer(police: World) -> str:
    """A referral of two categories; its code."""
    gate, code = police.gate, police.gate.code()
    await police.tell(
        gate.opened(code, SADDAR),
        gate.disclosed(code, SADDAR, Category.INCIDENT, ("incident", {"history": "told once"})),
        gate.disclosed(code, SADDAR, Category.IDENTITY, ("person", {"full_name": "Zainab"})),
    )
    return code


async def test_a_station_reads_what_was_disclosed_to_it(police: World) -> None:
    code = await refer(police)
    async with police.client(SADDAR) as officer:
        answer = await officer.get(f"/v1/referrals/{code}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["referral"] == code
    assert shown["state"] == "sent"
    assert shown["parts"]["incident"][0]["fields"] == {"history": "told once"}
    assert shown["parts"]["identity"][0]["fields"] == {"full_name": "Zainab"}
    assert shown["own"] == []


async def test_a_withdrawn_category_is_gone_and_the_others_stay(police: World) -> None:
    code = await refer(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    async with police.client(SADDAR) as officer:
        answer = await officer.get(f"/v1/referrals/{code}")
    assert set(answer.json()["parts"]) == {"identity"}
