"""Each agency's audit holds all that it recorded itself: what a hand changed later no longer matches its leaf."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text

from amanat.agency.testing import World
from amanat.agency.worker import AUDITED
from amanat.categories import Agency, Category
from amanat.ledger import Source, tree
from amanat.ledger.audit import audit
from amanat.tables import ledger_entries
from amanat_local.postgres import Postgres
from forensics.service import PARCELS

BARCODE = "SAK-0007"
KIT = f"/v1/kits/{BARCODE}"


@dataclass(frozen=True)
class Own:
    """One agency: who reports there, what (the path's {code} is the referral's), and the kinds that its ledger holds
    then besides looks."""

    role: str
    organisation: str
    shown: Category
    acts: Sequence[tuple[str, dict[str, Any]]]
    kinds: frozenset[str]
    sources: Sequence[Source] = ()


LABORATORY = {"agency": "forensics", "organisation": "lab-karachi"}
STATION = {"agency": "police-link", "organisation": "station-saddar"}
RECEIVED = {"counterpart": STATION, "seal_intact": True, "accepted": True}
AGENCIES = {
    Agency.POLICE_LINK: Own(
        "police_officer",
        "station-saddar",
        Category.INCIDENT,
        (
            ("/v1/referrals/{code}/acknowledgement", {"received_by": "SI Bilal"}),
            ("/v1/referrals/{code}/fir", {"fir_number": "112/2026", "io_name": "Inspector Nadia"}),
            (f"{KIT}/release", {"counterpart": LABORATORY, "seal_number": "S-1"}),
        ),
        frozenset({"acknowledgement", "fir", "kit_released"}),
    ),
    Agency.FORENSICS: Own(
        "laboratory_analyst",
        "lab-karachi",
        Category.EXAMINATION,
        (
            (f"{KIT}/receipt", RECEIVED),
            (f"{KIT}/report", {"report_number": "FR-9", "conclusion": "profile obtained"}),
            (f"{KIT}/release", {"counterpart": STATION}),
            ("/v1/kits/SAK-9999/receipt", RECEIVED),
        ),
        frozenset({"kit_received", "laboratory_report", "kit_released", "unmatched_parcel"}),
        (PARCELS,),
    ),
    Agency.LEGAL_AID: Own(
        "legal_aid_officer",
        "partner-hamdam",
        Category.INVESTIGATION,
        (
            ("/v1/cases/{code}/decline", {"reason": "conflict of interest"}),
            ("/v1/cases/{code}/assignment", {"counsel_name": "Adv. Sana"}),
        ),
        frozenset({"decline", "assignment"}),
    ),
}
OTHERS = "(SELECT sealed FROM {table} ORDER BY id DESC LIMIT 1)"
FIRST = "id = (SELECT id FROM {table} ORDER BY id LIMIT 1)"
CHANGES = (
    ("own_records", f"sealed = {OTHERS}"),
    ("own_records", r"sealed = '\x00'"),
    ("own_records", "kind = 'x'"),
    ("own_records", "recorded_by = 'x'"),
    ("own_records", "recorded_at = recorded_at - interval '1 minute'"),
)
PARCELS_TOO = (("parcels", r"sealed = '\x00'"), ("parcels", "barcode = 'SAK-0001'"), ("parcels", "recorded_by = 'x'"))


async def reported(serve: Callable[..., Awaitable[World]], agency: Agency) -> World:
    """All acts of one organisation on one referral, integrated."""
    own = AGENCIES[agency]
    world = await serve(agency, role=own.role)
    code = world.gate.code()
    await world.tell(
        world.gate.opened(code, own.organisation),
        world.gate.disclosed(code, own.organisation, own.shown, ("incident", {"history": "told once"})),
        world.gate.kit(code, own.organisation, BARCODE),
    )
    async with world.client(own.organisation) as officer:
        for number, (path, body) in enumerate(own.acts):
            answer = await officer.post(path.format(code=code), json=body, headers={"Idempotency-Key": f"key-{number}"})
            assert answer.status_code in {201, 202}, (path, answer.text)
    await tree.integrate(world.worker)
    return world


async def audited(world: World, agency: Agency) -> int:
    """How many alarms a pass makes over the sources of that agency's worker."""
    own, instruments = AGENCIES[agency], world.desk.instruments
    sources = [*AUDITED, *own.sources]
    done = await audit(
        world.worker, sources, instruments.at_rest, "amanat.test/own", datetime.now(UTC), tenants=[own.organisation]
    )
    assert done.leaves >= len(own.acts)
    return done.alarms


@pytest.mark.parametrize(
    ("agency", "table", "change"),
    [(agency, *change) for agency in AGENCIES for change in CHANGES]
    + [(Agency.FORENSICS, *change) for change in PARCELS_TOO],
)
async def test_what_an_agency_recorded_and_a_hand_changed_is_one_alarm(
    serve: Callable[..., Awaitable[World]],
    migrated: Callable[[str, str], Postgres],
    agency: Agency,
    table: str,
    change: str,
) -> None:
    world = await reported(serve, agency)
    async with world.worker.transaction(()) as session:
        assert AGENCIES[agency].kinds <= set(await session.scalars(select(ledger_entries.c.kind)))
        assert await session.scalar(select(func.count()).select_from(ledger_entries)) == len(AGENCIES[agency].acts)
    assert await audited(world, agency) == 0
    db = agency.replace("-", "_")
    migrated(db, db).sql(db, f"UPDATE {table} SET {change} WHERE {FIRST}".format(table=table))
    assert await audited(world, agency) == 1
    async with world.worker.transaction(()) as session:
        [alarm] = (await session.execute(text("SELECT kind, detail FROM ledger_alarms"))).all()
    assert alarm.kind == "record_changed"
    assert alarm.detail["source"].startswith(f"{table}/")
