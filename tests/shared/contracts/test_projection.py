"""What may ever reach whom, field by field, over records in which every field is set."""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest

from amanat.categories import CEILINGS, OUTSIDE, PERSONAL, Agency, Category, Reaches, may_reach
from amanat.contracts import Part, Record
from amanat.contracts.disclosures import DisclosedRecords
from amanat.contracts.records import RECORDS, CustodyHalf, categories_in, project
from amanat.contracts.values import Line

_GOLDEN = Path(__file__).with_name("golden") / "disclosed-records.1.json"
_FULL: dict[str, Record] = {
    each.record: RECORDS[each.record].parse(json.dumps(each.fields))
    for each in DisclosedRecords.parse(_GOLDEN.read_bytes()).records
}
_AGENCIES = sorted(OUTSIDE)


def _leaves(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {leaf for inner in value for leaf in _leaves(inner, path)}
    return {path}


def _reaching(agency: Agency, *, adult: bool = True) -> set[str]:
    """Every field that reaches an agency through any category at all, as `record.field`."""
    return {
        f"{name}.{leaf}"
        for name, record in _FULL.items()
        for category in Category
        if (projected := project(record, category, agency, adult=adult))
        for leaf in _leaves(projected)
    }


def test_the_full_records_set_every_field_of_every_record() -> None:
    assert _FULL.keys() == RECORDS.keys()
    for name, record in _FULL.items():
        assert set(RECORDS[name].model_fields) == record.model_fields_set


def test_intake_may_have_every_field_and_each_in_one_category_only() -> None:
    for name, record in _FULL.items():
        found = [
            leaf
            for category in PERSONAL
            for leaf in _leaves(project(record, category, Agency.INTAKE, adult=False) or {})
            if leaf
        ]
        assert sorted(found) == sorted(_leaves(record.model_dump(mode="json"))), name


@pytest.mark.parametrize("agency", _AGENCIES)
@pytest.mark.parametrize("adult", [True, False])
@pytest.mark.parametrize("category", [Category.CARE, Category.COUNSELLING])
def test_care_and_counselling_leave_the_cell_through_no_record(category: Category, agency: Agency, adult: bool) -> None:
    assert [name for name, record in _FULL.items() if project(record, category, agency, adult=adult)] == []


@pytest.mark.parametrize("agency", _AGENCIES)
def test_treatment_pregnancy_hiv_and_last_period_reach_nobody_wherever_they_are_written(agency: Agency) -> None:
    words = (
        "treatment",
        "pregnancy",
        "hiv",
        "last_period",
        "medication",
        "pep",
        "contraception",
        "hepatitis",
        "tetanus",
    )
    assert [field for field in _reaching(agency) if any(word in field for word in words)] == []


def test_the_laboratory_gets_exactly_the_request_the_samples_the_fir_number_and_custody() -> None:
    laboratory = _reaching(Agency.FORENSICS)
    custody = {f"custody_half.{leaf}" for leaf in _leaves(_FULL["custody_half"].model_dump(mode="json"))}
    reports = {"report_number", "issued_at", "findings", "dna_profile_obtained", "conclusion", "analyst"}
    digital = {"source", "url", "acquired_at", "sha256", "description", "custody_place"}
    samples = {"site", "taken_at", "collected_by", "reason_not_taken", "packaging"}
    assert laboratory == custody | {
        "incident.occurred_at",
        "incident.time_certainty",
        "incident.acts",
        "examination.examination_request",
        *(f"examination.samples.{field}" for field in samples),
        *(f"digital_item.{field}" for field in digital),
        "fir.fir_number",
        "fir.io_name",
        *(f"laboratory_report.{field}" for field in reports),
    }


def test_the_laboratory_never_learns_who_she_is_or_what_she_told() -> None:
    for name in ("person", "safe_contact", "image", "counselling_note", "care_note"):
        assert not any(project(_FULL[name], category, Agency.FORENSICS, adult=True) for category in Category)
    told = project(_FULL["incident"], Category.INCIDENT, Agency.FORENSICS, adult=True)
    assert told is not None
    assert not {"history", "place", "accused", "weapon", "police_docket"} & told.keys()


@pytest.mark.parametrize("agency", _AGENCIES)
def test_a_childs_imagery_goes_to_nobody(agency: Agency) -> None:
    assert project(_FULL["image"], Category.IMAGERY, agency, adult=False) is None


def test_an_adults_imagery_goes_to_police_alone() -> None:
    receivers = [agency for agency in _AGENCIES if project(_FULL["image"], Category.IMAGERY, agency, adult=True)]
    assert receivers == [Agency.POLICE_LINK]


def test_police_sees_of_her_counsel_the_hearing_dates_and_nothing_else() -> None:
    assert {field for field in _reaching(Agency.POLICE_LINK) if field.startswith(("assignment.", "decline."))} == {
        "assignment.hearing_dates"
    }


def test_a_category_is_projected_alone_even_inside_one_record() -> None:
    report = project(_FULL["examination"], Category.EXAMINATION, Agency.POLICE_LINK, adult=True)
    assert report is not None
    assert {"treatment", "pregnancy_test", "hiv_test", "last_period", "medication"}.isdisjoint(report)
    assert "genital_findings" in report


@pytest.mark.parametrize("agency", _AGENCIES)
@pytest.mark.parametrize("adult", [True, False])
def test_a_ceiling_is_never_wider_than_its_fields_and_every_category_in_it_has_some(
    agency: Agency, adult: bool
) -> None:
    reached = {
        category for record in _FULL.values() for category in PERSONAL if project(record, category, agency, adult=adult)
    }
    assert reached == {category for category in PERSONAL if may_reach(category, agency, adult=adult)}


@pytest.mark.parametrize("agency", _AGENCIES)
def test_a_projection_is_read_back_as_the_same_kind_of_record(agency: Agency) -> None:
    for name, record in _FULL.items():
        for category in PERSONAL:
            projected = project(record, category, agency, adult=True)
            if projected is not None:
                assert categories_in(RECORDS[name].parse(json.dumps(projected))) == {category}


def test_an_empty_record_has_no_category_and_projects_to_nothing() -> None:
    for record in RECORDS.values():
        assert categories_in(record()) == frozenset()
        assert all(project(record(), category, Agency.INTAKE, adult=True) is None for category in Category)


class _Note(Part):
    findings: Annotated[Line | None, Category.LABORATORY] = None
    hiv: Annotated[Line | None, Category.CARE] = None


class _Planted(Record):
    inside_care: Annotated[_Note | None, Category.CARE] = None
    counsel_only: Annotated[_Note | None, Category.LABORATORY, Reaches(Agency.LEGAL_AID)] = None
    bare: Line | None = None
    bare_part: _Note | None = None


def test_a_part_reaches_no_further_than_what_it_stands_in() -> None:
    note = _Note(findings="f", hiv="h")
    inside_care = _Planted(inside_care=note)
    assert project(inside_care, Category.LABORATORY, Agency.POLICE_LINK, adult=True) is None
    assert project(inside_care, Category.LABORATORY, Agency.INTAKE, adult=True) == {"inside_care": {"findings": "f"}}
    narrowed = _Planted(counsel_only=note)
    assert project(narrowed, Category.LABORATORY, Agency.POLICE_LINK, adult=True) is None
    assert project(narrowed, Category.LABORATORY, Agency.LEGAL_AID, adult=True) == {"counsel_only": {"findings": "f"}}
    assert categories_in(narrowed) == {Category.LABORATORY, Category.CARE}


@pytest.mark.parametrize("planted", [_Planted(bare="x"), _Planted(bare_part=_Note(findings="f", hiv="h"))])
def test_a_field_without_a_category_is_let_out_to_nobody_not_even_intake(planted: _Planted) -> None:
    assert not any(project(planted, category, agency, adult=True) for category in Category for agency in Agency)


def test_a_disclosed_custody_half_is_whole() -> None:
    half = _FULL["custody_half"]
    projected = project(half, Category.LABORATORY, Agency.LEGAL_AID, adult=False)
    assert CustodyHalf.parse(json.dumps(projected)) == half


def test_no_ceiling_names_intake_which_holds_the_originals() -> None:
    assert all(receivers <= OUTSIDE for receivers in CEILINGS.values())
    assert CEILINGS.keys() == set(Category)
