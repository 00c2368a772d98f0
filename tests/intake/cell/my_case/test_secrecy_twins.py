"""Under a court's secrecy order her page is what it would be without: told twice, and compared to the letter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ..looking import IDENTITY, INCIDENT
from ..world import CANARY, HERSELF, LEGAL, POLICE, SADDAR, World, consent
from .twins import Twin, both

OFFICE = {"agency": POLICE, "organisation": SADDAR}
GROWN = {"full_name": CANARY, "birth_date": "1999-02-03"}
CHILD = {"full_name": CANARY, "birth_date": "2014-02-03"}


async def she_takes_back(twin: Twin) -> None:
    await twin.open(consent(POLICE, "identity", "incident", "examination"), consent(LEGAL, "identity"))
    twin.at(10.4)
    await twin.order(POLICE, "examination", "incident")
    twin.at(20.7)
    await twin.look(POLICE, IDENTITY, INCIDENT)
    twin.at(100.2)
    await twin.take_back(**OFFICE, category="incident")
    twin.at(161.8)
    await twin.take_back(category="examination")
    twin.at(163.9)
    await twin.page()
    await twin.confirm()
    twin.at(190.9)
    await twin.look_secretly(POLICE, INCIDENT)
    await twin.page()
    twin.at(200)
    await twin.take_back()
    twin.at(201)
    await twin.confirm()
    assert len((await twin.page())["ended"]) == 4


async def her_consent_expires(twin: Twin) -> None:
    expires = {"expires_at": twin.moment(90.5)}
    await twin.open(consent(POLICE, "incident", "identity", **expires), consent(LEGAL, "identity", **expires))
    twin.at(10)
    order = await twin.order(POLICE, "incident")
    twin.at(50)
    assert len((await twin.page())["shared"]) == 2
    twin.at(90.6)
    assert len((await twin.page())["ended"]) == 3
    twin.at(94.3)
    await twin.sweep()
    twin.at(95)
    await twin.page()
    await twin.confirm()
    twin.at(130)
    await twin.page()
    twin.at(140)
    await twin.end_order(order)
    await twin.confirm()
    assert len((await twin.page())["ended"]) == 3


async def she_gives_again_and_takes_back_again(twin: Twin) -> None:
    await twin.open(consent(POLICE, "incident", "identity"))
    twin.at(5)
    await twin.take_back(**OFFICE, category="incident")
    twin.at(10)
    order = await twin.order(POLICE, "incident")
    twin.at(20)
    await twin.page()
    await twin.look_secretly(POLICE, INCIDENT)
    twin.at(30)
    await twin.give(consent(POLICE, "incident", expires_at=twin.moment(4000)))
    twin.at(40)
    await twin.look(POLICE, INCIDENT)
    await twin.page()
    twin.at(75)
    await twin.take_back(**OFFICE, category="incident")
    twin.at(80)
    await twin.end_order(order)
    await twin.confirm()
    page = await twin.page()
    assert [each["times"] for each in page["looks"] if each["name"].startswith("Reporting")] == [1]


async def an_office_looks_at_its_own_papers_before_she_gives(twin: Twin) -> None:
    await twin.open(consent(LEGAL, "identity"))
    twin.at(10)
    await twin.order(POLICE, "incident")
    twin.at(20)
    await twin.look_secretly(POLICE)
    await twin.page()
    twin.at(30)
    await twin.give(consent(POLICE, "identity"))
    twin.at(31)
    await twin.page()
    twin.at(40)
    await twin.look(POLICE)
    page = await twin.page()
    assert [each["times"] for each in page["looks"]] == [1]


async def an_office_looks_at_its_own_papers_and_nothing_that_she_gave_ever_reached_it(twin: Twin) -> None:
    """Her treatment is beyond what the police may ever have: of that consent nothing was opened."""
    await twin.open(consent(POLICE, "care"))
    twin.at(10)
    await twin.order(POLICE, "incident")
    twin.at(20)
    await twin.look_secretly(POLICE)
    page = await twin.page()
    assert (page["shared"], page["looks"]) == ([], [])


async def her_age_becomes_known(twin: Twin) -> None:
    await twin.open(consent(POLICE, "incident", "identity"), person={"full_name": CANARY})
    twin.at(10)
    await twin.order(POLICE, "incident")
    twin.at(20)
    await twin.look_secretly(POLICE, INCIDENT)
    assert (await twin.page())["shared"] == []
    twin.at(30)
    await twin.record(GROWN)
    twin.at(40)
    await twin.look(POLICE, INCIDENT, IDENTITY)
    page = await twin.page()
    assert [each["times"] for each in page["looks"] if each["name"].startswith("Reporting")] == [1]


async def her_age_is_corrected(twin: Twin) -> None:
    await twin.open(consent(POLICE, "incident", "identity"), person=GROWN)
    twin.at(10)
    await twin.order(POLICE, "incident", "identity")
    twin.at(20)
    await twin.look(POLICE, IDENTITY)
    twin.at(90)
    await twin.record(CHILD)
    twin.at(100)
    await twin.look_secretly(POLICE, IDENTITY)
    page = await twin.page()
    assert [each["times"] for each in page["looks"] if each["name"].startswith("Reporting")] == [1]
    assert len(page["ended"]) == 2
    twin.at(110)
    await twin.record(GROWN)
    assert (await twin.page())["ended"] == []


async def she_turned_eighteen_as_it_seemed(twin: Twin) -> None:
    """A guardian's consent ended on a birthday that was a slip of the pen: corrected, it goes on."""
    day = (twin.begins + timedelta(days=3)).date()
    day += timedelta(days=(day.month, day.day) == (2, 29))
    of_age = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=5) - twin.begins
    deciders = [*HERSELF, {"role": "guardian", "decision": "consent", "relationship": "mother"}]
    born = day.replace(year=day.year - 18)
    person = {"full_name": CANARY, "birth_date": born.isoformat()}
    await twin.open(consent(POLICE, "identity", basis="guardian", deciders=deciders), person=person)
    twin.at(10)
    await twin.order(POLICE, "identity")
    twin.at(20)
    assert len((await twin.page())["shared"]) == 1
    twin.at(of_age.total_seconds() + 100)
    await twin.look_secretly(POLICE, IDENTITY)
    await twin.sweep()
    assert len((await twin.page())["ended"]) == 1
    twin.at(of_age.total_seconds() + 200)
    await twin.record({**person, "birth_date": (born + timedelta(days=90)).isoformat()})
    assert len((await twin.page())["shared"]) == 1


