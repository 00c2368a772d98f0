"""What is hashed and signed is spelt as RFC 8785 says, to the byte."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.sql.elements import quoted_name

from amanat import canonical
from amanat.categories import Category

TEXTS = st.text(st.characters(blacklist_categories=()), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def spelt(dumps: Any, value: Any) -> bytes | type[Exception]:
    """The bytes, or as what it was refused."""
    try:
        return bytes(dumps(value))
    except (ValueError, rfc8785.CanonicalizationError) as refused:
        return type(refused)


@given(VALUES)
def test_every_value_is_spelt_as_the_library_spells_it_or_refused_as_there(value: Any) -> None:
    assert spelt(canonical.dumps, value) == spelt(rfc8785.dumps, value)


@pytest.mark.parametrize(
    "value",
    ["\x7f\x00\b\f\n\r\t\"\\/", "اردو، \u200c کے", "\u2028\ufeff", "\ud800", {"é": 1, "z": 2},
     {"\U0001f600": 1, "\ue000": 2}, 2**53, -(2**53), 2**53 - 1, 0.1, 1e21, -0.0,
     [[]], {}, {"b": {"d": (1, 2)}, "a": None}, True,
     Category.IDENTITY, {"a": [Category.CARE]}, quoted_name("records", None)],
)  # fmt: skip
def test_the_corners_too(value: Any) -> None:
    assert spelt(canonical.dumps, value) == spelt(rfc8785.dumps, value)
