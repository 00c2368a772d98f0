"""A tombstone hides its category from every read, whatever keys are leased; a new epoch is read again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import true

from amanat.agency import repository
from amanat.agency.testing import World
from amanat.categories import Category
from amanat.lease_wire import Lease

from .cases import SADDAR, open_case, read


class LeasesWith:
    """The real lease client, and something that happens just after each lease."""

    def __init__(self, police: World, then: Callable[[], Awaitable[None]]) -> None:
        self._inner, self._then = police.desk.leases, then
        police.desk = replace(police.desk, leases=self)

    def held(self, *_: object, **__: object) -> None:
        """Each is asked of the gate."""

    async def lease(self, referral: str, organisation: str, purpose: str, *, need: Collection[UUID] = ()) -> Lease:
        lease = await self._inner.lease(referral, organisation, purpose, need=need)
        await self._then()
        return lease


async def test_a_tombstone_hides_its_category_even_while_the_key_is_still_leased(police: World) -> None:
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False))
    answer = await read(police, code)
    assert set(answer.json()["parts"]) == {"identity"}
    assert "told once" not in answer.text


async def test_a_tombstone_that_comes_after_the_lease_still_hides_its_category(police: World) -> None:
    code = await open_case(police)
    withdrawn = police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False)
    LeasesWith(police, lambda: police.tell(withdrawn))
    answer = await read(police, code)
    assert set(answer.json()["parts"]) == {"identity"}


async def test_without_the_tombstone_join_that_would_show(police: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "not_withdrawn", lambda *_: true())
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT, destroys=False))
    assert "incident" in (await read(police, code)).json()["parts"]


async def test_a_tombstone_of_every_leased_category_leaves_404(police: World) -> None:
    code = await open_case(police)
    for category in (Category.INCIDENT, Category.IDENTITY):
        await police.tell(police.gate.withdrawn(code, SADDAR, category, destroys=False))
    assert (await read(police, code)).status_code == 404


async def test_a_new_epoch_is_read_after_a_withdrawal_and_the_old_one_never_again(police: World) -> None:
    code = await open_case(police)
    await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    again = ("incident", {"history": "told anew"})
    await police.tell(police.gate.disclosed(code, SADDAR, Category.INCIDENT, again, epoch=2))
    answer = await read(police, code)
    assert answer.json()["parts"]["incident"][0]["fields"] == {"history": "told anew"}
