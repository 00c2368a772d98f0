"""What the cell's ledger commits to is what stands in its tables: a change by hand is one alarm, and quotes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from amanat.at_rest import AtRest, read_keys
from amanat.contracts.custody import KitReceived
from amanat.contracts.records import RECORDS
from amanat.contracts.records.custody import Counterpart
from amanat.ledger import tree
from amanat.ledger.audit import Audited, audit
from amanat_local.postgres import Postgres
from intake.service.sources import RECORDS_OF_CASES, SOURCES

from .world import CANARY, FORENSICS, KARACHI, POLICE, SADDAR, World, consent

ORIGIN = "amanat.test/intake"
KIT = "KIT-000123"
STREET = "She told of a street"
FIRST = "(SELECT id FROM {0} ORDER BY id LIMIT 1)"


@dataclass(frozen=True)
class Cell:
    """The cell, and who may do anything to its database."""

    world: World
    postgres: Postgres

    def sql(self, statement: str) -> str:
        return self.postgres.sql("intake", statement)

    async def audit(self, at_rest: AtRest | None = None) -> Audited:
        used = at_rest or self.world.instruments.at_rest
        return await audit(self.world.gate, SOURCES, used, ORIGIN, datetime.now(UTC), batch=7)

    async def alarms(self) -> list[Any]:
        return await self.world.rows("SELECT kind, detail, detail->>'why' AS why FROM ledger_alarms")


@pytest.fixture
async def cell(world: World, migrated: Callable[[str, str], Postgres]) -> Cell:
    """A case with all that the ledger commits to: consents, a withdrawal, records, a correction, halves, a look, a
    lease; integrated."""
    case, referrals = await world.open_case(consent(POLICE, "incident"), consent(FORENSICS, "incident"))
    assert (await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})).status_code == 201
    to_saddar = {"counterpart": {"agency": "police-link", "organisation": SADDAR}, "seal_number": "S1"}
    assert (await world.post(f"/v1/kits/{KIT}/release", {**to_saddar, "person_name": CANARY})).status_code == 201
    half = RECORDS["custody_half"](
        counterpart=Counterpart(agency="intake", organisation=KARACHI), at=datetime.now(UTC), person_name=CANARY
    )
    await world.fact(POLICE, KitReceived(referral=referrals[POLICE], barcode=KIT, half=half))
    read = await world.get(f"/v1/cases/{case}")
    [told] = [each for each in read.json()["records"] if each["kind"] == "incident"]
    corrected = {"kind": "incident", "record": {"history": f"{STREET}, {CANARY}"}, "corrects": told["record"],
                 "reason": f"{CANARY} said so"}  # fmt: skip
    added = await world.post(f"/v1/cases/{case}/records", corrected, If_Match=read.headers["etag"])
    assert added.status_code == 201, added.text
    await world.leased(POLICE, referrals[POLICE])
    assert (await world.withdraw(case, await world.consent_of(case, FORENSICS))).status_code == 200
    await tree.integrate(world.gate)
    return Cell(world, migrated("intake", "intake"))


async def test_a_cell_that_nobody_touched_gives_no_alarm(cell: Cell) -> None:
    entries = int(cell.sql("SELECT count(*) FROM ledger_entries"))
    named = set(cell.sql("SELECT DISTINCT split_part(source, '/', 1) FROM ledger_entries").split())
    assert {"records", "consent_events", "custody_halves", "leases", "looks"} <= named
    assert await cell.audit() == Audited(leaves=entries, erased=0, alarms=0)
    assert await cell.alarms() == []


CHANGES = {
    "a record's sealed bytes": (
        "UPDATE records SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) WHERE kind = 'person'",
        ("record_changed", "sealed"),
    ),
    "a record's sealed bytes become another's": (
        "UPDATE records SET sealed = (SELECT sealed FROM records WHERE corrects IS NOT NULL) WHERE kind = 'person'",
        ("record_changed", "sealed"),
    ),
    "why a record was corrected": (
        "UPDATE records SET reason_sealed = NULL WHERE corrects IS NOT NULL", ("record_changed", "statement"),
    ),
    "whose record it is": (
        "UPDATE records SET author_organisation = 'x' WHERE kind = 'person'", ("record_changed", "statement"),
    ),
    "which categories a record is said to hold": (
        "UPDATE records SET categories = '{identity}' WHERE corrects IS NOT NULL", ("record_changed", "statement"),
    ),
    "what a record is said to be": (
        "UPDATE records SET kind = 'x' WHERE corrects IS NOT NULL", ("record_changed", "sealed"),
    ),
    "a consent event": (
        "UPDATE consent_events SET kind = 'given' WHERE kind = 'withdrawn'", ("record_changed", "statement"),
    ),
    "a custody half": (
        "UPDATE custody_halves SET counterpart_organisation = 'x' WHERE half = 'release'",
        ("record_changed", "statement"),
    ),
    "a look's subject": (
        f"UPDATE looks SET subject = 'x' WHERE id = {FIRST.format('looks')}", ("record_changed", "statement"),
    ),
    "a lease": (
        f"UPDATE leases SET token_id = 'x' WHERE id = {FIRST.format('leases')}", ("record_changed", "statement"),
    ),
    "a record is taken out": ("DELETE FROM records WHERE kind = 'person'", ("record_changed", "row")),
    "a consent event is put in": (
        "INSERT INTO consent_events (id, tenant, case_code, kind, sealed, recorded_at)"
        " SELECT gen_random_uuid(), tenant, case_code, kind, sealed, recorded_at"
        f" FROM consent_events WHERE id = {FIRST.format('consent_events')}",
        ("record_without_entry", None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_each_change_by_hand_is_one_alarm_that_quotes_nothing(cell: Cell, what: str) -> None:
    statement, expected = CHANGES[what]
    cell.sql(statement)
    with capture_logs() as logs:
        assert (await cell.audit()).alarms == 1
    alarms = await cell.alarms()
    assert [(each.kind, each.why) for each in alarms] == [expected]
    told = json.dumps([logs, [each.detail for each in alarms]])
    assert CANARY not in told
    assert STREET not in told


async def test_who_has_the_key_as_well_still_cannot_put_another_content_in(cell: Cell) -> None:
    row = cell.sql("SELECT id FROM records WHERE kind = 'person'").strip()
    case = cell.sql("SELECT case_code FROM records WHERE kind = 'person'").strip()
    place = RECORDS_OF_CASES.at("sealed", UUID(row), KARACHI, case)
    forged = cell.world.instruments.at_rest.seal(b'{"full_name":"x"}', **place)
    cell.sql(f"UPDATE records SET sealed = decode('{forged.hex()}', 'hex') WHERE id = '{row}'")
    assert (await cell.audit()).alarms == 1
    [alarm] = await cell.alarms()
    assert (alarm.kind, alarm.why, alarm.detail["source"]) == ("record_changed", "statement", f"records/{row}")


async def test_content_that_is_sealed_anew_under_another_key_is_no_change(cell: Cell) -> None:
    old = cell.world.instruments.at_rest
    both = AtRest({7: os.urandom(32), **read_keys(cell.world.settings.at_rest_key_file)})
    for row in await cell.world.rows("SELECT id, tenant, case_code, sealed FROM records"):
        place = RECORDS_OF_CASES.at("sealed", row.id, row.tenant, row.case_code)
        anew = both.seal(old.open(row.sealed, **place), **place)
        cell.sql(f"UPDATE records SET sealed = decode('{anew.hex()}', 'hex') WHERE id = '{row.id}'")
    assert (await cell.audit(both)).alarms == 0
    assert (await cell.audit()).alarms > 0
