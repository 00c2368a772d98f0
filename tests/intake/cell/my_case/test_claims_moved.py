"""A claim opens the page of the case that it was given for: who can write to the table moves it before no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from amanat.ledger import tree
from amanat.ledger.audit import Audited, audit
from amanat_local.postgres import Postgres
from intake.service.sources import SOURCES

from ..world import LAHORE, POLICE, World, consent
from .cell import DURESS, PIN, WORD, Claim, at_desk, hers, is_harmless, issue, sign_in
from .test_sign_ins import never_was, statements, without_session

pytestmark = pytest.mark.attack

OWN_PIN, OWN_WORD = "246813", "Grey Crow"


@dataclass
class Insider:
    """Has a claim of a case of his own, and may do anything to the cell's database."""

    world: World
    postgres: Postgres
    own: Claim
    her: Claim

    def sql(self, *statements: str) -> str:
        return self.postgres.sql("intake", *statements)

    def move(self, to: str | None = None) -> None:
        """His claim before her case; hers ended first, since a case has one."""
        tenant = f"(SELECT tenant FROM cases WHERE code = '{self.her.case}')" if to is None else f"'{to}'"
        case = self.her.case if to is None else self.own.case
        self.sql(
            f"UPDATE claims SET ended_at = now() WHERE case_code = '{case}' AND id <> '{self.own.id}'",
            f"UPDATE claims SET case_code = '{case}', tenant = {tenant} WHERE id = '{self.own.id}'",
        )


@pytest.fixture
async def insider(world: World, migrated: Callable[[str, str], Postgres]) -> Insider:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    her = await issue(world, case)
    own = await issue(world, (await world.open_case())[0], pin=OWN_PIN, code_word=OWN_WORD)
    return Insider(world, migrated("intake", "intake"), own, her)


@pytest.mark.parametrize("to", [None, LAHORE], ids=["her case", "another cell"])
async def test_a_claim_that_was_moved_signs_nobody_in_and_answers_as_an_unknown_one(
    insider: Insider, to: str | None
) -> None:
    world = insider.world
    assert not is_harmless(await sign_in(world, insider.own.code, OWN_PIN))
    insider.move(to)
    with statements(world) as moved:
        answer = await hers(world, "/v1/my/sign-ins", code=insider.own.code, pin=OWN_PIN)
    with statements(world) as unknown:
        never = await hers(world, "/v1/my/sign-ins", code=never_was(world), pin=OWN_PIN)
    assert is_harmless(answer.json())
    assert without_session(answer) == without_session(never)
    assert len(answer.content) == len(never.content)
    assert moved == unknown
    assert is_harmless(await sign_in(world, insider.own.code, DURESS))
    outcomes = [row.outcome for row in await world.rows("SELECT outcome FROM sign_ins ORDER BY id")]
    assert outcomes == ["hit", "miss", "miss", "miss"]


async def test_a_visit_follows_no_claim_to_another_case(insider: Insider) -> None:
    world = insider.world
    session = (await sign_in(world, insider.own.code, OWN_PIN))["session"]
    assert (await hers(world, "/v1/my/view", session=session)).status_code == 200
    insider.move()
    for path in ("/v1/my/view", "/v1/my/withdrawals"):
        assert (await hers(world, path, session=session)).status_code == 404
    assert [entry for entry in await world.timeline(insider.her.case) if "withdraw" in entry["kind"]] == []


async def test_the_word_of_a_claim_that_was_moved_undoes_nothing(insider: Insider) -> None:
    world, case = insider.world, insider.her.case
    session = (await sign_in(world, insider.her.code, PIN))["session"]
    call = (await hers(world, "/v1/my/withdrawals", session=session)).json()["call"]
    insider.move()
    insider.sql(f"UPDATE calls SET claim = '{insider.own.id}' WHERE id = '{call}'")
    answer = await at_desk(world, f"/v1/cases/{case}/claim/undo", {"call": call, "code_word": OWN_WORD})
    assert (answer.status_code, answer.json()["code"]) == (409, "code-word-refused")
    insider.sql(f"UPDATE calls SET claim = '{insider.her.id}' WHERE id = '{call}'")
    answer = await at_desk(world, f"/v1/cases/{case}/claim/undo", {"call": call, "code_word": WORD})
    assert answer.status_code == 200


async def test_no_paper_is_printed_with_a_code_of_another_case(insider: Insider) -> None:
    insider.sql(
        f"UPDATE claims SET code_sealed = (SELECT code_sealed FROM claims WHERE id = '{insider.own.id}')"
        f" WHERE id = '{insider.her.id}'"
    )
    answer = await at_desk(insider.world, f"/v1/cases/{insider.her.case}/claim/paper", {})
    assert answer.status_code == 500
    assert insider.own.code not in answer.text


async def audited(world: World) -> Audited:
    return await audit(world.gate, SOURCES, world.instruments.at_rest, "amanat.test/intake", datetime.now(UTC))


async def test_what_ends_a_claim_is_no_alarm(insider: Insider) -> None:
    world = insider.world
    await issue(world, insider.own.case)
    await at_desk(world, f"/v1/cases/{insider.her.case}/claim/ending")
    await sign_in(world, insider.own.code, OWN_PIN)
    await tree.integrate(world.gate)
    assert (await audited(world)).alarms == 0


@pytest.mark.parametrize(
    "change",
    [
        "case_code = (SELECT case_code FROM claims WHERE id <> '{own}' LIMIT 1)",
        f"tenant = '{LAHORE}'",
        "digest = decode(md5('x'), 'hex')",
        "pin_hash = (SELECT pin_hash FROM claims WHERE id <> '{own}')",
        "duress_hash = pin_hash",
        "code_word_hash = pin_hash",
        "language = 'ur'",
        "issued_at = issued_at - interval '1 day'",
    ],
)
async def test_a_claim_that_was_changed_is_an_alarm_of_the_audit(insider: Insider, change: str) -> None:
    await tree.integrate(insider.world.gate)
    insider.sql(
        f"UPDATE claims SET ended_at = now() WHERE id <> '{insider.own.id}'",
        f"UPDATE claims SET {change.format(own=insider.own.id)} WHERE id = '{insider.own.id}'",
    )
    assert (await audited(insider.world)).alarms >= 1
    rows = await insider.world.rows("SELECT detail->>'source' AS source FROM ledger_alarms")
    assert {row.source for row in rows} == {f"claims/{insider.own.id}"}


async def test_a_claim_that_was_put_in_or_taken_out_is_an_alarm(insider: Insider) -> None:
    await tree.integrate(insider.world.gate)
    insider.sql(
        "INSERT INTO claims SELECT gen_random_uuid(), tenant, case_code, decode(md5('x'), 'hex'), code_sealed,"
        f" language, pin_hash, duress_hash, code_word_hash, issued_at, now() FROM claims WHERE id = '{insider.own.id}'"
    )
    assert (await audited(insider.world)).alarms == 1
    insider.sql(f"DELETE FROM claims WHERE id = '{insider.own.id}'")
    assert (await audited(insider.world)).alarms == 2
