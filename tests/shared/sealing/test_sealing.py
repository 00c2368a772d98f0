"""Towards an agency: what is sealed opens only whole, in its own place, with its own key."""

from __future__ import annotations

import os
from typing import TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat.sealing import DataKey, Unopenable, associated_data, mint, open_sealed, seal


class Place(TypedDict):
    referral: str
    category: str
    event_id: UUID
    contract: str
    key_id: UUID
    epoch: int


PLACE = Place(
    referral="P-7KQ2-M4XD-3",
    category="incident",
    event_id=UUID(int=7),
    contract="disclosed-records/1",
    key_id=UUID(int=9),
    epoch=1,
)
OTHER_PLACES = [
    Place(**{**PLACE, "referral": "P-7KQ2-M4XD-4"}),
    Place(**{**PLACE, "category": "examination"}),
    Place(**{**PLACE, "event_id": UUID(int=8)}),
    Place(**{**PLACE, "contract": "disclosed-records/2"}),
    Place(**{**PLACE, "key_id": UUID(int=10)}),
    Place(**{**PLACE, "epoch": 2}),
]


@given(plaintext=st.binary(max_size=2000))
def test_what_is_sealed_opens_again(plaintext: bytes) -> None:
    key, aad = mint(os.urandom), associated_data(**PLACE)
    assert open_sealed(key.key, seal(key, plaintext, aad, os.urandom), aad) == plaintext


@given(plaintext=st.binary(max_size=200), data=st.data())
def test_any_changed_byte_makes_it_unopenable(plaintext: bytes, data: st.DataObject) -> None:
    key, aad = mint(os.urandom), associated_data(**PLACE)
    sealed = bytearray(seal(key, plaintext, aad, os.urandom))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unopenable):
        open_sealed(key.key, bytes(sealed), aad)


@given(plaintext=st.binary(max_size=50), data=st.data())
def test_anything_cut_off_makes_it_unopenable(plaintext: bytes, data: st.DataObject) -> None:
    key, aad = mint(os.urandom), associated_data(**PLACE)
    sealed = seal(key, plaintext, aad, os.urandom)
    with pytest.raises(Unopenable):
        open_sealed(key.key, sealed[: data.draw(st.integers(0, len(sealed) - 1))], aad)


@pytest.mark.parametrize("other", OTHER_PLACES)
def test_any_other_part_of_the_associated_data_makes_it_unopenable(other: Place) -> None:
    key = mint(os.urandom)
    sealed = seal(key, b"her words", associated_data(**PLACE), os.urandom)
    with pytest.raises(Unopenable):
        open_sealed(key.key, sealed, associated_data(**other))


@given(one=st.tuples(st.text('ab"\\{:,é', max_size=6), st.text('ab"\\{:,é', max_size=6)), other=st.data())
def test_two_places_never_share_associated_data(one: tuple[str, str], other: st.DataObject) -> None:
    two = other.draw(st.tuples(st.text('ab"\\{:,é', max_size=6), st.text('ab"\\{:,é', max_size=6)))
    first = associated_data(**Place(**{**PLACE, "referral": one[0], "category": one[1]}))
    second = associated_data(**Place(**{**PLACE, "referral": two[0], "category": two[1]}))
    assert (first == second) == (one == two)


def test_another_key_opens_nothing() -> None:
    aad = associated_data(**PLACE)
    sealed = seal(mint(os.urandom), b"her words", aad, os.urandom)
    for key in (mint(os.urandom).key, b"", b"short"):
        with pytest.raises(Unopenable):
            open_sealed(key, sealed, aad)


def test_the_same_words_sealed_twice_do_not_look_alike() -> None:
    key, aad = mint(os.urandom), associated_data(**PLACE)
    assert seal(key, b"her words", aad, os.urandom) != seal(key, b"her words", aad, os.urandom)


def test_a_data_key_shows_its_id_but_never_its_bytes() -> None:
    key = mint(lambda n: b"K" * n)
    assert str(key.key_id) in repr(key)
    assert "KKK" not in repr(key)
    assert key.key_id.version == 4
    assert key == DataKey(key.key_id, b"K" * 32)


def test_the_refusal_to_open_carries_neither_key_nor_content() -> None:
    sealed = seal(DataKey(UUID(int=1), b"K" * 32), b"her words", b"", os.urandom)
    with pytest.raises(Unopenable) as refused:
        open_sealed(b"Q" * 32, sealed, b"")
    assert refused.value.args == ("sealed content does not open",)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
