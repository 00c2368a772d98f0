"""Small things that went wrong once: an age of nought, pseudonyms joined by a trace, keys in the order of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from amanat.contracts.records import Person
from amanat_local.postgres import Postgres
from intake.repository import keys as key_repository
from intake.service.ages import by_age, person_of
from intake.service.loading import load

from .world import FORENSICS, POLICE, World, consent


async def test_a_stated_age_of_nought_lowers_the_age_at_a_grant(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "incident"))
    async with world.gate.transaction(()) as session:
        loaded = await load(session, world.gate_access, ["arcc-karachi"], case, world.instruments, mints=False)
    assert person_of(loaded.documents) is not None
    [grant] = by_age(loaded.grants, Person(age_years_stated=0))
    assert grant.age_years_at_grant == 0


async def test_no_trace_joins_the_pseudonyms_of_one_case(world: World) -> None:
    await world.open_case(consent(POLICE, "incident"), consent(FORENSICS, "incident"))
    rows = await world.outbox()
    assert {row.topic for row in rows} == {"disclosures.police-link", "disclosures.forensics"}
    assert all("traceparent" not in row.headers for row in rows)


async def test_the_newest_disclosures_key_stays_whatever_clocks_said(world: World, postgres: Postgres) -> None:
    case, referrals = await world.open_case(consent(POLICE, "incident"))
    await world.post(f"/v1/cases/{case}/records", {"kind": "incident", "record": {"place": "invented"}})
    newest = "(SELECT max(seq) FROM keys WHERE referral = :r)"
    [row] = await world.rows(f"SELECT key_id FROM keys WHERE referral = :r AND seq = {newest}", r=referrals[POLICE])
    # The newer disclosure was minted by a process whose clock was behind.
    postgres.sql("intake", f"UPDATE keys SET created_at = created_at - interval '1 hour' WHERE key_id = '{row.key_id}'")
    async with world.gate.transaction(()) as session:
        gone = await key_repository.retire_superseded(session, datetime.now(UTC) + timedelta(days=2), 100)
    left = await world.rows("SELECT key_id FROM keys WHERE referral = :r", r=referrals[POLICE])
    assert gone == 1
    assert [each.key_id for each in left] == [row.key_id]
