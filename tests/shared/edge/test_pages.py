"""Cursors: good for the list that gave them out, and for nothing else; they tell nothing."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from amanat.at_rest import Macs
from amanat.errors import BadCursor
from amanat.pages import Cursors, Limit, link_header, page

CURSORS = Cursors(Macs(b"k" * 32))
SCOPE = "referrals/station-saddar"


@given(st.lists(st.integers(0, 2**53) | st.text(max_size=40), max_size=3).map(tuple))
def test_a_cursor_gives_its_position_back(position: tuple[int | str, ...]) -> None:
    assert CURSORS.decode(CURSORS.encode(position, scope=SCOPE), scope=SCOPE) == position


def test_a_cursor_of_another_list_or_service_is_refused() -> None:
    cursor = CURSORS.encode((7,), scope="referrals/station-clifton")
    with pytest.raises(BadCursor):
        CURSORS.decode(cursor, scope=SCOPE)
    with pytest.raises(BadCursor):
        Cursors(Macs(b"o" * 32)).decode(cursor, scope="referrals/station-clifton")


@given(st.text(max_size=60))
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        CURSORS.decode(text, scope=SCOPE)


@given(st.integers(0, 200))
def test_a_changed_cursor_is_refused(position: int) -> None:
    cursor = bytearray(base64.urlsafe_b64decode(CURSORS.encode((123456,), scope=SCOPE) + "=="))
    cursor[position % len(cursor)] ^= 1
    with pytest.raises(BadCursor):
        CURSORS.decode(base64.urlsafe_b64encode(cursor).decode(), scope=SCOPE)


def test_a_cursor_does_not_show_its_position() -> None:
    assert b"123456" not in base64.urlsafe_b64decode(CURSORS.encode((123456,), scope=SCOPE) + "==")


def test_a_page_is_followed_by_another_only_if_there_is_one() -> None:
    rows = ["a", "b", "c"]
    positions = [(1,), (2,), (3,)]
    last = page(rows, limit=3, position=positions, cursors=CURSORS, scope=SCOPE)
    assert (last.items, last.next) == (rows, None)
    first = page(rows, limit=2, position=positions, cursors=CURSORS, scope=SCOPE)
    assert list(first.items) == ["a", "b"]
    assert CURSORS.decode(first.next or "", scope=SCOPE) == (2,)


def test_the_next_page_is_linked() -> None:
    assert link_header("/v1/referrals", cursor="abc_-", limit=10, state="open") == {
        "Link": '</v1/referrals?state=open&cursor=abc_-&limit=10>; rel="next"'
    }
    assert link_header("/v1/referrals", cursor=None, limit=10) == {}


@pytest.mark.parametrize("limit", [0, 201, -1])
def test_a_page_has_one_to_two_hundred_items(limit: int) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Limit).validate_python(limit)
