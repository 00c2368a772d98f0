"""Codes that survive a telephone and a hurried hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat.categories import Agency
from amanat.codes import ALPHABET, CODE_PATTERN, PREFIX, BadCode, new_code, parse_code

numbers = st.binary(min_size=5, max_size=5)
prefixes = st.sampled_from(sorted(PREFIX.values()))


def _code(prefix: str, number: bytes) -> str:
    return new_code(prefix, lambda size: number[:size])


@given(prefixes, numbers)
def test_a_code_is_written_in_one_form_and_read_back(prefix: str, number: bytes) -> None:
    code = _code(prefix, number)
    assert re.fullmatch(CODE_PATTERN, code)
    assert parse_code(code, prefix) == code


@given(prefixes, numbers)
def test_a_code_is_read_as_people_type_it(prefix: str, number: bytes) -> None:
    code = _code(prefix, number)
    body = code[2:].replace("0", "o").replace("1", "l")
    for typed in (code.lower(), f" {prefix.lower()} {body} ", prefix + body.replace("-", ""), code.replace("-", "–")):
        assert parse_code(typed, prefix) == code


@given(numbers, st.integers(0, 8), st.sampled_from(ALPHABET))
def test_every_single_wrong_character_is_found(number: bytes, place: int, wrong: str) -> None:
    plain = _code("P", number).replace("-", "")
    changed = plain[: place + 1] + wrong + plain[place + 2 :]
    if changed != plain:
        with pytest.raises(BadCode):
            parse_code(changed, "P")


@given(numbers, st.integers(1, 7))
def test_every_swap_of_neighbours_is_found(number: bytes, place: int) -> None:
    plain = _code("P", number).replace("-", "")
    changed = plain[:place] + plain[place + 1] + plain[place] + plain[place + 2 :]
    if changed != plain:
        with pytest.raises(BadCode):
            parse_code(changed, "P")


@pytest.mark.parametrize("number", [b"\x00" * 5, b"\xff" * 5, (2**40 - 1 - 15 + 0).to_bytes(5, "big")])
def test_the_ends_of_the_range_have_codes(number: bytes) -> None:
    code = _code("C", number)
    assert parse_code(code, "C") == code


@pytest.mark.parametrize("excess", range(32, 37))
def test_no_code_ends_in_a_sign(excess: int) -> None:
    number = 37 * 1000 + excess
    assert _code("F", number.to_bytes(5, "big"))[-1] in ALPHABET
    highest = max(n for n in range(2**40 - 100, 2**40) if n % 37 == excess)
    assert _code("F", highest.to_bytes(5, "big"))[-1] in ALPHABET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "F-7KQ2-M4XD-1",
        "P-7KQ2-M4XD-3",
        "P-7KQ2-M4XD",
        "P-7KQ2-M4XD-11",
        "P-7KQU-M4XD-1",
        "P-۷KQ2-M4XD-1",
        "P" * 10_000,
    ],
)
def test_what_is_no_code_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(BadCode) as refused:
        parse_code(text, "P")
    assert str(refused.value) == "not a code"


def test_each_agency_has_a_prefix_of_its_own() -> None:
    assert PREFIX.keys() == set(Agency)
    assert sorted(PREFIX.values()) == ["C", "F", "L", "P"]
