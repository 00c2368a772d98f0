"""She is told, unless a court's secrecy order forbids it until its review: then what rests on it alone is hidden."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.consent import own
from amanat.contracts.withdrawals import TombstoneConfirmed
from intake.break_glass.service.secrecy import secret_consents
from intake.my_case.repository import claims as claims_repository
from intake.my_case.service.showing import Names
from intake.my_case.service.viewing import find
from intake.service.looks import note_unaccounted

from .breaking import round_at
from .looking import IDENTITY, INCIDENT, look, tell
from .my_case.cell import Claim, hers, issue, sign_in
from .world import CLIFTON, KARACHI, POLICE, SADDAR, World, consent, principal

OFFICE = {"agency": POLICE, "organisation": SADDAR}


def order(days: float = 20) -> dict[str, str]:
    return {"reference": "Order 8 of 2026", "review_at": (datetime.now(UTC) + timedelta(days=days)).isoformat()}


async def page(world: World, claim: Claim, **span: float) -> dict[str, Any]:
    """Her page as it stands, or as it would stand so long from now."""
    now = datetime.now(UTC) + timedelta(**span)
    async with world.main.transaction((KARACHI,)) as session:
        live = await claims_repository.read_claim(session, [KARACHI], claim.case)
        assert live is not None
        known = type("Known", (), {"tenant": KARACHI, "case": claim.case, "id": live.id})
        found = await find(session, own(principal()), known, now, world.instruments)  # type: ignore[arg-type]
    names = Names(world.instruments, "en", KARACHI)
    return {
        "shared": [
            (each.agency, part.category.id, part.until) for each in names.offices(found.shared) for part in each.parts
        ],
        "law": [part.also_by_law for each in names.offices(found.shared) for part in each.parts],
        "looks": sorted((each.organisation, sorted(each.categories), each.times) for each in found.looked),
        "leased": [(each.organisation, sorted(each.categories)) for each in found.leased],
        "ended": [(each.category, each.ended_at, each.closed_no_later_than) for each in found.over],
    }


async def secret(world: World, case: str, **span: float) -> list[str]:
    """The consents of which she is not told so long from now."""
    async with world.main.transaction((KARACHI,)) as session:
        now = datetime.now(UTC) + timedelta(**span)
        return sorted(str(each) for each in await secret_consents(session, own(principal()), KARACHI, case, now))


def categories(told: dict[str, Any]) -> list[str]:
    return sorted(category for _, category, _ in told["shared"])


async def take_back(world: World, claim: Claim, category: str = "incident") -> dict[str, Any]:
    session = (await sign_in(world, claim.code))["session"]
    answer = await hers(world, "/v1/my/withdrawals", session=session, **OFFICE, category=category)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_without_a_secrecy_order_nothing_is_hidden(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    await world.order(case, POLICE, "incident")
    assert await secret(world, case) == []
    assert categories(await page(world, await issue(world, case))) == ["identity", "incident"]


async def test_what_rests_on_it_alone_is_hidden_until_its_review(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    ordered = await world.order(case, POLICE, "incident", "identity", secrecy=order())
    assert await secret(world, case) == await secret(world, case, days=19) == [ordered]
    assert await secret(world, case, days=21) == []
    assert categories(await page(world, claim)) == categories(await page(world, claim, days=19)) == ["identity"]
    assert (await page(world, claim))["law"] == [False]
    assert categories(await page(world, claim, days=21)) == ["identity", "incident"]


async def test_what_was_only_asked_for_refused_or_lapsed_hides_nothing(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT), look(datetime.now(UTC)))
    await take_back(world, claim)
    before = await page(world, claim)
    assert len(before["looks"]) == 2
    assert len(before["ended"]) == 1
    for number in range(2):
        asked = (await world.ask(case, POLICE, "incident", secrecy=order())).json()["disclosure"]
        if number:
            body = {"reason": "no such order"}
            await world.as_person("superintendent", "POST", f"/v1/cases/{case}/disclosures/{asked}/refusal", body)
        assert await page(world, claim) == before
    await round_at(world, datetime.now(UTC) + timedelta(days=8))
    assert [row.decision for row in await world.rows("SELECT decision FROM outside_decisions ORDER BY decided_at")] == [
        "refused", "lapsed",
    ]  # fmt: skip
    assert await page(world, claim) == before


@pytest.mark.parametrize("ends", [False, True])
async def test_what_was_hers_before_an_approved_order_stays_hers(world: World, ends: bool) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT), look(datetime.now(UTC)))
    await take_back(world, claim)
    # Under a lease that ran on: before the approval nothing is hidden, whatever it rested on.
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT))
    confirmed = TombstoneConfirmed(
        referral=referrals[POLICE], category="incident", epoch=1, confirmed_at=datetime.now(UTC)
    )
    await world.fact(POLICE, confirmed)
    before = await page(world, claim)
    ordered = await world.order(case, POLICE, "incident", secrecy=order())
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT), look(datetime.now(UTC), INCIDENT, IDENTITY))
    if ends:
        await world.end_order(case, ordered)
    after = await page(world, claim)
    # Of a look at both she sees what her consent opened; the rest is as it was.
    assert after["looks"] == sorted([*before["looks"], (SADDAR, ["identity"], 1)])
    assert after | {"looks": None} == before | {"looks": None}
    assert len((await page(world, claim, days=21))["looks"]) == 3


async def test_looks_under_her_own_consent_stay_though_it_ends_while_the_order_goes_on(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    await world.order(case, POLICE, "incident", secrecy=order())
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT))
    before = await page(world, claim)
    assert before["looks"] == [(SADDAR, ["incident"], 1)]
    await take_back(world, claim)
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT))
    after = [each for each in (await page(world, claim))["looks"] if each[0] == SADDAR]
    assert after == before["looks"]


async def test_leases_are_told_by_what_she_knew_then(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    await world.leased(POLICE, referrals[POLICE])
    await world.order(case, POLICE, "incident", "examination", secrecy=order())
    await take_back(world, claim)
    await world.leased(POLICE, referrals[POLICE])
    soon = datetime.now(UTC) + timedelta(minutes=10)
    async with world.gate.transaction(()) as session:
        await note_unaccounted(session, KARACHI, case, soon, soon)
    told = (await page(world, claim))["leased"]
    assert told == [(SADDAR, ["identity", "incident"]), (SADDAR, ["identity"])]


async def test_what_she_takes_back_under_a_secret_order_ends_as_anything_else_does(world: World) -> None:
    told = []
    for is_secret in (False, True):
        case, _ = await world.open_case(consent(POLICE, "identity", "incident"))
        claim = await issue(world, case)
        if is_secret:
            await world.order(case, POLICE, "incident", secrecy=order())
        answer = await take_back(world, claim)
        [ended] = answer["ended"]
        after = (await sign_in(world, claim.code))["case"]
        assert after["ended"] == [ended]
        at, closed = (datetime.fromisoformat(ended.pop(name)) for name in ("ended_at", "closed_no_later_than"))
        assert at == datetime.fromisoformat(answer["taken_back_at"]).replace(second=0, microsecond=0)
        parts = [[part["category"]["id"] for part in office["parts"]] for office in after["shared"]]
        told.append((ended, closed - at, answer["stays"], answer["call"] is None, parts))
    assert told[0] == told[1]
    # True to the word: a lease that was given in the ended minute's last moment is over by then.
    assert told[0][1] >= timedelta(minutes=1, seconds=world.instruments.lease_of(POLICE))


async def test_a_consent_that_expires_under_a_secret_order_ends_on_her_page(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(days=2)
    told = []
    for is_secret in (False, True):
        case, _ = await world.open_case(consent(POLICE, "incident", expires_at=soon.isoformat()))
        claim = await issue(world, case)
        if is_secret:
            await world.order(case, POLICE, "incident", secrecy=order())
        assert (await page(world, claim))["shared"] == [(POLICE, INCIDENT, soon)]
        told.append(await page(world, claim, days=3))
        # What has run out is over, whenever the gate comes by.
        await round_at(world, soon + timedelta(hours=5))
        assert await page(world, claim, days=3) == told[-1]
    assert told[0] == told[1]
    [(category, at, closed)] = told[0]["ended"]
    assert (category, at) == (INCIDENT, soon.replace(second=0, microsecond=0))
    assert (told[0]["shared"], closed - at) == ([], timedelta(minutes=2))


async def test_of_what_she_never_gave_nothing_ends(world: World) -> None:
    case, _ = await world.open_case()
    claim = await issue(world, case)
    ordered = await world.order(case, POLICE, "incident", secrecy=order())
    [referral] = [row.code for row in await world.rows("SELECT code FROM referrals")]
    await tell(world, referral, look(datetime.now(UTC), INCIDENT), look(datetime.now(UTC)))
    nothing = {"shared": [], "law": [], "looks": [], "leased": [], "ended": []}
    assert await page(world, claim) == nothing
    await world.end_order(case, ordered)
    assert await page(world, claim) == nothing
    assert len((await page(world, claim, days=21))["ended"]) == 1


async def test_what_she_gives_again_under_a_secret_order_is_shared_and_nothing_of_before_is_told(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    await world.order(case, POLICE, "incident", secrecy=order())
    await take_back(world, claim)
    await tell(world, referrals[POLICE], look(datetime.now(UTC), INCIDENT))
    await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "incident"))
    told = await page(world, claim)
    assert (categories(told), told["ended"], told["looks"]) == (["identity", "incident"], [], [])


async def test_a_consent_that_lacks_a_decider_hides_no_less(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "incident"), consent(POLICE, "identity", deciders=[]))
    await world.order(case, POLICE, "incident", "identity", secrecy=order())
    assert categories(await page(world, await issue(world, case))) == ["incident"]


async def test_an_order_without_secrecy_to_the_same_office_is_told_and_another_offices_consent_is_not_enough(
    world: World,
) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", organisation=CLIFTON))
    claim = await issue(world, case)
    await world.order(case, POLICE, "incident", "identity", secrecy=order())
    assert categories(await page(world, claim)) == ["identity"]
    await world.order(case, POLICE, "incident")
    assert categories(await page(world, claim)) == ["identity", "incident"]


async def test_another_cell_learns_nothing_of_it(world: World) -> None:
    case, _ = await world.open_case()
    await world.order(case, POLICE, "incident", secrecy=order())
    async with world.main.transaction(("arcc-lahore",)) as session:
        args = (session, own(principal("arcc-lahore")), "arcc-lahore", case, datetime.now(UTC))
        assert await secret_consents(*args) == frozenset()


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
