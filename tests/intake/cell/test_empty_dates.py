"""What other systems write where they know no date: it is refused, and no case comes to be that cannot be opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .world import ADULT, POLICE, World, consent

EMPTY = ["1900-01-01T00:00:00+05:00", "2199-12-31T23:59:00-01:00"]


@pytest.mark.parametrize("written", EMPTY)
@pytest.mark.parametrize("field", ["review_at", "given_at", "expires_at"])
async def test_a_consent_with_an_empty_date_is_refused_and_the_case_stays_withdrawable(
    world: World, field: str, written: str
) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    refused = await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "incident", **{field: written}))
    assert (refused.status_code, [error["pointer"] for error in refused.json()["errors"]]) == (422, [f"/{field}"])
    assert written[:10] not in refused.text
    assert (await world.get(f"/v1/cases/{case}")).status_code == 200
    assert (await world.withdraw(case, await world.consent_of(case, POLICE))).status_code == 200


@pytest.mark.parametrize("written", EMPTY)
async def test_a_case_with_an_empty_date_is_refused(world: World, written: str) -> None:
    refusals: list[dict[str, Any]] = [
        {"person": ADULT, "incident": {"occurred_at": written}},
        {"person": ADULT, "incident": {}, "consents": [consent(POLICE, "identity", review_at=written)]},
    ]
    for body in refusals:
        refused = await world.post("/v1/cases", body)
        assert refused.status_code == 422
        assert written[:10] not in refused.text
    assert await world.rows("SELECT 1 FROM cases") == []


async def test_the_last_day_that_is_taken_is_a_consent_like_any_other(world: World) -> None:
    last = (datetime(2199, 12, 31, 23, 59, tzinfo=UTC) - timedelta(days=1)).isoformat()
    case, _ = await world.open_case(consent(POLICE, "identity", review_at=last, expires_at=last))
    assert (await world.withdraw(case, await world.consent_of(case, POLICE))).status_code == 200
