"""Directory, realm and keys of a local stack."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from amanat.kek import FileKekPrivate, FileKekPublic
from amanat_local.directory import template
from amanat_local.keys import Keys
from amanat_local.realm import GATE_AUDIENCE, ROLES, realm_of

REALM = realm_of(template())


def test_each_organisation_has_a_system_and_staff_and_each_agency_a_service() -> None:
    assert len(REALM.clients) == 2 + 3 + 2 + 2 + 3
    assert len(REALM.people) == 3 * 2 + 3 + 2 + 2
    assert {each.name for each in REALM.people} >= {"arcc-karachi.mlo", "lab-lahore.analyst", "partner-hamdam.officer"}


def test_nobody_is_good_at_two_agencies() -> None:
    for each in REALM.identities:
        assert each.audience == (GATE_AUDIENCE if each.kind == "service" else f"amanat-{each.agency}")
        assert set(each.roles) <= set(ROLES[each.audience])
    assert len({each.name for each in REALM.identities}) == len(REALM.identities)


def test_who_may_break_the_glass_is_a_person_of_a_cell_and_answers_for_it_from_no_unit_of_the_askers() -> None:
    asking, answering = {"cell_clinician", "cell_records"}, {"cell_supervisor"}
    for each in REALM.identities:
        if set(each.roles) & (asking | answering):
            assert (each.kind, each.agency) == ("person", "intake")
            assert each.unit
            assert not (set(each.roles) & asking and set(each.roles) & answering)
        assert each.claims().get("unit", "") == each.unit
    for cell in ("arcc-karachi", "arcc-lahore"):
        at_the_cell = [each for each in REALM.people if each.organisation == cell]
        units = [{each.unit for each in at_the_cell if set(each.roles) & roles} for roles in (asking, answering)]
        assert all(units)
        assert not units[0] & units[1]


def test_only_the_cells_own_people_and_systems_hold_a_cell() -> None:
    for each in REALM.identities:
        assert each.cells == ((each.organisation,) if each.agency == "intake" else ())


def test_every_organisation_serves_a_known_cell_and_has_a_name_in_both_languages() -> None:
    document = template()
    cells = {cell["id"] for cell in document["cells"]}
    for described in [*document["cells"], *document["agencies"].values()]:
        assert set(described["name"]) == {"en", "ur"}
    for agency in document["agencies"].values():
        for organisation in agency["organisations"]:
            assert set(organisation["cells"]) <= cells
            assert organisation["cells"]
            assert set(organisation["name"]) == {"en", "ur"}


def test_keys_are_made_once_and_private_ones_are_their_owners_alone(tmp_path: Path) -> None:
    clients = [client.name for client in REALM.clients]
    keys = Keys.make(tmp_path, clients)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    Keys.make(tmp_path, clients)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for path in before:
        if path != keys.directory_file:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any("d" in keys.public_jwk(client) for client in clients)


def test_the_platform_seals_and_opens_with_the_first_generation(tmp_path: Path) -> None:
    keys = Keys.make(tmp_path, [])
    public = FileKekPublic(keys.kek_public)
    private = FileKekPrivate(keys.kek_public, keys.kek_private)
    generation = public.current()
    assert private.unseal(generation, [public.seal(generation, b"secret")]) == [b"secret"]


def test_the_directory_names_this_stacks_public_keys(tmp_path: Path) -> None:
    document = json.loads(Keys.make(tmp_path, []).directory_file.read_text())
    for agency in document["agencies"].values():
        assert len(agency["signing_keys"]) == 1
    assert [key["id"] for key in document["gate"]["facts_keys"]] == ["1"]
