"""She is told, unless a court's secrecy order forbids it until its review: then what rests on it alone is hidden."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from amanat.categories import Category
from amanat.consent import own
from intake.break_glass.service.secrecy import Hidden, hidden_from_her, secret_consents

from .breaking import round_at
from .world import CLIFTON, KARACHI, POLICE, SADDAR, World, consent, principal

INCIDENT = (POLICE, SADDAR, Category.INCIDENT)
IDENTITY = (POLICE, SADDAR, Category.IDENTITY)


def order(days: float = 20) -> dict[str, str]:
    return {"reference": "Order 8 of 2026", "review_at": (datetime.now(UTC) + timedelta(days=days)).isoformat()}


async def hidden(world: World, case: str, days: float = 0, cell: str = KARACHI) -> frozenset[Hidden]:
    """What is hidden from her so many days from now."""
    now = datetime.now(UTC) + timedelta(days=days)
    async with world.main.transaction((cell,)) as session:
        return await hidden_from_her(session, own(principal(cell)), cell, case, now, world.instruments)


async def test_without_a_secrecy_order_nothing_is_hidden(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    await world.order(case, POLICE, "incident")
    assert await hidden(world, case) == frozenset()


async def test_what_rests_on_it_alone_is_hidden_until_its_review(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    ordered = await world.order(case, POLICE, "incident", "identity", secrecy=order())
    assert await hidden(world, case) == {INCIDENT}
    assert await hidden(world, case, days=19) == {INCIDENT}
    assert await hidden(world, case, days=21) == frozenset()
    async with world.main.transaction((KARACHI,)) as session:
        args = (session, own(principal()), KARACHI, case)
        now = datetime.now(UTC)
        assert [str(each) for each in await secret_consents(*args, now)] == [ordered]
        assert await secret_consents(*args, now + timedelta(days=21)) == frozenset()


async def test_what_she_withdraws_rests_on_the_order_alone_from_then_on(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", "incident"))
    hers = await world.consent_of(case, POLICE)
    await world.order(case, POLICE, "incident", secrecy=order())
    assert await hidden(world, case) == frozenset()
    await world.withdraw(case, hers, "incident")
    assert await hidden(world, case) == {INCIDENT}


async def test_a_consent_that_expires_or_lacks_a_decider_hides_no_less(world: World) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    case, _ = await world.open_case(
        consent(POLICE, "incident", expires_at=soon), consent(POLICE, "identity", deciders=[])
    )
    await world.order(case, POLICE, "incident", "identity", secrecy=order())
    assert await hidden(world, case) == {IDENTITY}
    assert await hidden(world, case, days=3) == {INCIDENT, IDENTITY}


async def test_an_order_without_secrecy_to_the_same_office_is_told_and_another_offices_consent_is_not_enough(
    world: World,
) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", organisation=CLIFTON))
    await world.order(case, POLICE, "incident", "identity", secrecy=order())
    assert await hidden(world, case) == {INCIDENT, IDENTITY}
    await world.order(case, POLICE, "incident")
    assert await hidden(world, case) == {IDENTITY}


async def test_it_holds_whatever_became_of_the_disclosure(world: World) -> None:
    case, _ = await world.open_case()
    asked = (await world.ask(case, POLICE, "incident", secrecy=order())).json()["disclosure"]
    assert await hidden(world, case) == {INCIDENT}
    ended = await world.order(case, POLICE, "identity", secrecy=order())
    await world.withdraw(case, ended)
    body = {"reason": "no such order"}
    await world.as_person("superintendent", "POST", f"/v1/cases/{case}/disclosures/{asked}/refusal", body)
    assert await hidden(world, case) == {INCIDENT, IDENTITY}


async def test_another_cell_learns_nothing_of_it(world: World) -> None:
    case, _ = await world.open_case()
    await world.order(case, POLICE, "incident", secrecy=order())
    assert await hidden(world, case, cell="arcc-lahore") == frozenset()


async def test_lines_of_the_timeline_say_until_when_she_is_not_shown_them(world: World) -> None:
    case, _ = await world.open_case()
    told = order()
    await world.order(case, POLICE, "incident", secrecy=told)
    lines = {each["kind"]: each["detail"] for each in await world.timeline(case)}
    for kind in ("disclosure_asked", "disclosure_approved", "consent_given"):
        assert datetime.fromisoformat(lines[kind]["secret_until"]) == datetime.fromisoformat(told["review_at"])
    open_case, _ = await world.open_case()
    await world.order(open_case, POLICE, "incident")
    assert not [each for each in await world.timeline(open_case) if "secret_until" in each["detail"]]


async def test_when_its_review_comes_that_is_noted_once_and_nothing_else_is_written(world: World) -> None:
    case, _ = await world.open_case()
    await world.order(case, POLICE, "incident", secrecy=order(days=2))
    counted = (
        "SELECT (SELECT count(*) FROM ledger_entries), (SELECT count(*) FROM outbox), (SELECT count(*) FROM looks)"
    )
    await round_at(world, datetime.now(UTC) + timedelta(days=1))
    before, lines = await world.rows(counted), len(await world.rows("SELECT 1 FROM timeline"))
    for days in (2.1, 3):
        await round_at(world, datetime.now(UTC) + timedelta(days=days))
    assert await world.rows(counted) == before
    ended = [each for each in await world.timeline(case) if each["kind"] == "secrecy_ended"]
    assert [(each["agency"], each["organisation"]) for each in ended] == [(POLICE, SADDAR)]
    told = {each.kind for each in await world.rows("SELECT kind FROM timeline ORDER BY position OFFSET :n", n=lines)}
    assert told <= {"secrecy_ended", "referral_unacknowledged", "clock_overdue"}
