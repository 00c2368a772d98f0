"""Every bundle at hand goes through, and says what became of each of its entries."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle as Model

from amanat.categories import Category
from amanat.contracts.records import categories_in
from amanat.directory import Directory
from intake.fhir import FhirRefused, MappedBundle, parse, parse_off_loop, response_bundle, to_new_case, warm_up_off_loop

ROOT = Path(__file__).parents[3]
OURS = sorted((ROOT / "examples/bundles").glob("*.json"))
SYNTHEA = sorted((ROOT.parent / "shared/data/fhir").glob("*_*.json"))
CONSENT = ROOT.parent / "shared/data/fhir/r4-consent-example.json"

if not SYNTHEA:
    warnings.warn(
        "left out: the bundles of ../shared/data/fhir are not here; only our own examples are posted", stacklevel=1
    )


@pytest.mark.parametrize("path", [*OURS, *SYNTHEA], ids=lambda path: path.stem[:24])
def test_every_bundle_is_taken_and_each_entry_is_answered_in_its_order(
    path: Path, directory: Directory, now: datetime
) -> None:
    parsed = parse(path.read_bytes())
    mapped = to_new_case(parsed, directory, "arcc-karachi", now)
    response = response_bundle(mapped, "C-0000-0000-0")

    Model.model_validate(response)
    assert [entry.index for entry in mapped.entries] == list(range(len(parsed.entries)))
    assert len(response["entry"]) == len(parsed.entries)
    for each in (entry["response"] for entry in response["entry"]):
        assert ("location" in each) == each["status"].startswith("201")
        issues = each.get("outcome", {}).get("issue", [])
        assert {(issue["severity"], issue["code"]) for issue in issues} <= {("warning", "not-supported")}
        assert "location" in each or issues
    assert mapped.case.cell == "arcc-karachi"


@pytest.mark.parametrize("path", SYNTHEA, ids=lambda path: path.stem[:24])
def test_a_life_s_record_is_cut_down_to_the_latest_emergency_and_grants_nothing(
    path: Path, directory: Directory, now: datetime
) -> None:
    parsed = parse(path.read_bytes())
    mapped = to_new_case(parsed, directory, "arcc-karachi", now)
    starts = [
        entry.resource["period"]["start"]
        for entry in parsed.entries
        if entry.type == "Encounter" and entry.resource["class"]["code"] == "EMER"
    ]

    assert parsed.visit.resource["period"]["start"] == max(starts)
    assert mapped.case.consents == ()
    assert mapped.case.referrals == ()
    assert mapped.case.contact is None
    assert mapped.case.examination is None
    assert mapped.case.care is not None
    assert categories_in(mapped.case.care) == {Category.CARE}
    kept = [entry for entry in mapped.entries if entry.kept_as]
    assert len(kept) < 10 < len(mapped.entries)
    assert {entry.notes for entry in mapped.entries if not entry.kept_as} == {
        ("outside-the-visit",),
        ("kind-not-kept",),
    }


@pytest.mark.parametrize("path", [CONSENT] if CONSENT.exists() else [], ids=lambda path: path.stem)
def test_a_resource_that_is_no_bundle_is_refused(path: Path) -> None:
    with pytest.raises(FhirRefused) as caught:
        parse(path.read_bytes())
    assert (caught.value.status, caught.value.issues[0].rule) == (422, "not-a-bundle")


def test_the_arrival_of_an_adult_becomes_the_case_that_json_would_have_made(
    arrival: dict[str, Any], mapped: Callable[..., MappedBundle]
) -> None:
    case = mapped(arrival).case

    assert case.person is not None
    assert (case.person.cnic, case.person.hospital_record_number) == ("42101-0000000-0", "HRN-{run}")
    assert (case.person.mlc_number, case.person.father_or_husband_name) == ("MLC-{run}", "Rafiq Misaal")
    assert case.contact is not None
    assert (case.contact.number, case.contact.code_word) == ("0300-0000017", "falsa")
    assert case.incident is not None
    assert case.incident.acts == ("sexual assault",)
    assert case.examination is not None
    assert case.examination.samples[0].packaging == "paper envelope, sealed"
    assert categories_in(case.examination) == {Category.EXAMINATION}
    assert case.care is not None
    assert (case.care.pregnancy_test, case.care.pep_given_at is not None) == ("negative", True)
    assert [terms.recipient.organisation for terms in case.consents] == [
        "station-saddar",
        "lab-karachi",
        "partner-hamdam",
    ]
    assert [asked.organisation for asked in case.referrals] == ["lab-karachi"]


def test_a_child_s_consent_names_her_guardian_and_her_own_assent(
    example: Callable[[str], dict[str, Any]], mapped: Callable[..., MappedBundle]
) -> None:
    case = mapped(example("child-and-guardian")).case

    assert case.person is not None
    assert (case.person.guardian_name, case.person.guardian_cnic) == ("Shaista Namoona", "42101-0000000-2")
    for terms in case.consents:
        assert terms.basis == "guardian"
        assert [(each.role, each.decision) for each in terms.deciders] == [
            ("guardian", "consent"),
            ("survivor", "written_assent"),
        ]


def test_a_later_bundle_of_the_visit_bears_the_same_keys(
    example: Callable[[str], dict[str, Any]], mapped: Callable[..., MappedBundle]
) -> None:
    first, later = mapped(example("arrival")), mapped(example("follow-up"))

    assert first.patient_identifiers[0] == later.patient_identifiers[0] == "https://hospital.example/mrn|HRN-{run}"
    visits = [taken.encounter_identifiers[0] for taken in (first, later)]
    assert visits == ["https://hospital.example/visit|VISIT-{run}"] * 2


def test_nobody_needs_a_name_to_be_taken_in(
    example: Callable[[str], dict[str, Any]], mapped: Callable[..., MappedBundle]
) -> None:
    taken = mapped(example("unknown-person"))

    assert taken.case.person is None
    assert taken.case.examination is not None
    assert taken.patient_identifiers == ()
    assert taken.encounter_identifiers[0] == "https://hospital.example/visit|VISIT-0777"


async def test_parsing_off_the_loop_gives_the_same(arrival: dict[str, Any]) -> None:
    await warm_up_off_loop()
    body = json.dumps(arrival).encode()
    apart, here = await parse_off_loop(body), parse(body)

    assert apart.canonical == here.canonical
    assert (apart.entries, apart.visit, apart.patient) == (here.entries, here.visit, here.patient)
