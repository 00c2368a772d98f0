"""She sees who looked: what agencies tell of it takes effect whatever became of the referral, and goes no further."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amanat import ledger
from amanat.contracts.police_link import FirRegistered
from amanat.contracts.records import RECORDS
from intake.service.sources import LOOKS_TOLD

from .looking import IDENTITY, INCIDENT, MORNING, look, tell
from .world import KARACHI, LAHORE, LEGAL, POLICE, SADDAR, World, consent


async def shown(world: World, case: str) -> list[dict[str, Any]]:
    """The looks of agencies, as the cell reads them."""
    looks = (await world.get(f"/v1/cases/{case}")).json()["looks"]
    return [each for each in looks if each["agency"] != "intake"]


async def told(world: World) -> list[Any]:
    return await world.rows("SELECT * FROM agency_looks ORDER BY at")


async def test_looks_are_shown_grouped_by_office_with_their_number_and_newest_last(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"), consent(LEGAL, "identity"))
    later = MORNING + timedelta(days=3)
    await tell(world, referrals[LEGAL], look(later, IDENTITY), agency=LEGAL)
    await tell(world, referrals[POLICE], look(later - timedelta(days=1), INCIDENT, IDENTITY), look(MORNING))
    await tell(world, referrals[POLICE], look(MORNING - timedelta(days=2), IDENTITY, INCIDENT))
    bare, full, partner = await shown(world, case)
    assert (bare["categories"], bare["times"], bare["first_at"]) == ([], 1, "2026-03-01T09:30:00Z")
    assert full == {
        "agency": "police-link",
        "organisation": SADDAR,
        "categories": ["identity", "incident"],
        "purpose": "investigation",
        "first_at": "2026-02-27T09:30:00Z",
        "last_at": "2026-03-03T09:30:00Z",
        "times": 2,
    }
    assert (partner["agency"], partner["organisation"], partner["times"]) == ("legal-aid", "partner-hamdam", 1)


async def test_the_cells_own_looks_are_shown_as_well(world: World) -> None:
    case, _ = await world.open_case()
    await world.get(f"/v1/cases/{case}")
    [own] = (await world.get(f"/v1/cases/{case}")).json()["looks"]
    assert (own["agency"], own["organisation"], own["purpose"], own["times"]) == ("intake", KARACHI, "care", 2)
    assert "identity" in own["categories"]


async def test_a_client_of_two_cells_leaves_its_look_at_the_cell_that_keeps_the_case(world: World) -> None:
    case, _ = await world.open_case()
    async with world.cell(LAHORE, [LAHORE, KARACHI]) as both:
        assert (await both.get(f"/v1/cases/{case}")).status_code == 200
        found = await both.post("/v1/cases/search", json={"cnic": "42101-1234567-1"})
    assert found.json()["cases"] == [case]
    assert sum(own["times"] for own in (await world.get(f"/v1/cases/{case}")).json()["looks"]) == 3


async def test_no_case_shows_anothers_looks(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    other, _ = await world.open_case(consent(POLICE, "identity"))
    await tell(world, referrals[POLICE], look(MORNING, IDENTITY))
    assert len(await shown(world, case)) == 1
    assert await shown(world, other) == []


async def test_a_look_told_twice_is_kept_once_and_the_others_beside_it_are_kept(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    again = look(MORNING, IDENTITY)
    await tell(world, referrals[POLICE], again, again)
    await tell(world, referrals[POLICE], look(MORNING, IDENTITY), again)
    assert await world.parked() == []
    assert len(await told(world)) == 2
    assert [each["times"] for each in await shown(world, case)] == [2]
    assert len(await world.rows("SELECT 1 FROM ledger_entries WHERE kind = 'look_told'")) == 2


async def test_an_agency_takes_no_place_of_anothers_look_by_its_id(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    same = look(MORNING, IDENTITY)
    await tell(world, referrals[LEGAL], same, agency=LEGAL)
    await tell(world, referrals[POLICE], same)
    assert {row.referral for row in await told(world)} == set(referrals.values())


async def test_a_digest_takes_effect_on_a_closed_referral(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    await world.withdraw(case, await world.consent_of(case, POLICE))
    await tell(world, referrals[POLICE], look(MORNING, IDENTITY))
    assert await world.parked() == []
    assert [each["times"] for each in await shown(world, case)] == [1]


async def test_a_digest_takes_effect_while_its_referral_is_parked(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    fir = FirRegistered(referral=referrals[POLICE], record=RECORDS["fir"]())
    await world.inbox.process([world.sealed(POLICE, fir, body=b"{}")])
    await tell(world, referrals[POLICE], look(MORNING, IDENTITY))
    assert await world.parked() == ["BadFact"]
    assert len(await shown(world, case)) == 1


async def test_a_digest_goes_no_further_and_makes_no_look(world: World) -> None:
    _, referrals = await world.open_case(
        consent(POLICE, "identity", "investigation"), consent(LEGAL, "identity", "investigation")
    )
    sent, own = len(await world.outbox()), len(await world.rows("SELECT 1 FROM looks"))
    await tell(world, referrals[POLICE], look(MORNING, IDENTITY))
    assert len(await world.outbox()) == sent
    assert len(await world.rows("SELECT 1 FROM looks")) == own


@pytest.mark.parametrize("whose", ["another agency's", "unknown", "never opened"])
async def test_looks_at_a_referral_that_was_never_the_agencys_are_parked(world: World, whose: str) -> None:
    _, referrals = await world.open_case(
        consent(LEGAL, "identity"), referrals=[{"agency": POLICE, "organisation": SADDAR}]
    )
    codes = {"another agency's": referrals[LEGAL], "unknown": "P-0000-0000-0", "never opened": referrals[POLICE]}
    await tell(world, codes[whose], look(MORNING, IDENTITY))
    assert await world.parked() == ["NeverOpened"]
    assert await told(world) == []


async def test_a_look_told_stands_in_the_ledger_and_its_row_is_what_it_commits_to(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    await tell(world, referrals[POLICE], look(MORNING, IDENTITY))
    [row] = await told(world)
    [entry] = await world.rows("SELECT * FROM ledger_entries WHERE kind = 'look_told'")
    assert (entry.tenant, entry.subject, entry.source) == (KARACHI, referrals[POLICE], f"agency_looks/{row.id}")
    content = LOOKS_TOLD.open(row._mapping, world.instruments.at_rest)
    statement = ledger.Statement(KARACHI, "look_told", entry.subject, entry.at, {}, entry.source, content)
    salt = ledger.open_salt(entry.commitment, entry.salt_sealed, world.instruments.at_rest)
    assert ledger.proves(statement.document(), salt, entry.commitment)


async def test_a_look_by_an_agency_makes_the_answer_new_and_keeps_nobody_from_a_correction(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    before = await world.get(f"/v1/cases/{case}")
    etag = before.headers["etag"]
    await world.get(f"/v1/cases/{case}", cell=KARACHI)  # a colleague's look: the cell's own change no ETag
    assert (await world.get(f"/v1/cases/{case}", If_None_Match=etag)).status_code == 304
    await tell(world, referrals[POLICE], look(MORNING, INCIDENT))
    assert (await world.get(f"/v1/cases/{case}", If_None_Match=etag)).status_code == 200
    [old] = [record["record"] for record in before.json()["records"] if record["kind"] == "incident"]
    correction = {"kind": "incident", "record": {"place": "a market"}, "corrects": old}
    assert (await world.post(f"/v1/cases/{case}/records", correction, If_Match=etag)).status_code == 201
