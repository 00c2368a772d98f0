"""Her page and the approval of a secret order at one time: whatever comes first, the page tells nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from intake.my_case.api import desk as her_desk
from intake.my_case.repository import claims, persons
from intake.my_case.repository import looks as each_alone
from intake.my_case.service import viewing
from intake.repository import consents, looks

from ..looking import IDENTITY, INCIDENT, look, tell
from ..test_secrecy import OFFICE, order, page
from ..world import POLICE, World, consent
from .cell import Claim, hers, issue, sign_in

STATEMENTS: list[tuple[ModuleType, str]] = [
    (consents, "read_referrals"),
    (consents, "read_shares"),
    (looks, "read_looks"),
    (each_alone, "read_each"),
    (claims, "read_unaccounted"),
    (viewing, "readable_events"),
    (persons, "read_persons"),
    (viewing, "secret_consents"),
]


async def story(world: World) -> tuple[str, dict[str, str], Claim]:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    await tell(world, referrals[POLICE], look(datetime.now(UTC), IDENTITY))
    return case, referrals, claim


@pytest.mark.parametrize(("room", "name"), STATEMENTS, ids=[name for _, name in STATEMENTS])
async def test_an_approval_between_any_two_statements_shows_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, room: ModuleType, name: str
) -> None:
    case, referrals, claim = await story(world)
    before = await page(world, claim)
    read, met = getattr(room, name), []

    async def meets(*args: Any, **more: Any) -> Any:
        if not met:
            met.append(name)
            met.append(await world.order(case, POLICE, "incident", secrecy=order()))
            await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT), look(datetime.now(UTC), IDENTITY))
        return await read(*args, **more)

    monkeypatch.setattr(room, name, meets)
    during = await page(world, claim)
    assert len(met) == 2
    after = await page(world, claim)
    for told in (during, after):
        assert (told["shared"], told["ended"], told["law"]) == (before["shared"], [], [False])
        assert [categories for _, categories, _ in told["looks"] if categories != ["identity"]] == []


@pytest.mark.parametrize("seconds", [1, 60])
async def test_a_request_that_waited_while_an_order_was_approved_shows_nothing(world: World, seconds: float) -> None:
    case, referrals, claim = await story(world)
    before = await page(world, claim)
    await world.order(case, POLICE, "incident", secrecy=order())
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT), look(datetime.now(UTC)))
    told = await page(world, claim, seconds=-seconds)
    # A look at the office's own papers: it was hers to know that the office had something.
    assert told | {"looks": None} == before | {"looks": None}
    assert [categories for _, categories, _ in told["looks"]] == [[], ["identity"]]


async def test_a_withdrawal_that_waited_while_an_order_was_approved_tells_of_hers_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _, claim = await story(world)
    session = (await sign_in(world, claim.code))["session"]
    came = datetime.now(UTC)
    await world.order(case, POLICE, "incident", "identity", secrecy=order())
    monkeypatch.setattr(her_desk.Desk, "now", property(lambda _: came))
    taken = (await hers(world, "/v1/my/withdrawals", session=session, **OFFICE)).json()
    again = (await sign_in(world, claim.code))["case"]
    assert (taken["stays"], again["shared"]) == ([], [])
    assert [each["category"]["id"] for each in taken["ended"]] == ["identity"]
    assert taken["ended"] == again["ended"]
    assert datetime.fromisoformat(taken["ended"][0]["ended_at"]) == came.replace(second=0, microsecond=0)
    assert came - datetime.fromisoformat(taken["taken_back_at"]) == timedelta(0)
