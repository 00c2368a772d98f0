"""Which Encounter is the visit, whose it is, and what of a bundle belongs to it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from intake.fhir import FhirRefused, MappedBundle

Mapped = Callable[..., MappedBundle]
OfType = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def with_encounters(arrival: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The arrival with other Encounters in the place of its own: (status, class, start) each."""

    def make(*encounters: tuple[str, str, str | None]) -> dict[str, Any]:
        bundle = copy.deepcopy(arrival)
        own = bundle["entry"].pop(1)
        del bundle["entry"][2:]
        for number, (status, kind, start) in enumerate(encounters):
            entry = copy.deepcopy(own)
            entry["fullUrl"] = f"urn:uuid:00000000-0000-4000-8000-00000000010{number}"
            entry["resource"]["status"] = status
            entry["resource"]["class"]["code"] = kind
            entry["resource"]["identifier"] = [{"system": "urn:visit", "value": str(number)}]
            if start is not None:
                entry["resource"]["period"] = {"start": start}
            bundle["entry"].append(entry)
        return bundle

    return make


@pytest.mark.parametrize(
    ("encounters", "chosen"),
    [
        ([("finished", "EMER", "2026-02-01"), ("in-progress", "AMB", "2019-01-01")], 1),
        ([("arrived", "AMB", None), ("finished", "EMER", "2026-02-01")], 0),
        ([("finished", "EMER", "2026-02-01T10:00:00+05:00"), ("finished", "EMER", "2026-02-01T06:00:00Z")], 1),
        ([("finished", "EMER", "2026-02-01"), ("planned", "EMER", "2026-09-01"), ("finished", "AMB", "2026-02-20")], 0),
        ([("cancelled", "EMER", "2026-02-03"), ("finished", "EMER", "2025"), ("finished", "EMER", None)], 1),
        ([("triaged", "EMER", None)], 0),
    ],
)
def test_the_visit_is_the_present_one_else_the_latest_emergency(
    encounters: Any, chosen: int, with_encounters: Callable[..., dict[str, Any]], mapped: Mapped
) -> None:
    taken = mapped(with_encounters(*encounters))
    assert taken.encounter_identifiers == (f"urn:visit|{chosen}",)
    assert [entry.index - 2 for entry in taken.entries if entry.kept_as == "case"] == [chosen]


@pytest.mark.parametrize(
    ("encounters", "rule", "named"),
    [
        (
            [("in-progress", "EMER", None), ("finished", "EMER", "2026-01-01"), ("arrived", "AMB", None)],
            "which-visit",
            [0, 2],
        ),
        ([("finished", "EMER", "2026-01-01"), ("finished", "EMER", "2026-01-01")], "which-visit", [0, 1]),
        ([("finished", "EMER", None), ("finished", "EMER", None)], "which-visit", [0, 1]),
        ([("finished", "AMB", "2026-01-01"), ("cancelled", "EMER", "2026-01-01")], "no-visit", [0, 1]),
    ],
)
def test_where_the_visit_is_not_clear_the_sender_is_told_between_which_to_choose(
    encounters: Any, rule: str, named: list[int], with_encounters: Callable[..., dict[str, Any]], refusal: Any
) -> None:
    answer: FhirRefused = refusal(with_encounters(*encounters))
    assert {issue.rule for issue in answer.issues} == {rule}
    assert [issue.expression for issue in answer.issues] == [
        f"Bundle.entry[{2 + each}].resource.status" for each in named
    ]


def test_a_bundle_without_an_encounter_has_no_visit(
    with_encounters: Callable[..., dict[str, Any]], refusal: Any
) -> None:
    assert refusal(with_encounters()).issues[0].rule == "no-visit"


def test_the_visit_s_patient_must_be_here_when_it_names_one(
    arrival: dict[str, Any], of_type: OfType, refusal: Any
) -> None:
    of_type(arrival, "Encounter")[0]["subject"] = {"reference": "Patient/elsewhere"}
    assert refusal(arrival).issues[0].rule == "no-patient"


def test_what_is_about_somebody_else_never_enters_her_record(
    arrival: dict[str, Any], of_type: OfType, mapped: Mapped
) -> None:
    other = copy.deepcopy(arrival["entry"][0])
    other["fullUrl"] = "urn:uuid:00000000-0000-4000-8000-000000000099"
    other["resource"]["identifier"] = []
    arrival["entry"].append(other)
    place = of_type(arrival, "Observation")[1]
    place["subject"] = {"reference": other["fullUrl"]}
    taken = mapped(arrival)

    assert taken.case.incident is not None
    assert taken.case.incident.place is None
    assert taken.entries[4].notes == ("other-person",)
    assert taken.entries[-1].notes == ("outside-the-visit",)


@pytest.mark.parametrize(
    ("reference", "notes"),
    [
        ({"reference": "Encounter/another"}, ("outside-the-visit",)),
        ({"reference": "https://hospital.example/fhir/Encounter/3"}, ("outside-the-visit",)),
        ({"identifier": {"system": "https://hospital.example/visit", "value": "VISIT-0"}}, ("outside-the-visit",)),
        ({"identifier": {"system": "https://hospital.example/visit", "value": "VISIT-{run}"}}, ()),
        ({"reference": "Encounter/visit-1"}, ()),
        ({"reference": "Encounter/visit-1/_history/2"}, ()),
        (None, ("outside-the-visit",)),
    ],
)
def test_only_what_refers_to_the_visit_is_kept(
    reference: Any, notes: tuple[str, ...], arrival: dict[str, Any], of_type: OfType, mapped: Mapped
) -> None:
    of_type(arrival, "Encounter")[0]["id"] = "visit-1"
    of_type(arrival, "Observation")[1].pop("encounter")
    if reference is not None:
        of_type(arrival, "Observation")[1]["encounter"] = reference
    assert mapped(arrival).entries[4].notes == notes


def test_restful_full_urls_resolve_relative_references_from_where_they_stand(
    arrival: dict[str, Any], of_type: OfType, mapped: Mapped
) -> None:
    arrival["entry"][1]["fullUrl"] = "https://hospital.example/fhir/Encounter/7"
    for each in arrival["entry"]:
        for name in ("encounter", "context"):
            if name in each["resource"]:
                each["resource"][name] = {"reference": "Encounter/7"}
    for index, number in ((3, 3), (4, 4)):
        arrival["entry"][index]["fullUrl"] = f"https://hospital.example/fhir/Observation/{number}"
    taken = mapped(arrival)
    assert [taken.entries[index].kept_as for index in (3, 4)] == ["incident", "incident"]
    assert taken.entries[5].notes == ("outside-the-visit",)  # a urn has no base, and no Encounter here has the id 7
