"""What two people approved no withdrawal ends: a supervisor does, by name and with a reason, or its time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.contracts.disclosures import CategoryWithdrawn

from .breaking import later, plain
from .test_outside_disclosures import asked, secrecy
from .world import CANARY, KARACHI, LAHORE, POLICE, World, consent

BASES = ["court_order", "statutory_duty"]


async def end(world: World, case: str, disclosure: str, **token: Any) -> Any:
    path = f"/v1/cases/{case}/disclosures/{disclosure}/ending"
    return await world.as_person("superintendent", "POST", path, {"reason": "lifted"}, **token)


async def shown(world: World, case: str) -> list[dict[str, Any]]:
    answer = await world.as_person("records", "GET", f"/v1/cases/{case}/disclosures")
    return list(answer.json()["disclosures"])


async def keys(world: World) -> list[str]:
    return [row.category for row in await world.rows("SELECT category FROM keys ORDER BY category")]


@pytest.mark.parametrize("basis", BASES)
async def test_no_withdrawal_ends_what_two_people_approved(world: World, basis: str) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    ordered = await world.order(case, POLICE, "incident", basis=basis)
    before = (await world.rows("SELECT count(*) AS n FROM consent_events"))[0].n
    for categories in ((), ("incident",), ("identity",)):
        refused = await world.withdraw(case, ordered, *categories)
        assert (refused.status_code, refused.json()["code"]) == (409, "rests-on-law")
        assert "/ending" in refused.json()["title"]
    async with world.person("desk") as client:
        assert (await client.post(f"/v1/cases/{case}/consents/{ordered}/withdrawal", json={})).status_code == 409
    assert await keys(world) == ["identity", "incident"]
    assert (await world.rows("SELECT count(*) AS n FROM consent_events"))[0].n == before
    assert len((await world.leased(POLICE, referrals[POLICE]))["keys"]) == 2


async def test_to_another_cell_it_is_the_404_of_a_consent_that_never_was(world: World) -> None:
    case, _ = await world.open_case()
    ordered = await world.order(case, POLICE, "incident")
    assert (await world.withdraw(case, ordered, cell=LAHORE)).status_code == 404


async def test_a_supervisor_ends_it_before_its_time_by_name_and_with_a_reason(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    ordered = await world.order(case, POLICE, "incident", "identity")
    answer = await world.end_order(case, ordered)
    assert (answer.status_code, answer.json()["state"], answer.json()["consent"]) == (200, "ended", ordered)
    assert CANARY not in answer.text
    # At once, and her own consent goes on.
    assert await keys(world) == ["identity"]
    assert [key["category"] for key in (await world.leased(POLICE, referrals[POLICE]))["keys"]] == ["identity"]
    tombstones = [row for row in await world.outbox(referrals[POLICE]) if row.type == CategoryWithdrawn.type]
    assert [(row.category, row.cancelled_at) for row in tombstones] == [("incident", None)]
    [told] = await shown(world, case)
    assert (told["state"], told["ended_by"], told["ended_by_unit"]) == (
        "ended", f"{KARACHI}.superintendent", "superintendent-office",
    )  # fmt: skip
    assert told["why_ended"] == f"{CANARY}: it was lifted"
    assert "disclosure_ended" in [entry["kind"] for entry in await world.timeline(case)]
    [stated] = await world.rows("SELECT source FROM ledger_entries WHERE kind = 'disclosure_ended'")
    [row] = await world.rows("SELECT * FROM outside_endings")
    assert stated.source == f"outside_endings/{row.id}"
    clear = json.dumps([str(each) for each in await world.rows("SELECT to_jsonb(t) FROM outside_endings AS t")])
    assert CANARY not in clear


async def test_said_again_it_changes_nothing(world: World) -> None:
    case, _ = await world.open_case()
    ordered = await world.order(case, POLICE, "incident")
    first = await world.end_order(case, ordered)
    sent = len(await world.outbox())
    again = await world.end_order(case, ordered)
    assert again.json() == first.json()
    assert len(await world.outbox()) == sent
    assert len(await world.rows("SELECT 1 FROM outside_endings")) == 1
    assert (await world.withdraw(case, ordered)).json()["code"] == "rests-on-law"


async def test_what_was_only_asked_for_refused_or_is_over_is_not_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = await world.open_case()
    only_asked = await asked(world, case)
    answer = await end(world, case, only_asked)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-in-force")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    over = await world.order(case, POLICE, "incident", expires_at=soon)
    later(monkeypatch, hours=2)
    assert (await world.end_order(case, over)).json()["code"] == "not-in-force"
    assert await world.rows("SELECT 1 FROM outside_endings") == []


async def test_no_other_cells_supervisor_ends_it_nor_learns_of_it(world: World) -> None:
    case, _ = await world.open_case()
    ordered = await world.order(case, POLICE, "incident")
    [row] = await world.rows("SELECT disclosure FROM outside_decisions WHERE consent = :c", c=ordered)
    foreign = await end(world, case, str(row.disclosure), cell=LAHORE)
    unknown = await end(world, "C-0000-0000-0", str(row.disclosure))
    assert (foreign.status_code, plain(foreign)) == (404, plain(unknown))
    assert await keys(world) == ["incident"]


async def test_under_a_courts_secrecy_its_end_is_as_secret_as_it(world: World) -> None:
    case, _ = await world.open_case()
    until = secrecy()
    ordered = await world.order(case, POLICE, "incident", secrecy=until)
    assert (await world.end_order(case, ordered)).status_code == 200
    [line] = [entry for entry in await world.timeline(case) if entry["kind"] == "disclosure_ended"]
    assert datetime.fromisoformat(line["detail"]["secret_until"]) == datetime.fromisoformat(until["review_at"])
    assert CANARY not in json.dumps(line)


async def test_an_order_that_ended_is_nothing_that_she_took_back(world: World) -> None:
    """Her consent of before, written down late, was never withdrawn; to say so would tell of the order as well."""
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    given = datetime.now(UTC).isoformat()
    ordered = await world.order(case, POLICE, "incident", secrecy=secrecy())
    await world.end_order(case, ordered)
    late = await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "incident", given_at=given))
    assert late.status_code == 201, late.text
    assert set(await world.readable(POLICE, referrals[POLICE])) == {"identity", "incident"}


async def test_it_ends_though_no_record_of_the_case_opens(world: World, postgres: Any) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    ordered = await world.order(case, POLICE, "incident")
    postgres.sql("intake", "UPDATE records SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    assert (await world.end_order(case, ordered)).status_code == 200
    assert await keys(world) == ["identity"]
