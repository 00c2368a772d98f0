"""What is sealed at the cell opens in its own case alone, wherever somebody with the database puts its row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from amanat.sealing import Unopenable
from amanat_local.postgres import Postgres
from intake.service.loading import load

from .world import CANARY, KARACHI, LAHORE, POLICE, World, consent

pytestmark = pytest.mark.attack

KIT = "KIT-000009"
CELLS = pytest.mark.parametrize("cell", [KARACHI, LAHORE])


async def _two_cases(world: World, cell: str) -> tuple[str, str]:
    """A case of Karachi's with all that is sealed of it, and an empty one of that cell's."""
    case, _ = await world.open_case(consent(POLICE, "identity"))
    await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})
    half = {"counterpart": {"agency": "police-link", "organisation": "station-saddar"}, "person_name": CANARY}
    assert (await world.post(f"/v1/kits/{KIT}/release", half)).status_code == 201
    other = await world.post("/v1/cases", {"person": {}, "incident": {}}, cell=cell)
    assert other.status_code == 201
    return case, str(other.json()["case"])


async def _shows_nothing(world: World, case: str, cell: str) -> None:
    answer = await world.get(f"/v1/cases/{case}", cell=cell)
    assert answer.status_code == 500
    assert CANARY not in answer.text


@CELLS
async def test_a_record_that_was_put_into_another_case_does_not_open_there(
    world: World, migrated: Callable[[str, str], Postgres], cell: str
) -> None:
    case, other = await _two_cases(world, cell)
    postgres = migrated("intake", "intake")
    assert CANARY in (await world.get(f"/v1/cases/{case}")).text
    hers = f"case_code = '{case}' AND kind = 'person'"
    postgres.sql("intake", f"UPDATE records SET tenant = '{cell}', case_code = '{other}' WHERE {hers}")
    await _shows_nothing(world, other, cell)


@CELLS
async def test_a_consent_that_was_put_into_another_case_grants_nothing_there(
    world: World, migrated: Callable[[str, str], Postgres], cell: str
) -> None:
    case, other = await _two_cases(world, cell)
    postgres = migrated("intake", "intake")
    postgres.sql("intake", f"UPDATE consent_events SET tenant = '{cell}', case_code = '{other}'")
    async with world.gate.transaction(()) as session:
        with pytest.raises(Unopenable):
            await load(session, world.gate_access, [cell], other, world.instruments)
        assert (await load(session, world.gate_access, [KARACHI], case, world.instruments)).grants == frozenset()


@pytest.mark.parametrize("barcode", [KIT, "KIT-000010"])
async def test_a_custody_half_that_was_put_to_another_cells_kit_or_another_kit_does_not_open_there(
    world: World, migrated: Callable[[str, str], Postgres], barcode: str
) -> None:
    cell = LAHORE if barcode == KIT else KARACHI
    _, other = await _two_cases(world, cell)
    await world.post(f"/v1/cases/{other}/kits", {"barcode": barcode}, cell=cell)
    postgres = migrated("intake", "intake")
    postgres.sql("intake", f"UPDATE custody_halves SET tenant = '{cell}', barcode = '{barcode}'")
    await _shows_nothing(world, other, cell)
