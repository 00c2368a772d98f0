"""A case of two categories at a station, read as an officer reads it, and the looks that this leaves."""

from __future__ import annotations

import httpx
from sqlalchemy import select

from amanat.agency.testing import World
from amanat.categories import Category
from amanat.db import AnyRow
from amanat.tables import looks

SADDAR, CLIFTON = "station-saddar", "station-clifton"
STORY = ("incident", {"history": "told once"})
NAME = ("person", {"full_name": "Zainab"})


async def open_case(police: World, organisation: str = SADDAR) -> str:
    """A referral of two categories; its code."""
    code = police.gate.code()
    await police.tell(
        police.gate.opened(code, organisation),
        police.gate.disclosed(code, organisation, Category.INCIDENT, STORY),
        police.gate.disclosed(code, organisation, Category.IDENTITY, NAME),
    )
    return code


async def read(police: World, code: str, organisation: str = SADDAR, **headers: str) -> httpx.Response:
    async with police.client(organisation) as officer:
        return await officer.get(f"/v1/referrals/{code}", headers=headers)


async def all_looks(police: World, *organisations: str) -> list[AnyRow]:
    async with police.desk.database.transaction(organisations or (SADDAR, CLIFTON)) as session:
        return list((await session.execute(select(looks).order_by(looks.c.arrival))).all())
