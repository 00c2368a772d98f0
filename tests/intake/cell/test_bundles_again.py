"""A hospital's system posts what it has, again and again: what she took back meanwhile is not given again by it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .world import POLICE, World

ARRIVAL = json.loads(Path(__file__).parents[3].joinpath("examples/bundles/arrival.json").read_text())
CLASS = "https://amanat.pk/fhir/data-class"
POLICE_CONSENT = 0
"""The first of the example's Consents: identity, incident, examination to the police."""


def _bundle(*, said: str, consents: dict[str, Any] | None = None, classes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arrival as posted at another time: no replay of the first, but the same Patient and Encounter.

    `consents` replaces elements of the Consent to the police; `classes` are named by it besides.
    """
    bundle = copy.deepcopy(ARRIVAL)
    given = [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Consent"]
    given[POLICE_CONSENT].update(consents or {})
    given[POLICE_CONSENT]["provision"]["class"] += [{"system": CLASS, "code": code} for code in classes]
    return {**bundle, "timestamp": said}


async def _posted(world: World, bundle: dict[str, Any]) -> str:
    answer = await world.post("/fhir", bundle)
    assert answer.status_code == 200, answer.text
    [case] = {
        each["response"]["location"].split("#")[0].split("/")[3]
        for each in answer.json()["entry"]
        if "location" in each["response"]
    }
    return str(case)


async def _arrived(world: World) -> tuple[str, str]:
    """The case of the first bundle, and its referral at the police."""
    case = await _posted(world, _bundle(said="2026-01-01T00:00:00Z"))
    [referral] = [
        each["referral"]
        for each in (await world.get(f"/v1/cases/{case}")).json()["referrals"]
        if each["agency"] == POLICE
    ]
    assert set(await world.readable(POLICE, referral)) == {"identity", "incident", "examination"}
    return case, referral


async def test_a_bundle_posted_again_revives_nothing_that_was_withdrawn(world: World) -> None:
    case, referral = await _arrived(world)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    sent = len(await world.outbox(referral))
    again = await _posted(world, _bundle(said="2026-01-02T00:00:00Z"))
    assert again == case
    assert await world.readable(POLICE, referral) == {}
    assert len(await world.outbox(referral)) == sent


@pytest.mark.parametrize(("taken_back", "status"), [((), "200 OK"), (("incident",), "201 Created")])
async def test_the_sender_is_told_what_stays_withdrawn(world: World, taken_back: tuple[str, ...], status: str) -> None:
    case, _ = await _arrived(world)
    await world.withdraw(case, await world.consent_of(case, POLICE), *taken_back)
    again = _bundle(said="2026-01-02T00:00:00Z")
    kinds = [entry["resource"]["resourceType"] for entry in again["entry"]]
    for replayed in (None, "true"):
        answer = await world.post("/fhir", again, key="the-same-bundle")
        assert answer.headers.get("Idempotency-Replayed") == replayed
        response = answer.json()["entry"][kinds.index("Consent")]["response"]
        assert response["status"] == status
        assert ("location" in response) == (status == "201 Created")
        [issue] = response["outcome"]["issue"]
        assert issue["details"]["coding"][0]["code"] == "consent-withdrawn-since"


async def test_the_same_consent_under_another_date_before_the_withdrawal_revives_nothing(world: World) -> None:
    case, referral = await _arrived(world)
    await world.withdraw(case, await world.consent_of(case, POLICE), "incident")
    corrected = _bundle(said="2026-01-02T00:00:00Z", consents={"dateTime": "2025-06-03T08:00:00+05:00"})
    assert await _posted(world, corrected) == case
    assert set(await world.readable(POLICE, referral)) == {"identity", "examination"}


async def test_a_consent_that_names_more_gives_what_is_new_and_not_what_was_withdrawn(world: World) -> None:
    case, referral = await _arrived(world)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    wider = _bundle(said="2026-01-02T00:00:00Z", classes=("contact",))
    assert await _posted(world, wider) == case
    assert set(await world.readable(POLICE, referral)) == {"contact"}


async def test_one_that_she_gives_after_the_withdrawal_is_a_new_one(world: World) -> None:
    case, referral = await _arrived(world)
    await world.withdraw(case, await world.consent_of(case, POLICE))
    anew = _bundle(said="2026-01-02T00:00:00Z", consents={"dateTime": datetime.now(UTC).isoformat()})
    assert await _posted(world, anew) == case
    assert set(await world.readable(POLICE, referral)) == {"identity", "incident", "examination"}
    assert {each["epoch"] for each in (await world.leased(POLICE, referral))["keys"]} == {2}


async def test_a_bundle_posted_again_records_no_consent_twice_so_that_one_withdrawal_ends_it(world: World) -> None:
    case, referral = await _arrived(world)
    assert await _posted(world, _bundle(said="2026-01-02T00:00:00Z")) == case
    assert len((await world.get(f"/v1/cases/{case}/consents")).json()["consents"]) == 3
    answer = await world.withdraw(case, await world.consent_of(case, POLICE))
    assert answer.json()["still_shared"] == []
    assert await world.readable(POLICE, referral) == {}
