"""One case told twice at the same times, once with a court's secret order beside it: her page must not know which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.categories import Agency
from amanat.contracts.withdrawals import TombstoneConfirmed
from intake.api import desk as cells_desk
from intake.my_case.api import desk as her_desk
from intake.my_case.api.rendering import render
from intake.my_case.schemas import MyCase
from intake.my_case.texts import LANGUAGES

from ..breaking import round_at
from ..looking import look, tell
from ..world import World
from .cell import Claim, hers, issue, sign_in


@dataclass
class Twin:
    """A case, and the time at which the cell sees it; `is_secret` of the one with the order."""

    world: World
    begins: datetime
    is_secret: bool
    now: datetime = field(init=False)
    case: str = ""
    claim: Claim = field(init=False)
    told: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.begins

    def at(self, seconds: float) -> datetime:
        """What follows happens so long after the beginning."""
        self.now = self.begins + timedelta(seconds=seconds)
        return self.now

    def moment(self, seconds: float) -> str:
        return (self.begins + timedelta(seconds=seconds)).isoformat()

    async def open(self, *consents: Any, **parts: Any) -> None:
        self.case, _ = await self.world.open_case(*consents, **parts)
        self.claim = await issue(self.world, self.case)

    async def give(self, consent: Any) -> None:
        assert (await self.world.post(f"/v1/cases/{self.case}/consents", consent)).status_code == 201

    async def order(self, agency: Agency, *categories: str) -> str | None:
        """The secret order: in the other case it never was."""
        if not self.is_secret:
            return None
        review = {"reference": "Order 8 of 2026", "review_at": (self.begins + timedelta(days=20)).isoformat()}
        return await self.world.order(self.case, agency, *categories, secrecy=review)

    async def end_order(self, order: str | None) -> None:
        if order is not None:
            assert (await self.world.end_order(self.case, order)).status_code == 200

    async def look(self, agency: Agency, *categories: Any) -> None:
        [row] = await self.world.rows(
            "SELECT code FROM referrals WHERE case_code = :c AND agency = :a", c=self.case, a=agency
        )
        await tell(self.world, row.code, look(self.now, *categories), agency=agency)

    async def look_secretly(self, agency: Agency, *categories: Any) -> None:
        """A look that only the order makes possible."""
        if self.is_secret:
            await self.look(agency, *categories)

    async def take_back(self, **wish: Any) -> None:
        """As the page does it; what it answers is told."""
        session = (await sign_in(self.world, self.claim.code))["session"]
        answer = await hers(self.world, "/v1/my/withdrawals", session=session, **wish)
        assert answer.status_code == 200, answer.text
        taken = answer.json()
        self.told.append(taken | {"call": taken["call"] is not None})

    async def confirm(self) -> None:
        """Every office says that what ended there is closed: each in its own second."""
        ended = await self.world.rows(
            "SELECT r.agency, s.referral, s.category, s.epoch FROM shares s JOIN referrals r ON r.code = s.referral"
            " WHERE r.case_code = :c AND s.ended_at IS NOT NULL AND s.confirmed_at IS NULL",
            c=self.case,
        )
        for row in ended:
            fact = TombstoneConfirmed(
                referral=row.referral, category=row.category, epoch=row.epoch, confirmed_at=self.now
            )
            await self.world.fact(Agency(row.agency), fact)

    async def record(self, person: dict[str, Any]) -> None:
        """Who she is, written anew; the last record of it is corrected."""
        read = await self.world.get(f"/v1/cases/{self.case}")
        last = [each for each in read.json()["records"] if each["kind"] == "person"][-1]
        body = {"kind": "person", "record": person, "corrects": last["record"], "reason": "told later"}
        added = await self.world.post(f"/v1/cases/{self.case}/records", body, If_Match=read.headers["etag"])
        assert added.status_code == 201, added.text

    async def sweep(self) -> None:
        await round_at(self.world, self.now)

    async def page(self) -> dict[str, Any]:
        """Her page, told as data and as it is shown in both languages."""
        case = (await sign_in(self.world, self.claim.code))["case"]
        shown = [
            render("case.html", language, case=MyCase.model_validate(case), session="", again="again", leave="leave")
            for language in LANGUAGES
        ]
        self.told.append((case, shown))
        return dict(case)


async def both(
    world: World, monkeypatch: pytest.MonkeyPatch, story: Callable[[Twin], Awaitable[None]]
) -> tuple[list[Any], list[Any]]:
    """What the page told of the case without an order, and of the one with it."""
    # A little ahead of the clock, by which the database counts leases: what it says never comes after what is shown.
    begins = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    told = []
    for is_secret in (False, True):
        twin = Twin(world, begins, is_secret)
        for desk in (cells_desk.Desk, her_desk.Desk):
            monkeypatch.setattr(desk, "now", property(lambda _, twin=twin: twin.now))
        await story(twin)
        told.append(twin.told)
    return told[0], told[1]
