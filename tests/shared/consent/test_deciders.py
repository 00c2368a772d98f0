"""Who decides at which age, and in whose place."""

from typing import Any

import pytest
from pydantic import ValidationError

from amanat.consent import AgeRules, ConsentEvent, ConsentGiven, age_rules, fold, missing_deciders

from .consents import ASSENT, COURT, GUARDIAN, HERSELF, UNSAFE, WRITTEN, consent


def missing(event: ConsentGiven, *others: ConsentEvent) -> tuple[str, ...]:
    (grant,) = fold([event, *others])
    return missing_deciders(grant, age_rules())


@pytest.mark.parametrize(
    ("age", "deciders", "lacking"),
    [
        (18, [HERSELF], ()),
        (18, [GUARDIAN], ("survivor",)),
        (17, [HERSELF, GUARDIAN], ()),
        (17, [HERSELF], ("guardian",)),
        (15, [GUARDIAN, WRITTEN], ("survivor",)),
        (14, [WRITTEN, GUARDIAN], ()),
        (12, [ASSENT, GUARDIAN], ("survivor",)),
        (11, [ASSENT, GUARDIAN], ()),
        (6, [GUARDIAN], ("survivor",)),
        (5, [GUARDIAN], ()),
        (0, [], ("guardian",)),
        (9, [], ("survivor", "guardian")),
    ],
)
def test_each_age_asks_for_its_deciders(age: int, deciders: list[dict[str, str]], lacking: tuple[str, ...]) -> None:
    assert missing(consent(age=age, deciders=deciders)) == lacking


@pytest.mark.parametrize("excluded", [{"guardian_is_accused": True}, {"safety_finding": UNSAFE}])
@pytest.mark.parametrize(("age", "hers"), [(5, []), (8, [ASSENT]), (13, [WRITTEN])])
def test_in_an_excluded_guardians_place_a_substitute_with_authority_decides(
    excluded: dict[str, Any], age: int, hers: list[dict[str, str]]
) -> None:
    assert missing(consent(age=age, deciders=[*hers, GUARDIAN], **excluded)) == ("substitute",)
    assert missing(consent(age=age, deciders=[*hers, COURT], **excluded)) == ()
    unnamed = {"role": "child_protection_substitute", "decision": "consent"}
    assert missing(consent(age=age, deciders=[*hers, unnamed], **excluded)) == ("substitute",)


def test_from_fifteen_her_consent_suffices_where_the_guardian_is_unsafe() -> None:
    assert missing(consent(age=16, deciders=[HERSELF], safety_finding=UNSAFE)) == ()


def test_an_unconscious_small_childs_guardian_decides_and_an_older_childs_assent_waits() -> None:
    assert missing(consent(age=4, deciders=[GUARDIAN], capacity="absent")) == ()
    assert missing(consent(age=9, deciders=[ASSENT, GUARDIAN], capacity="absent")) == ("capacity",)


def test_the_ages_of_the_table_are_covered_marked_and_sourced() -> None:
    rules = AgeRules.load("sindh")
    assert [rules.band(age).from_age for age in (0, 5, 6, 11, 12, 14, 15, 17, 18, 90)] == [
        0,
        0,
        6,
        6,
        12,
        12,
        15,
        15,
        18,
        18,
    ]
    assert all(band.source and band.mark for band in rules.bands)
    assert {band.mark for band in rules.bands if band.from_age < 18} == {"G"}


@pytest.mark.parametrize("broken", [[], [0], [18, 6], [0, 18]])
def test_a_table_that_does_not_cover_every_age_is_refused(broken: list[int]) -> None:
    bands = [
        {
            "name": "n",
            "from_age": age,
            "source": "s",
            "mark": "D",
            "required": [] if broken == [0] else [{"role": "survivor", "accepts": ["consent"]}],
        }
        for age in broken
    ]
    with pytest.raises(ValidationError):
        AgeRules.model_validate({"version": 1, "province": "*", "bands": bands})
