"""What an organisation recorded opens under its own referral alone, wherever somebody puts its row."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from amanat.agency.testing import World
from amanat_local.postgres import Postgres

from .cases import CLIFTON, SADDAR, open_case, read

pytestmark = pytest.mark.attack

OFFICER = "Inspector Canary 8123"


@pytest.mark.parametrize("to", [SADDAR, CLIFTON])
async def test_a_record_that_was_put_under_another_referral_shows_nothing_there(
    police: World, migrated: Callable[[str, str], Postgres], to: str
) -> None:
    code, another = await open_case(police), await open_case(police, to)
    async with police.client(SADDAR) as officer:
        body = {"fir_number": "112/2026", "io_name": OFFICER, "sections": ["376"]}
        told = await officer.post(f"/v1/referrals/{code}/fir", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert told.status_code == 201
    assert OFFICER in (await read(police, code)).text
    postgres = migrated("police_link", "police_link")
    postgres.sql("police_link", f"UPDATE own_records SET tenant = '{to}', referral = '{another}'")
    for asked, organisation in ((another, to), (code, SADDAR)):
        assert OFFICER not in (await read(police, asked, organisation)).text
    assert (await read(police, another, to)).status_code == 500
    postgres.sql("police_link", f"UPDATE own_records SET tenant = '{SADDAR}', referral = '{code}'")
    assert OFFICER in (await read(police, code)).text
