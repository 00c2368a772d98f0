"""Leases: to whom a referral is open now, on record before a key leaves, and never after a withdrawal committed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from amanat.principal import Principal
from amanat_local.postgres import Postgres
from intake.service import leasing, withdrawals
from intake.service.sweeps import sweep

from .world import CLIFTON, FORENSICS, KARACHI, LEGAL, POLICE, SADDAR, World, consent, principal

EMPTY = {"consent_version": 0, "expires_in_s": 0.0, "keys": []}


def _police() -> Principal:
    return Principal(
        agency=POLICE, organisation="police-link", roles=frozenset({"service"}), cells=frozenset(),
        subject="police-link-service", client="police-link-service", token_id="a-token",
    )  # fmt: skip


async def test_a_lease_brings_the_keys_of_what_is_granted_for_some_seconds(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    given = await world.leased(POLICE, referrals[POLICE])
    assert {(key["category"], key["epoch"]) for key in given["keys"]} == {("identity", 1), ("incident", 1)}
    assert 0 < given["expires_in_s"] <= 30
    assert given["consent_version"] == 1


async def test_unknown_foreign_other_organisations_other_purposes_and_closed_get_one_same_empty_item(
    world: World,
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"), consent(LEGAL, "identity"))
    closed, others = await world.open_case(consent(POLICE, "identity"))
    await world.withdraw(closed, await world.consent_of(closed, POLICE))
    _, waiting = await world.open_case(referrals=[{"agency": POLICE, "organisation": SADDAR}])
    asked = [
        await world.leased(POLICE, "P-0000-0000-0"),
        await world.leased(POLICE, "not a code; DROP TABLE keys"),
        await world.leased(POLICE, referrals[LEGAL]),
        await world.leased(FORENSICS, referrals[POLICE]),
        await world.leased(POLICE, referrals[POLICE], organisation=CLIFTON),
        await world.leased(POLICE, referrals[POLICE], purpose="legal_representation"),
        await world.leased(POLICE, others[POLICE]),
        await world.leased(POLICE, waiting[POLICE]),
        await world.leased(POLICE, case),
    ]
    assert [{name: each[name] for name in EMPTY} for each in asked] == [EMPTY] * len(asked)
    assert await world.rows("SELECT 1 FROM leases") == []


async def test_the_agency_is_the_tokens_whatever_the_body_says(world: World) -> None:
    async with world.service(FORENSICS) as client:
        item = {
            "referral": "P-0000-0000-0",
            "organisation": SADDAR,
            "purpose": "investigation",
            "agency": "police-link",
        }
        assert (await client.post("/internal/v1/leases", json={"items": [item]})).status_code == 422


@pytest.mark.parametrize("referral", ["\x00", "ہ", "x" * 41])
async def test_what_is_no_code_is_refused_without_a_fault(world: World, referral: str) -> None:
    answer = await world.lease(POLICE, referral)
    assert answer.status_code in {400, 422}
    assert referral not in answer.text


async def test_a_hospitals_token_leases_nothing(world: World) -> None:
    token = world.issuer.token("amanat-gate", "arcc-karachi-system", "intake", KARACHI, "hospital_system", [KARACHI])
    async with world._client(world.gate_app, token) as client:
        answer = await client.post("/internal/v1/leases", json={"items": []})
    assert answer.status_code == 403


async def test_a_batch_keeps_its_order_and_says_nothing_of_the_others(world: World) -> None:
    _, first = await world.open_case(consent(POLICE, "identity"))
    _, second = await world.open_case(consent(POLICE, "incident"))
    asked = [second[POLICE], "P-0000-0000-0", first[POLICE], second[POLICE]]
    leases = (await world.lease(POLICE, *asked)).json()["leases"]
    assert [lease["referral"] for lease in leases] == asked
    assert [[key["category"] for key in lease["keys"]] for lease in leases] == [
        ["incident"], [], ["identity"], ["incident"],
    ]  # fmt: skip


async def test_a_lease_is_on_record_and_in_the_ledger_before_its_keys_leave(world: World) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    await world.leased(POLICE, referrals[POLICE])
    [row] = await world.rows("SELECT * FROM leases")
    assert (row.tenant, row.referral, row.client, row.categories) == (
        KARACHI, referrals[POLICE], "police-link-service", ["identity"],
    )  # fmt: skip
    assert len(await world.rows("SELECT 1 FROM ledger_entries WHERE kind = 'leased'")) == 1


async def test_a_lease_that_cannot_be_recorded_brings_no_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the record cannot be written")

    _, referrals = await world.open_case(consent(POLICE, "identity"))
    monkeypatch.setattr("intake.service.leasing.keys.record_leases", fails)
    answer = await world.lease(POLICE, referrals[POLICE])
    assert answer.status_code == 500
    assert "keys" not in answer.text


@pytest.mark.parametrize(
    "spoilt",
    [
        "UPDATE keys SET wrap = set_byte(wrap, 20, get_byte(wrap, 20) # 1) WHERE category = 'incident'",
        "UPDATE request_secrets SET generation = 99"
        " WHERE id IN (SELECT secret_id FROM keys WHERE category = 'incident')",
    ],
)
async def test_a_key_that_does_not_open_is_one_referrals_503_and_no_others(
    world: World, postgres: Postgres, spoilt: str
) -> None:
    _, whole = await world.open_case(consent(POLICE, "identity"))
    _, broken = await world.open_case(consent(POLICE, "identity", "incident"))
    await asyncio.to_thread(postgres.sql, "intake", spoilt)
    before = REGISTRY.get_sample_value("amanat_lease_unopened_total", {"agency": "police-link"}) or 0
    answer = await world.lease(POLICE, broken[POLICE], whole[POLICE], "P-0000-0000-0")
    assert answer.status_code == 200
    given = answer.json()["leases"]
    assert [(len(each["keys"]), each["unopened"]) for each in given] == [(0, True), (1, False), (0, False)]
    assert REGISTRY.get_sample_value("amanat_lease_unopened_total", {"agency": "police-link"}) == before + 1
    # No key of it left, so none is on record as leased.
    assert [row.referral for row in await world.rows("SELECT referral FROM leases")] == [whole[POLICE]]


async def test_a_lease_never_outlives_the_consent(world: World) -> None:
    now = datetime.now(UTC)
    end = now + timedelta(minutes=5)
    _, referrals = await world.open_case(consent(POLICE, "identity", expires_at=end.isoformat()))
    item = leasing.LeaseItem(referral=referrals[POLICE], organisation=SADDAR, purpose="investigation")

    async def at(moment: datetime) -> leasing.LeaseGiven:
        async with world.gate.transaction(()) as session:
            answer = await leasing.lease(session, _police(), [item], moment, world.kek, world.instruments)
        return answer.leases[0]

    assert (await at(end - timedelta(seconds=7))).expires_in_s == pytest.approx(7)
    assert (await at(end)).keys == ()
    await sweep(world.gate, world.gate_access, end, world.instruments)
    assert (await at(now)).keys == ()


async def test_a_lease_waits_for_a_withdrawal_under_way_and_gets_nothing(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    hers = await world.consent_of(case, POLICE)
    async with world.main.transaction((KARACHI,)) as session:
        body = withdrawals.schemas.Withdrawal()
        await withdrawals.withdraw(
            session, principal(), case, withdrawals.UUID(hers), body, datetime.now(UTC), world.instruments
        )
        asking = asyncio.create_task(world.leased(POLICE, referrals[POLICE]))
        await asyncio.sleep(0.4)
        assert not asking.done()
    assert (await asking)["keys"] == []


async def test_a_withdrawal_waits_for_a_lease_under_way(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    hers = await world.consent_of(case, POLICE)
    item = leasing.LeaseItem(referral=referrals[POLICE], organisation=SADDAR, purpose="investigation")
    async with world.gate.transaction(()) as session:
        given = await leasing.lease(session, _police(), [item], datetime.now(UTC), world.kek, world.instruments)
        withdrawing = asyncio.create_task(world.withdraw(case, hers))
        await asyncio.sleep(0.4)
        assert not withdrawing.done()
    assert len(given.leases[0].keys) == 1
    ending = (await withdrawing).json()["endings"][0]
    [leased] = await world.rows("SELECT at FROM leases")
    assert datetime.fromisoformat(ending["closed_no_later_than"]) > leased.at


async def test_no_lease_begun_after_a_withdrawal_answered_holds_its_key(world: World) -> None:
    """Many leases race one withdrawal: whatever began after its answer is without the key."""
    case, referrals = await world.open_case(consent(POLICE, "identity", "incident"))
    hers = await world.consent_of(case, POLICE)
    late: list[dict[str, object]] = []
    over = asyncio.Event()

    async def keep_asking() -> None:
        for _ in range(12):
            after = over.is_set()
            given = await world.leased(POLICE, referrals[POLICE])
            if after:
                late.append(given)

    asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
    await asyncio.sleep(0.05)
    assert (await world.withdraw(case, hers, "incident")).status_code == 200
    over.set()
    await asyncio.gather(*asking)
    late.append(await world.leased(POLICE, referrals[POLICE]))
    assert {key["category"] for given in late for key in given["keys"]} == {"identity"}


async def test_leases_and_requests_over_many_referrals_never_wait_in_a_circle(world: World) -> None:
    opened = [await world.open_case(consent(POLICE, "incident"), consent(LEGAL, "incident")) for _ in range(4)]
    codes = [referrals[POLICE] for _, referrals in opened]

    async def amend(case: str) -> int:
        answer = await world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"place": "a place"}})
        return answer.status_code

    answers = await asyncio.gather(
        *(world.lease(POLICE, *reversed(codes)) for _ in range(6)),
        *(world.lease(POLICE, *codes) for _ in range(6)),
        *(amend(case) for case, _ in opened for _ in range(2)),
    )
    assert {answer if isinstance(answer, int) else answer.status_code for answer in answers} <= {200, 201}


async def test_keys_of_disclosures_replaced_long_ago_are_retired_and_the_newest_stays(world: World) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    for place in ("one", "two"):
        await world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"place": place}})
    assert len((await world.leased(POLICE, referrals[POLICE]))["keys"]) == 3
    await sweep(world.gate, world.gate_access, datetime.now(UTC) + timedelta(hours=23), world.instruments)
    assert len((await world.leased(POLICE, referrals[POLICE]))["keys"]) == 3
    await sweep(world.gate, world.gate_access, datetime.now(UTC) + timedelta(hours=25), world.instruments)
    readable = await world.readable(POLICE, referrals[POLICE])
    assert len((await world.leased(POLICE, referrals[POLICE]))["keys"]) == 1
    assert {record.get("place") for record in readable["incident"]} == {None, "one", "two"}


async def test_only_the_column_that_for_share_needs_may_be_written_by_it(world: World) -> None:
    """`FOR SHARE` asks for UPDATE on some column of the referral; the agency-facing columns stay closed to the gate."""
    with pytest.raises(Exception, match="permission denied"):
        async with world.gate.transaction(()) as session:
            await session.execute(text("UPDATE referrals SET organisation = 'station-clifton'"))
