"""Events on the wire: written strictly, read generously, and every one that was ever frozen is read forever."""

import base64
import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from pydantic import ValidationError

from amanat.categories import Agency, Category
from amanat.contracts import EVENTS, FACTS, Contract, Event, Fact, SealedFact
from amanat.contracts.disclosures import CategoryDisclosed, DisclosedRecords, ReferralOpened, TombstonesRequested
from amanat.contracts.export import contracts

_GOLDEN = Path(__file__).with_name("golden")
_CONTRACTS = {name: contract for name, contract in contracts().items() if not name.startswith("record.")}


def _golden(name: str) -> Any:
    return json.loads((_GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def test_every_event_has_a_golden_file_and_every_golden_file_its_event() -> None:
    assert {file.stem for file in _GOLDEN.glob("*.json")} == set(_CONTRACTS)


def test_no_golden_file_is_ever_changed_nor_taken_away() -> None:
    lines = (_GOLDEN / "FROZEN").read_text(encoding="utf-8").splitlines()
    frozen = dict(reversed(line.split("  ")) for line in lines)
    digests = {file.name: sha256(file.read_bytes()).hexdigest() for file in _GOLDEN.glob("*.json")}
    assert digests == frozen


@pytest.mark.parametrize("name", _CONTRACTS)
def test_a_golden_event_is_read_and_written_again_as_it_was(name: str) -> None:
    contract = _CONTRACTS[name]
    read = contract.parse((_GOLDEN / f"{name}.json").read_bytes())
    assert json.loads(read.body()) == _golden(name)
    assert contract.parse(read.body()) == read


def _with_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: _with_unknown(inner) for key, inner in value.items()}, "from_a_newer_minor": 1}
    return [_with_unknown(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", set(_CONTRACTS) - {"disclosed-records.1"})
def test_a_reader_ignores_fields_of_a_newer_writer_at_every_depth(name: str) -> None:
    newer = json.dumps(_with_unknown(_golden(name)))
    assert json.loads(_CONTRACTS[name].parse(newer).body()) == _golden(name)


@pytest.mark.parametrize("name", _CONTRACTS)
def test_a_writer_cannot_send_a_field_that_its_contract_does_not_have(name: str) -> None:
    with pytest.raises(ValidationError):
        _CONTRACTS[name].model_validate(_with_unknown(_golden(name)))


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_travels_sealed_under_its_own_type_and_says_nothing_else(name: str) -> None:
    sealed = SealedFact.carrying(name)(
        referral="P-7KQ2-M4XD-1", key_id="gate-1", signing_key_id="police-link-1", sealed=b"\x00\xff"
    )
    assert sealed.type == name
    assert EVENTS[name].parse(sealed.body()) == sealed
    assert json.loads(sealed.body()).keys() == {"referral", "key_id", "signing_key_id", "sealed"}


def test_a_fact_of_no_contract_has_no_sealed_form_and_the_bare_form_has_no_type() -> None:
    with pytest.raises(KeyError):
        SealedFact.carrying("pk.amanat.rumour-heard.v1")
    assert not hasattr(SealedFact, "type")


def test_each_fact_names_the_agencies_that_may_report_it() -> None:
    assert FACTS["pk.amanat.fir-registered.v1"].publishers == {Agency.POLICE_LINK}
    assert FACTS["pk.amanat.kit-reported.v1"].publishers == {Agency.FORENSICS}
    assert FACTS["pk.amanat.lawyer-assigned.v1"].publishers == {Agency.LEGAL_AID}
    assert FACTS["pk.amanat.tombstone-confirmed.v1"].publishers == set(Agency) - {Agency.INTAKE}
    with pytest.raises(TypeError):
        type(
            "ToldByIntake",
            (Fact,),
            {
                "__module__": __name__,
                "__annotations__": {"type": ClassVar[str], "publishers": ClassVar[frozenset[Agency]]},
                "type": "pk.amanat.told-by-intake.v1",
                "publishers": frozenset({Agency.INTAKE}),
            },
        )
    assert "pk.amanat.told-by-intake.v1" not in EVENTS


@pytest.mark.parametrize("bad_type", ["pk.amanat.referral-opened.v1", "pk.amanat.Opened.v1", "opened"])
def test_a_type_is_well_formed_and_has_one_contract(bad_type: str) -> None:
    with pytest.raises(TypeError):
        type(
            "Planted",
            (Event,),
            {"__module__": __name__, "__annotations__": {"type": ClassVar[str]}, "type": bad_type},
        )
    assert EVENTS["pk.amanat.referral-opened.v1"] is ReferralOpened


def test_events_and_records_are_frozen() -> None:
    event = TombstonesRequested(request_id=UUID(int=1), requested_at=datetime(2026, 3, 1, tzinfo=UTC))
    for name in type(event).model_fields:
        with pytest.raises(ValidationError):
            setattr(event, name, "changed")


def test_ciphertext_is_standard_base64_in_json_and_nothing_else_is_read_as_such() -> None:
    body = _golden("pk.amanat.category-disclosed.v1")
    read = CategoryDisclosed.parse(json.dumps(body))
    assert read.sealed == base64.b64decode(body["sealed"])
    with pytest.raises(ValidationError):
        CategoryDisclosed.parse(json.dumps({**body, "sealed": "not base64!"}))


def test_a_disclosure_carries_no_clear_field_but_operational_ones() -> None:
    for name, event in EVENTS.items():
        assert [field for field in event.model_fields.values() if Category.OPERATIONAL not in field.metadata] == [], (
            name
        )


def test_disclosed_records_keep_whatever_their_records_hold() -> None:
    records = DisclosedRecords.parse((_GOLDEN / "disclosed-records.1.json").read_bytes())
    assert all(record.fields for record in records.records)
    assert isinstance(records, Contract)