async def two_consents_open_the_same(twin: Twin) -> None:
    await twin.open(
        consent(POLICE, "incident", expires_at=twin.moment(60)),
        consent(POLICE, "incident", "identity", expires_at=twin.moment(300)),
    )
    twin.at(10)
    await twin.order(POLICE, "incident", "identity")
    for seconds in (20, 70):
        twin.at(seconds)
        await twin.page()
    twin.at(100)
    await twin.give(consent(POLICE, "identity"))
    await twin.page()
    twin.at(301)
    assert len((await twin.page())["ended"]) == 1
    twin.at(310)
    await twin.take_back(**OFFICE)
    await twin.page()


STORIES = [
    she_takes_back,
    her_consent_expires,
    she_gives_again_and_takes_back_again,
    an_office_looks_at_its_own_papers_before_she_gives,
    an_office_looks_at_its_own_papers_and_nothing_that_she_gave_ever_reached_it,
    her_age_becomes_known,
    her_age_is_corrected,
    she_turned_eighteen_as_it_seemed,
    two_consents_open_the_same,
]


@pytest.mark.parametrize("story", STORIES)
async def test_her_page_is_the_same_with_a_secret_order_and_without(
    world: World, monkeypatch: pytest.MonkeyPatch, story: Callable[[Twin], Awaitable[Any]]
) -> None:
    without, with_it = await both(world, monkeypatch, story)
    assert with_it == without
