"""The feed, for who cannot receive: nothing missed, nothing of another's, no content."""

from __future__ import annotations

from typing import Any

from amanat.agency.testing import World
from amanat.categories import Category
from amanat.errors import BadCursor

SADDAR, CLIFTON = "station-saddar", "station-clifton"
STORY = ("incident", {"history": "told once"})


async def page(police: World, organisation: str = SADDAR, **query: Any) -> Any:
    async with police.client(organisation) as officer:
        return await officer.get("/v1/referrals", params=query)


async def arrive(police: World, organisation: str = SADDAR) -> str:
    code = police.gate.code()
    await police.tell(
        police.gate.opened(code, organisation), police.gate.disclosed(code, organisation, Category.INCIDENT, STORY)
    )
    return code


async def test_a_reader_that_follows_the_cursor_sees_each_referral_once(police: World) -> None:
    codes = [await arrive(police) for _ in range(5)]
    seen: list[str] = []
    answer = await page(police, limit=2)
    while True:
        found = answer.json()
        seen += [item["referral"] for item in found["items"]]
        assert ("link" in answer.headers) == (found["next"] is not None)
        if found["next"] is None:
            break
        answer = await page(police, limit=2, cursor=found["next"])
    assert seen == codes
    later = await arrive(police)
    again = (await page(police, cursor=found["resume"])).json()
    assert [item["referral"] for item in again["items"]] == [later]


async def test_the_feed_is_codes_and_counts_without_content(police: World) -> None:
    code = await arrive(police)
    answer = await page(police)
    [item] = answer.json()["items"]
    assert item.keys() == {"referral", "state", "opened_at", "categories"}
    assert (item["referral"], item["state"], item["categories"]) == (code, "sent", 1)


async def test_another_centres_referrals_and_cursors_are_not_mine(police: World) -> None:
    await arrive(police)
    resume = (await page(police)).json()["resume"]
    assert (await page(police, CLIFTON)).json()["items"] == []
    answer = await page(police, CLIFTON, cursor=resume)
    assert (answer.status_code, answer.json()["code"]) == (BadCursor.status, "bad-cursor")


async def test_what_was_taken_back_whole_leaves_the_feed_unless_something_of_ours_is_left(police: World) -> None:
    gone, acted = await arrive(police), await arrive(police)
    async with police.client(SADDAR) as officer:
        await officer.post(f"/v1/referrals/{acted}/acknowledgement", json={}, headers={"Idempotency-Key": "1"})
    for code in (gone, acted):
        await police.tell(police.gate.withdrawn(code, SADDAR, Category.INCIDENT))
    items = (await page(police)).json()["items"]
    assert [(item["referral"], item["categories"]) for item in items] == [(acted, 0)]


async def test_a_referral_whose_parts_are_still_on_their_way_is_listed_already(police: World) -> None:
    code = police.gate.code()
    await police.tell(police.gate.opened(code, SADDAR))
    assert [item["referral"] for item in (await page(police)).json()["items"]] == [code]


async def test_a_reader_who_comes_between_a_new_grant_and_its_parts_sees_the_referral_at_its_new_place(
    police: World,
) -> None:
    gate, code = police.gate, await arrive(police)
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    other = await arrive(police)
    found = (await page(police)).json()
    assert [item["referral"] for item in found["items"]] == [other]
    await police.tell(gate.opened(code, SADDAR, consent_version=1000))
    assert [item["referral"] for item in (await page(police, cursor=found["resume"])).json()["items"]] == [code]


async def test_a_part_that_comes_after_another_was_withdrawn_brings_the_referral_to_readers_who_had_passed_it(
    police: World,
) -> None:
    gate, code = police.gate, await arrive(police)
    await police.tell(gate.withdrawn(code, SADDAR, Category.INCIDENT))
    other = await arrive(police)
    found = (await page(police)).json()
    assert [item["referral"] for item in found["items"]] == [other]
    late = gate.disclosed(code, SADDAR, Category.IDENTITY, ("person", {"full_name": "Zainab"}))
    await police.tell(late)
    again = (await page(police, cursor=found["resume"])).json()
    assert [item["referral"] for item in again["items"]] == [code]
    await police.tell(gate.disclosed(code, SADDAR, Category.IDENTITY, ("person", {"full_name": "Zainab"})))
    assert (await page(police, cursor=again["resume"])).json()["items"] == []


async def test_what_is_withdrawn_of_one_referral_takes_nothing_of_another_out_of_the_feed(police: World) -> None:
    """Two referrals lose a category each: each is still listed, with the one that it keeps."""
    gate, name = police.gate, ("person", {"full_name": "Invented"})
    whole, without_incident, without_identity = [await arrive(police) for _ in range(3)]
    for code in (whole, without_incident, without_identity):
        await police.tell(gate.disclosed(code, SADDAR, Category.IDENTITY, name))
    await police.tell(
        gate.withdrawn(without_incident, SADDAR, Category.INCIDENT),
        gate.withdrawn(without_identity, SADDAR, Category.IDENTITY),
    )
    listed = {item["referral"]: item["categories"] for item in (await page(police)).json()["items"]}
    assert listed == {whole: 2, without_incident: 1, without_identity: 1}
