"""Snapshots are what the contracts are, and a change that breaks a reader is refused."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml

from amanat.categories import Agency, Category, Reaches
from amanat.contracts import EVENTS, FACTS, Part, Record, export
from amanat.contracts.checkpoints import CheckpointEvent
from amanat.contracts.compatibility import incompatibilities
from amanat.contracts.values import Count, Line, Moment

_SNAPSHOTS = export.FOLDER


class Seal(Part):
    number: Annotated[Line, Category.LABORATORY]
    state: Annotated[Literal["whole", "broken"] | None, Category.LABORATORY] = None


class Before(Record):
    name: Annotated[Line, Category.LABORATORY]
    note: Annotated[Line | None, Category.LABORATORY, Reaches(Agency.LEGAL_AID)] = None
    seals: Annotated[tuple[Seal, ...], Category.LABORATORY] = ()
    count: Annotated[Count | None, Category.LABORATORY] = None


class WithNewOptional(Before):
    added: Annotated[Moment | None, Category.LABORATORY] = None


class WithNewRequired(Before):
    added: Annotated[Moment, Category.LABORATORY]


class Renamed(Record):
    full_name: Annotated[Line, Category.LABORATORY]
    note: Annotated[Line | None, Category.LABORATORY, Reaches(Agency.LEGAL_AID)] = None
    seals: Annotated[tuple[Seal, ...], Category.LABORATORY] = ()
    count: Annotated[Count | None, Category.LABORATORY] = None


class Retyped(Before):
    count: Annotated[Line | None, Category.LABORATORY] = None  # type: ignore[assignment]  # the planted change


class NoLongerRequired(Before):
    name: Annotated[Line | None, Category.LABORATORY] = None  # type: ignore[assignment]  # the planted change


class NowRequired(Before):
    count: Annotated[Count | None, Category.LABORATORY]


class Recategorised(Before):
    name: Annotated[Line, Category.INVESTIGATION]


class ReachesFurther(Before):
    note: Annotated[Line | None, Category.LABORATORY, Reaches(Agency.LEGAL_AID, Agency.FORENSICS)] = None


class NarrowerSeal(Part):
    number: Annotated[Line, Category.LABORATORY]
    state: Annotated[Literal["whole"] | None, Category.LABORATORY] = None


class WiderSeal(Part):
    number: Annotated[Line, Category.LABORATORY]
    state: Annotated[Literal["whole", "broken", "absent"] | None, Category.LABORATORY] = None


class NarrowedEnum(Before):
    seals: Annotated[tuple[NarrowerSeal, ...], Category.LABORATORY] = ()  # type: ignore[assignment]  # the planted change


class WidenedEnum(Before):
    seals: Annotated[tuple[WiderSeal, ...], Category.LABORATORY] = ()  # type: ignore[assignment]  # the planted change


def _changed(new: type[Record]) -> tuple[str, ...]:
    return incompatibilities(export.schema_of(Before), export.schema_of(new))


@pytest.mark.parametrize("new", [Before, WithNewOptional, WidenedEnum])
def test_a_new_optional_field_or_an_added_value_is_compatible(new: type[Record]) -> None:
    assert _changed(new) == ()


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (Renamed, "$.name: removed or renamed"),
        (WithNewRequired, "$.added: new and required"),
        (Retyped, "$.count: no longer integer"),
        (NoLongerRequired, "$.name: no longer required"),
        (NowRequired, "$.count: now required"),
        (Recategorised, "$.name: x-category changed"),
        (ReachesFurther, "$.note: reaches more agencies"),
        (NarrowedEnum, "$.seals[items].state: fewer values"),
    ],
)
def test_a_change_that_breaks_a_reader_is_incompatible(new: type[Record], reason: str) -> None:
    assert any(found.startswith(reason) for found in _changed(new)), _changed(new)


def test_a_removed_field_is_incompatible() -> None:
    assert incompatibilities(export.schema_of(WithNewOptional), export.schema_of(Before)) == (
        "$.added: removed or renamed",
    )


def test_a_lowered_limit_is_incompatible_and_a_raised_one_is_not() -> None:
    short = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 10}}}
    long = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 20}}}
    assert incompatibilities(long, short) == ("$.a: maxLength lowered",)
    assert incompatibilities(short, long) == ()


@pytest.mark.parametrize("name", export.snapshots())
def test_the_snapshot_is_what_the_contract_is(name: str) -> None:
    assert (_SNAPSHOTS / name).read_text(encoding="utf-8") == export.snapshots()[name]


def test_no_snapshot_is_left_of_a_contract_that_is_gone() -> None:
    assert {file.name for file in _SNAPSHOTS.iterdir()} == set(export.snapshots())


def test_the_contracts_may_replace_their_snapshots() -> None:
    assert list(export.refusals(_SNAPSHOTS)) == []


def test_the_export_refuses_an_incompatible_change_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--folder", str(tmp_path)]) == 0
    file = tmp_path / "pk.amanat.kit-announced.v1.schema.json"
    frozen = json.loads(file.read_text(encoding="utf-8"))
    frozen["properties"]["colour"] = {"type": "string", "x-category": "operational"}
    file.write_text(json.dumps(frozen), encoding="utf-8")
    (tmp_path / "pk.amanat.kit-lost.v1.schema.json").write_text("{}", encoding="utf-8")

    assert export.main(["--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "pk.amanat.kit-announced.v1 $.colour: removed or renamed" in told
    assert "pk.amanat.kit-lost.v1: the contract is gone" in told
    assert json.loads(file.read_text(encoding="utf-8")) == frozen


def test_the_asyncapi_document_names_every_topic_message_and_sender() -> None:
    document = yaml.safe_load((_SNAPSHOTS / export.ASYNCAPI).read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    outside = ("forensics", "legal-aid", "police-link")
    topics = {f"{kind}.{agency}" for kind in ("disclosures", "facts") for agency in outside}
    assert set(document["channels"]) == topics | {f"checkpoints.{service}" for service in (*outside, "intake")}
    assert set(document["components"]["messages"]) == set(EVENTS)
    senders = {name for name, operation in document["operations"].items() if operation["action"] == "send"}
    assert senders == {f"intake-gate.send.disclosures.{agency}" for agency in outside} | {
        f"{agency}.send.facts.{agency}" for agency in outside
    } | {f"{service}.send.checkpoints.{service}" for service in (*outside, "intake")}
    of_ledgers = {name for name, event in EVENTS.items() if issubclass(event, CheckpointEvent)}
    assert all(set(document["channels"][f"checkpoints.{each}"]["messages"]) == of_ledgers for each in outside)
    for agency in outside:
        sent = set(document["channels"][f"facts.{agency}"]["messages"])
        assert sent == {name for name, fact in FACTS.items() if agency in fact.publishers}
        disclosed = set(EVENTS) - set(FACTS) - of_ledgers
        assert set(document["channels"][f"disclosures.{agency}"]["messages"]) == disclosed


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load((_SNAPSHOTS / export.ASYNCAPI).read_text(encoding="utf-8"))

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for inner in value.values() for found in references(inner)]
        return []

    for reference in references(document):
        if reference.startswith("./"):
            assert (_SNAPSHOTS / reference).is_file()
            continue
        here = document
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]
