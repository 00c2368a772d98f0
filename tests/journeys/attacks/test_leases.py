"""Leases asked in another's name: whatever an agency's own service asks for, it gets keys to nothing but its own."""

from __future__ import annotations

from itertools import product
from typing import Any

import httpx
import pytest
from counting import Count

from amanat_local import tokens
from amanat_local.stack import Stack

from .ground import LABORATORY, PARTNER, STATION, Ground

pytestmark = [pytest.mark.stack, pytest.mark.attack]
AGENCIES = {"police-link": "investigation", "forensics": "forensic_analysis", "legal-aid": "legal_representation"}
ORGANISATIONS = (STATION, "station-clifton", LABORATORY, PARTNER, "arcc-karachi", "police-link")
PURPOSES = (*AGENCIES.values(), "own_view", "")
AT_ONCE = 50


def lease(stack: Stack, caller: str, items: list[dict[str, str]], **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {tokens.token(stack.info, f'{caller}-service')}"}
    return httpx.post(
        stack.info["gate"] + "/internal/v1/leases", json={"items": items, **more}, headers=headers, timeout=30
    )


def in_another_name(on: Ground, agency: str) -> list[dict[str, str]]:
    """Every referral, organisation and purpose together, but the one that is this agency's own."""
    referrals = {
        "police-link": on.things["police-link"]["code"],
        "legal-aid": on.things["legal-aid"]["code"],
        "intake": on.things["intake"]["case"],
    }
    right = {(referrals.get(agency), STATION if agency == "police-link" else PARTNER, AGENCIES[agency])}
    asked = set(product(referrals.values(), ORGANISATIONS, PURPOSES)) - right
    return [
        {"referral": code, "organisation": organisation, "purpose": purpose}
        for code, organisation, purpose in sorted(asked)
    ]


@pytest.mark.parametrize("agency", AGENCIES)
def test_a_lease_in_anothers_name_is_as_empty_as_one_of_nobodys(
    stack: Stack, ground: Ground, agency: str, count: Count
) -> None:
    asked = in_another_name(ground, agency)
    nobodys = {"referral": ground.nobodys["police-link"]["code"], "organisation": STATION, "purpose": AGENCIES[agency]}
    [empty] = lease(stack, agency, [nobodys]).raise_for_status().json()["leases"]
    assert (empty["keys"], empty["expires_in_s"]) == ([], 0)
    for start in range(0, len(asked), AT_ONCE):
        items = asked[start : start + AT_ONCE]
        answer = lease(stack, agency, items)
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:  # no purpose at all is no request
            items = [each for each in items if each["purpose"]]
            answer = lease(stack, agency, items)
        told = answer.raise_for_status().json()["leases"]
        assert [each | {"referral": ""} for each in told] == [empty | {"referral": ""}] * len(items)
    count("leases asked in another's name", len(asked))


def test_its_own_is_leased(stack: Stack, ground: Ground) -> None:
    own = {"referral": ground.things["police-link"]["code"], "organisation": STATION, "purpose": "investigation"}
    [leased] = lease(stack, "police-link", [own]).raise_for_status().json()["leases"]
    assert leased["keys"]


@pytest.mark.parametrize("more", [{"agency": "police-link"}, {"organisation": STATION}, {"on_behalf_of": "intake"}])
def test_an_agency_named_in_the_body_is_refused(
    stack: Stack, ground: Ground, more: dict[str, str], count: Count
) -> None:
    own = {"referral": ground.things["police-link"]["code"], "organisation": STATION, "purpose": "investigation"}
    for agency in ("forensics", "legal-aid"):
        assert lease(stack, agency, [own], **more).status_code == httpx.codes.UNPROCESSABLE_ENTITY
        answer = lease(stack, agency, [own | {"agency": "police-link"}])
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        count("leases asked in another's name", 2)
