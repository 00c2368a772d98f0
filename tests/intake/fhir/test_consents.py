"""A Consent grants only when all of it is known; everything else grants nothing and is listed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat.categories import Category
from intake.fhir import MappedBundle

Change = Callable[[dict[str, Any]], object]
OURS = "https://amanat.pk/fhir/"


NOTHING: dict[str, tuple[str, Change]] = {
    "inactive": ("consent-status", lambda c: c.update(status="inactive")),
    "draft": ("consent-status", lambda c: c.update(status="draft")),
    "somebody else's": ("consent-person", lambda c: c.update(patient={"reference": "Patient/another"})),
    "a denial": ("consent-type", lambda c: c["provision"].update(type="deny")),
    "without a type": ("consent-type", lambda c: c["provision"].pop("type")),
    "without a provision": ("consent-type", lambda c: c.pop("provision")),
    "not begun": ("consent-period", lambda c: c["provision"].update(period={"start": "2031-01-01"})),
    "over": ("consent-period", lambda c: c["provision"].update(period={"end": "2026-02-27"})),
    "over before it began": (
        "consent-period",
        lambda c: c["provision"].update(period={"start": "2025-01-01", "end": "2024-01-01"}),
    ),
    "given on an empty date": ("consent-period", lambda c: c.update(dateTime="1900-01-01")),
    "from an empty year on": ("consent-period", lambda c: c["provision"].update(period={"start": "1900"})),
    "given in the future": ("consent-period", lambda c: c.update(dateTime="2026-03-02")),
    "without an actor": ("consent-recipient", lambda c: c["provision"].pop("actor")),
    "to an unknown station": (
        "consent-recipient",
        lambda c: c["provision"]["actor"][0]["reference"]["identifier"].update(value="station-nowhere"),
    ),
    "to another cell's station": (
        "consent-recipient",
        lambda c: c["provision"]["actor"][0]["reference"]["identifier"].update(value="station-model-town"),
    ),
    "by a name of another system": (
        "consent-recipient",
        lambda c: c["provision"]["actor"][0]["reference"]["identifier"].update(system="https://example.org"),
    ),
    "to a display alone": (
        "consent-recipient",
        lambda c: c["provision"]["actor"][0].update(reference={"display": "Saddar"}),
    ),
    "to an actor of another role": (
        "consent-recipient",
        lambda c: c["provision"]["actor"][0]["role"]["coding"][0].update(code="CST"),
    ),
    "to one known and one unknown": (
        "consent-recipient",
        lambda c: c["provision"]["actor"].append(
            {"role": c["provision"]["actor"][0]["role"], "reference": {"display": "whoever"}}
        ),
    ),
    "without a purpose": ("consent-purpose", lambda c: c["provision"].pop("purpose")),
    "for another's purpose": ("consent-purpose", lambda c: c["provision"]["purpose"][0].update(code="research")),
    "for a purpose of another system": (
        "consent-purpose",
        lambda c: c["provision"]["purpose"][0].update(system="http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ),
    "without a data class": ("consent-data-class", lambda c: c["provision"].pop("class")),
    "with a misspelt data class": (
        "consent-data-class",
        lambda c: c["provision"]["class"].append({"system": OURS + "data-class", "code": "incidents"}),
    ),
    "of what is nobody's to grant": (
        "consent-data-class",
        lambda c: c["provision"]["class"].append({"system": OURS + "data-class", "code": "operational"}),
    ),
    "with an exception": ("consent-narrowed", lambda c: c["provision"].update(provision=[{"type": "deny"}])),
    "for old data only": (
        "consent-narrowed",
        lambda c: c["provision"].update(dataPeriod={"start": "2010-01-01", "end": "2011-01-01"}),
    ),
    "for one code only": ("consent-narrowed", lambda c: c["provision"].update(code=[{"text": "x"}])),
    "for one resource only": (
        "consent-narrowed",
        lambda c: c["provision"].update(data=[{"meaning": "instance", "reference": {"reference": "Observation/1"}}]),
    ),
    "to collect, not to disclose": (
        "consent-narrowed",
        lambda c: c["provision"].update(
            action=[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "collect"}]}]
        ),
    ),
    "with a modifier": ("modifier", lambda c: c.update(modifierExtension=[{"url": "urn:x", "valueBoolean": True}])),
    "by an unknown decision": (
        "consent-decision",
        lambda c: c["performer"][0].update(
            extension=[{"url": OURS + "StructureDefinition/decision", "valueCode": "presumed"}]
        ),
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_a_consent_that_is_not_wholly_known_grants_nothing_and_is_listed(
    case: str,
    arrival: dict[str, Any],
    mapped: Callable[..., MappedBundle],
    of_type: Callable[..., list[dict[str, Any]]],
) -> None:
    rule, change = NOTHING[case]
    police = of_type(arrival, "Consent")[0]
    place = next(index for index, each in enumerate(arrival["entry"]) if each["resource"] is police)
    change(police)
    taken = mapped(arrival)

    assert [terms.recipient.organisation for terms in taken.case.consents] == ["lab-karachi", "partner-hamdam"]
    assert (taken.entries[place].kept_as, taken.entries[place].notes) == (None, (rule,))


def test_a_recipient_may_be_named_through_an_organization_of_the_bundle_or_inside_the_consent(
    arrival: dict[str, Any], mapped: Callable[..., MappedBundle], of_type: Callable[..., list[dict[str, Any]]]
) -> None:
    consents = of_type(arrival, "Consent")
    organisation: dict[str, Any] = {
        "resourceType": "Organization",
        "id": "o",
        "identifier": [{"system": "https://amanat.pk/directory", "value": "station-clifton"}],
    }
    consents[0]["provision"]["actor"][0]["reference"] = {"reference": "urn:uuid:0e4a2a1c-0000-4000-8000-000000000001"}
    arrival["entry"].append(
        {
            "fullUrl": "urn:uuid:0e4a2a1c-0000-4000-8000-000000000001",
            "resource": organisation,
            "request": {"method": "POST", "url": "Organization"},
        }
    )
    laboratory = {**organisation, "id": "l", "identifier": [{**organisation["identifier"][0], "value": "lab-karachi"}]}
    consents[1]["contained"] = [laboratory]
    consents[1]["provision"]["actor"][0]["reference"] = {"reference": "#l"}

    assert [terms.recipient.organisation for terms in mapped(arrival).case.consents][:2] == [
        "station-clifton",
        "lab-karachi",
    ]


def test_a_consent_is_no_wider_than_what_was_written(
    arrival: dict[str, Any], mapped: Callable[..., MappedBundle], of_type: Callable[..., list[dict[str, Any]]]
) -> None:
    police = of_type(arrival, "Consent")[0]
    police["provision"]["class"] = [{"system": OURS + "data-class", "code": "incident"}]
    police["provision"]["period"]["end"] = "2026-03-01"
    terms = mapped(arrival).case.consents[0]

    assert terms.categories == {Category.INCIDENT}
    assert terms.given_at == datetime(2025, 6, 2, 18, 10, tzinfo=UTC)
    assert terms.expires_at == datetime(2026, 3, 1, 19, 0, tzinfo=UTC)  # the end of that day in Pakistan


def test_a_consent_in_which_nobody_decided_is_recorded_and_waits(
    arrival: dict[str, Any], mapped: Callable[..., MappedBundle], of_type: Callable[..., list[dict[str, Any]]]
) -> None:
    of_type(arrival, "Consent")[0].pop("performer")
    taken = mapped(arrival)

    assert taken.case.consents[0].deciders == ()
    assert ("consent", ("consent-waits",)) in [(entry.kept_as, entry.notes) for entry in taken.entries]


def test_a_relative_who_is_not_the_guardian_decides_nothing(
    example: Callable[[str], dict[str, Any]],
    mapped: Callable[..., MappedBundle],
    of_type: Callable[..., list[dict[str, Any]]],
) -> None:
    bundle = example("child-and-guardian")
    of_type(bundle, "RelatedPerson")[0]["relationship"][0]["coding"].pop()
    taken = mapped(bundle)

    assert [each.role for each in taken.case.consents[0].deciders] == ["survivor"]
    assert taken.case.person is not None
    assert taken.case.person.guardian_name is None


def test_a_consent_without_a_date_never_reaches_a_case_where_it_could_have_been_withdrawn(
    arrival: dict[str, Any], mapped: Callable[..., MappedBundle], of_type: Callable[..., list[dict[str, Any]]]
) -> None:
    undated = of_type(arrival, "Consent")[0]
    del undated["dateTime"], undated["provision"]["period"]
    taken = mapped(arrival)
    added = taken.for_known_case()

    assert len(taken.case.consents) == 3
    assert [terms.recipient.organisation for terms in added.case.consents] == ["lab-karachi", "partner-hamdam"]
    assert [entry.notes for entry in added.entries if entry.notes == ("consent-undated",)] == [("consent-undated",)]
    assert len([entry for entry in added.entries if entry.kept_as == "consent"]) == 2


def test_a_consent_a_moment_ahead_of_our_clock_is_a_clock_s_fault(
    arrival: dict[str, Any],
    now: datetime,
    mapped: Callable[..., MappedBundle],
    of_type: Callable[..., list[dict[str, Any]]],
) -> None:
    ahead = (now + timedelta(minutes=2)).isoformat()
    of_type(arrival, "Consent")[0]["dateTime"] = ahead

    assert mapped(arrival).case.consents[0].given_at == now
