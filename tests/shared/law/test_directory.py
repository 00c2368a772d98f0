"""The directory: who it does not name does not exist."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from amanat.categories import Agency
from amanat.directory import BadDirectory, Directory

KEY = bytes(range(32))
NAME = {"en": "Reporting Centre", "ur": "رپورٹنگ مرکز"}


def _document() -> dict[str, Any]:
    listed = {"id": "police-link-1", "public_key": base64.b64encode(KEY).decode()}
    return {
        "version": 1,
        "cells": [{"id": "arcc-karachi", "name": NAME, "province": "sindh"}],
        "agencies": {
            "police-link": {
                "name": NAME,
                "purpose": "investigation",
                "organisations": [{"id": "station-saddar", "name": NAME, "cells": ["arcc-karachi"]}],
                "signing_keys": [listed],
                "lease_seconds": 20,
            }
        },
        "gate": {"facts_keys": [{**listed, "id": "gate-2"}, {**listed, "id": "gate-1"}]},
    }


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    file = tmp_path / "directory.json"
    file.write_text(json.dumps(_document()), encoding="utf-8")
    return Directory.load(file)


def test_who_is_named_is_found_with_purpose_keys_and_the_cells_served(directory: Directory) -> None:
    station = directory.organisation(Agency.POLICE_LINK, "station-saddar")
    assert station is not None
    assert station.name.ur == NAME["ur"]
    assert directory.serves(Agency.POLICE_LINK, "station-saddar", "arcc-karachi")
    assert directory.purpose(Agency.POLICE_LINK) == "investigation"
    assert directory.signing_key(Agency.POLICE_LINK, "police-link-1") == KEY
    assert directory.lease_seconds(Agency.POLICE_LINK) == 20
    current = directory.facts_key()
    assert current is not None
    assert (current.id, current.public_key) == ("gate-2", KEY)
    cell = directory.cell("arcc-karachi")
    assert cell is not None
    assert cell.province == "sindh"


def test_who_is_not_named_does_not_exist(directory: Directory) -> None:
    assert directory.organisation(Agency.POLICE_LINK, "station-clifton") is None
    assert directory.organisation(Agency.FORENSICS, "station-saddar") is None
    assert directory.cell("arcc-lahore") is None
    assert directory.signing_key(Agency.FORENSICS, "police-link-1") is None
    assert directory.signing_key(Agency.POLICE_LINK, "gate-1") is None
    assert directory.lease_seconds(Agency.LEGAL_AID) is None
    assert not directory.serves(Agency.POLICE_LINK, "station-saddar", "arcc-lahore")
    with pytest.raises(KeyError):
        directory.purpose(Agency.FORENSICS)


@pytest.mark.parametrize(
    "broken",
    [
        {"version": "1"},
        {"unknown": 1},
        {"cells": _document()["cells"] * 2},
        {"cells": []},
        {"agencies": {"intake": _document()["agencies"]["police-link"]}},
        {"agencies": {"coroner": _document()["agencies"]["police-link"]}},
        {"agencies": {"police-link": {**_document()["agencies"]["police-link"], "purpose": "research"}}},
        {"gate": {"facts_keys": [{"id": "gate-1", "public_key": "c2hvcnQ="}]}},
        {"gate": {"facts_keys": [{"id": "gate-1", "public_key": "?"}]}},
    ],
)
def test_a_directory_that_contradicts_itself_is_refused_whole(tmp_path: Path, broken: dict[str, Any]) -> None:
    file = tmp_path / "directory.json"
    file.write_text(json.dumps({**_document(), **broken}), encoding="utf-8")
    with pytest.raises(BadDirectory):
        Directory.load(file)


def test_a_missing_or_truncated_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDirectory):
        Directory.load(tmp_path / "none.json")
    truncated = tmp_path / "directory.json"
    truncated.write_text(json.dumps(_document())[:-20], encoding="utf-8")
    with pytest.raises(BadDirectory):
        Directory.load(truncated)
