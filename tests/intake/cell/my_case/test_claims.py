"""The cell gives her a code: to its people alone, once, and nothing of it lies in the open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from amanat.codes import PREFIX as AGENCIES
from amanat.codes import BadCode, parse_code
from amanat_local.postgres import Postgres
from intake.my_case.service.pins import PREFIX, check_pins, spelled, spelled_word

from ..world import CANARY, LAHORE, POLICE, World, consent
from .cell import DURESS, PIN, WORD, at_desk, hers, is_harmless, issue, sign_in, staff
from .test_sign_ins import typed

CHOSEN = {"pin": PIN, "duress_pin": DURESS, "code_word": WORD, "language": "en"}


async def test_a_claim_is_issued_once_and_a_replay_says_the_same_code(world: World) -> None:
    case, _ = await world.open_case()
    first = await at_desk(world, f"/v1/cases/{case}/claim", CHOSEN, key="k")
    again = await at_desk(world, f"/v1/cases/{case}/claim", CHOSEN, key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert parse_code(first.json()["code"], PREFIX) == first.json()["code"]
    other = await at_desk(world, f"/v1/cases/{case}/claim", {**CHOSEN, "pin": "739154"}, key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert first.json()["address"].endswith("/my")


async def test_a_new_claim_ends_the_old_one_and_its_visits(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    old = await issue(world, case)
    session = (await sign_in(world, old.code))["session"]
    new = await issue(world, case, pin="739154")
    assert is_harmless(await sign_in(world, old.code))
    assert (await hers(world, "/v1/my/view", session=session)).status_code == 404
    assert not is_harmless(await sign_in(world, new.code, "739154"))
    kinds = [entry["kind"] for entry in await world.timeline(case)]
    assert [kinds.count("claim_issued"), kinds.count("claim_ended")] == [2, 1]
    rows = await world.rows("SELECT kind, said FROM ledger_entries WHERE kind LIKE 'claim%' ORDER BY id")
    assert [(row.kind, row.said["claim"]) for row in rows] == [
        ("claim_issued", old.id), ("claim_ended", old.id), ("claim_issued", new.id),
    ]  # fmt: skip


async def test_two_who_issue_at_once_leave_one_live_claim(world: World) -> None:
    case, _ = await world.open_case()
    made = await asyncio.gather(*(issue(world, case) for _ in range(4)))
    opened = [not is_harmless(await sign_in(world, claim.code)) for claim in made]
    assert sum(opened) == 1


async def test_ending_may_be_repeated_and_a_case_without_a_claim_is_404(world: World) -> None:
    case, _ = await world.open_case()
    assert (await at_desk(world, f"/v1/cases/{case}/claim/ending")).status_code == 404
    assert (await at_desk(world, f"/v1/cases/{case}/claim/paper", {})).status_code == 404
    await issue(world, case)
    first = await at_desk(world, f"/v1/cases/{case}/claim/ending")
    assert (first.status_code, (await at_desk(world, f"/v1/cases/{case}/claim/ending")).json()) == (200, first.json())
    assert (await at_desk(world, f"/v1/cases/{case}/claim/paper", {})).status_code == 404


@pytest.mark.parametrize("way", ["claim", "claim/paper", "claim/ending"])
async def test_another_cells_people_and_hospital_systems_get_none(world: World, way: str) -> None:
    case, _ = await world.open_case()
    await issue(world, case)
    path, body = f"/v1/cases/{case}/{way}", CHOSEN if way == "claim" else {}
    foreign = await at_desk(world, path, body, cell=LAHORE)
    never = await at_desk(world, path.replace(case, "C-0000-0000-0"), body)
    assert (foreign.status_code, never.status_code) == (404, 404)
    assert foreign.json() | {"trace_id": ""} == never.json() | {"trace_id": ""}
    assert (await world.post(path, body)).status_code == 403


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("11111", "six-to-twelve-digits"), ("1234567890123", "six-to-twelve-digits"),
        ("48151a", "six-to-twelve-digits"),
        ("", "six-to-twelve-digits"), ("777777", "all-the-same"), ("۷۷۷۷۷۷", "all-the-same"), ("123456", "in-a-row"),
        ("987654", "in-a-row"), ("890123", "in-a-row"), ("²²²²²²²", "all-the-same"), ("½½½½½½", "six-to-twelve-digits"),
    ],
)  # fmt: skip
async def test_a_pin_that_others_would_try_first_is_refused_kindly(world: World, pin: str, why: str) -> None:
    case, _ = await world.open_case()
    answer = await at_desk(world, f"/v1/cases/{case}/claim", {**CHOSEN, "pin": pin})
    assert (answer.status_code, answer.json()["code"]) == (422, "weak-pin")
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [("/pin", why)]
    assert pin not in answer.text or not pin
    answer = await at_desk(world, f"/v1/cases/{case}/claim", {**CHOSEN, "duress_pin": pin})
    assert answer.json()["errors"][0]["pointer"] == "/duress_pin"


async def test_the_duress_pin_is_another_number_whatever_the_digits(world: World) -> None:
    case, _ = await world.open_case()
    answer = await at_desk(world, f"/v1/cases/{case}/claim", {**CHOSEN, "duress_pin": "٤٨۱۵۱۶"})
    assert answer.json()["errors"][0]["code"] == "same-as-pin"


def test_good_pins_are_taken() -> None:
    for pin in ("481516", "۴۸۱۵۱۶", "121212", "135790", "100000000000"):
        check_pins(pin, None)
    assert spelled("۴۸ ۱۵-۱۶") == "481516"
    assert spelled_word("  Blue-Heron ") == spelled_word("BLUE HERON") == "blueheron"


def test_a_claims_code_is_no_agencys() -> None:
    assert PREFIX not in AGENCIES.values()
    for prefix in AGENCIES.values():
        with pytest.raises(BadCode):
            parse_code("M-0000-0000-0", prefix)


async def test_no_table_tells_who_chose_a_duress_pin(world: World, migrated: Callable[[str, str], Postgres]) -> None:
    for chosen in (DURESS, None):
        await issue(world, (await world.open_case())[0], duress_pin=chosen)
    sizes = migrated("intake", "intake").sql("intake", "SELECT DISTINCT length(duress_hash) FROM claims")
    assert len(sizes.split()) == 1


async def test_no_code_pin_or_word_stands_in_a_log_a_table_or_a_header(
    world: World, capsys: pytest.CaptureFixture[str], migrated: Callable[[str, str], Postgres]
) -> None:
    case, referrals = await world.open_case(consent(POLICE, "identity"))
    word = f"{CANARY} word"
    claim = await issue(world, case, code_word=word)
    opened = await sign_in(world, claim.code)
    answers: list[httpx.Response] = [await typed(world, claim.code, PIN), await typed(world, claim.code, DURESS)]
    await sign_in(world, claim.code, "135792")
    call = (await hers(world, "/v1/my/withdrawals", session=opened["session"])).json()["call"]
    answers.append(await at_desk(world, f"/v1/cases/{case}/claim/undo", {"call": call, "code_word": word}))
    answers.append(await at_desk(world, f"/v1/cases/{case}/claim/undo", {"call": call, "code_word": f"{CANARY} other"}))
    answers.append(await at_desk(world, f"/v1/cases/{case}/claim/paper", {"language": "ur"}))
    answers.append(await at_desk(world, f"/v1/cases/{case}/claim", {**CHOSEN, "pin": "123456", "code_word": word}))
    answers.append(await hers(world, "/v1/my/sign-ins", code=claim.code, pin=PIN, more=CANARY))
    async with staff(world) as client:
        answers.append(await client.get("/v1/calls"))
    secrets = (claim.code, PIN, DURESS, CANARY, opened["session"])
    for answer in answers:
        assert not any(secret in str(answer.headers) + str(answer.url) for secret in secrets)
        if answer.status_code >= 400:
            assert not any(secret in answer.text for secret in secrets)
    output = capsys.readouterr()
    for secret in (*secrets, case, *referrals.values()):
        assert secret not in output.out + output.err
    postgres = migrated("intake", "intake")
    for table in (
        "claims",
        "sign_ins",
        "calls",
        "afar_withdrawals",
        "timeline",
        "ledger_entries",
        "looks",
        "idempotency",
    ):
        text = postgres.sql("intake", f"SELECT to_jsonb(t)::text FROM {table} t")
        for secret in (claim.code, PIN, DURESS, CANARY):
            assert secret not in text, (table, secret)
            assert secret.encode().hex() not in text, (table, secret)
    assert claim.code not in json.dumps(await world.timeline(case))
