"""Values: strict about form, kind to uncertain people, and never misleading to the eye."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amanat.contracts.records import CustodyHalf, Examination, Incident, Person
from amanat.text import has_refused_characters, plain_text

_REFUSED = ["\x00", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\ud800", "\udfff"]
_KEPT = ["\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "ے", "\n", "😀"]


@pytest.mark.parametrize("character", _REFUSED, ids=lambda character: f"U+{ord(character):04X}")
def test_direction_overrides_nul_and_lone_surrogates_are_refused_in_names(character: str) -> None:
    assert has_refused_characters(f"a{character}b")
    with pytest.raises(ValueError, match="direction override"):
        plain_text(f"a{character}b")
    with pytest.raises(ValidationError):
        Person(full_name=f"a{character}b")
    with pytest.raises(ValidationError):
        Incident(acts=(f"a{character}b",))


@pytest.mark.parametrize("character", _KEPT, ids=lambda character: f"U+{ord(character):04X}")
def test_joiners_and_marks_that_urdu_needs_are_kept(character: str) -> None:
    assert Person(full_name=f"ک{character}ی").full_name == f"ک{character}ی"


@pytest.mark.parametrize("written", ["42101-1234567-1", "4210112345671"])
def test_a_cnic_is_kept_in_its_5_7_1_form(written: str) -> None:
    assert Person(cnic=written).cnic == "42101-1234567-1"


@pytest.mark.parametrize("written", ["42101-123456-71", "4210-1234567-11", "۴۲۱۰۱-۱۲۳۴۵۶۷-۱", "42101-1234567-1\n", ""])
def test_a_cnic_of_another_form_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Person(cnic=written)


def test_a_birth_in_the_future_is_refused() -> None:
    with pytest.raises(ValidationError):
        Person(birth_date=(datetime.now(UTC) + timedelta(days=3)).date())
    on_the_day = {"today": date(2026, 3, 1)}
    assert Person.model_validate({"birth_date": "2026-03-01"}, context=on_the_day).birth_date == date(2026, 3, 1)
    with pytest.raises(ValidationError):
        Person.model_validate({"birth_date": "2026-03-02"}, context=on_the_day)


@pytest.mark.parametrize(
    "written",
    [
        0,
        1.5,
        True,
        "1700000000",
        "2026-03-01",
        "2026-03-01T10:00:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "۲۰۲۶-03-01T00:00:00Z",
    ],
)
def test_a_number_a_bare_day_or_a_time_without_offset_is_no_moment(written: object) -> None:
    with pytest.raises(ValidationError):
        Incident.model_validate({"occurred_at": written})


def test_one_instant_has_one_form() -> None:
    local = Incident.model_validate({"occurred_at": "2026-03-01T09:30:00+05:00"})
    assert local == Incident.model_validate({"occurred_at": "2026-03-01T04:30:00Z"})
    assert b"2026-03-01T04:30:00Z" in local.body()


@pytest.mark.parametrize("written", ["yes", 1, "true"])
def test_what_looks_like_a_yes_is_no_boolean(written: object) -> None:
    with pytest.raises(ValidationError):
        Examination.model_validate({"washed": written})


@pytest.mark.parametrize("written", ["4", float("nan"), float("inf"), -300, True])
def test_a_temperature_is_a_possible_number(written: object) -> None:
    with pytest.raises(ValidationError):
        CustodyHalf.model_validate({"temperature_c": written})


@given(st.text())
def test_a_text_is_either_kept_unchanged_or_refused(text: str) -> None:
    if any(character in text for character in _REFUSED) or any("\ud800" <= c <= "\udfff" for c in text):
        with pytest.raises(ValueError, match="direction override"):
            plain_text(text)
    else:
        assert plain_text(text) == text
