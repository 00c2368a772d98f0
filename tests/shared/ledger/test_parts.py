"""A part opens alone, is nothing but itself, and says nothing of another."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from amanat import ledger
from amanat.at_rest import AtRest
from amanat.ledger.parts import PARTS, Parted, entry_salt, opens, part_commitment, part_salt

AT_REST = AtRest({0: bytes(32)})
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
TEXT = st.text(max_size=20).filter(lambda text: text.isascii() or text.isprintable())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PARTS_OF = st.dictionaries(st.text("abcdefgh:", min_size=1, max_size=8), VALUES, min_size=2, max_size=5)
MASTERS = st.binary(min_size=32, max_size=32)


def statement(parts: dict[str, JsonValue]) -> ledger.Statement:
    return ledger.Statement("arcc-karachi", "record_added", "C-1", AT, {}, "records/1", Parted({"id": "1"}, parts))


@given(PARTS_OF, MASTERS)
def test_each_part_opens_alone_and_under_its_own_salt_only(parts: dict[str, JsonValue], master: bytes) -> None:
    told = statement(parts).told(master)["content"]
    assert isinstance(told, dict)
    shown = told[PARTS]
    assert isinstance(shown, dict)
    assert shown.keys() == parts.keys()
    salts = {name: part_salt(master, name) for name in parts}
    assert len({*salts.values(), entry_salt(master), master}) == len(parts) + 2
    for name, value in parts.items():
        assert opens(value, salts[name], str(shown[name]))
        for other in parts.keys() - {name}:
            assert not opens(value, salts[other], str(shown[name]))
            assert not opens(value, salts[name], str(shown[other]))
        assert not opens(value, entry_salt(master), str(shown[name]))
        assert not opens([value], salts[name], str(shown[name]))


@given(PARTS_OF, MASTERS, MASTERS)
def test_an_entry_is_proven_by_its_parts_under_its_own_master_only(
    parts: dict[str, JsonValue], master: bytes, other: bytes
) -> None:
    said = statement(parts)
    committed = ledger.commitment(said.document(master), master)
    assert ledger.proves(said.document(master), master, committed)
    if other != master:
        assert not ledger.proves(said.document(other), other, committed)
        assert not ledger.proves(said.document(master), other, committed)
    name = sorted(parts)[0]
    changed = statement({**parts, name: [parts[name]]})
    assert not ledger.proves(changed.document(master), master, committed)
    assert not ledger.proves(
        statement({k: v for k, v in parts.items() if k != name}).document(master), master, committed
    )


def test_the_document_of_an_entry_in_parts_quotes_none_of_them() -> None:
    document = statement({"care": {"hiv_test": "reactive"}, "examination": {"opinion": "zara"}}).document(
        os.urandom(32)
    )
    assert b"reactive" not in document
    assert b"zara" not in document
    assert document == rfc8785.dumps(json.loads(document))


def test_an_empty_part_is_committed_to_like_any_other() -> None:
    parts = statement({"care": {}, "examination": {}}).told(b"m" * 32)["content"]
    assert isinstance(parts, dict)
    one, two = dict(parts[PARTS]).values()  # type: ignore[arg-type]  # a dict, as the test before has shown
    assert one != two
    assert part_commitment({}, part_salt(b"m" * 32, "care")) == one


def test_content_in_parts_cannot_be_committed_to_without_a_master() -> None:
    with pytest.raises(ValueError, match="master"):
        statement({"care": {}}).document()


def test_an_entry_in_parts_is_made_and_opened_like_any_other() -> None:
    said = statement({"care": {}, "examination": {"opinion": "x"}})
    made = ledger.entry(said, AT_REST, os.urandom)
    master = ledger.open_salt(made.commitment, made.salt_sealed, AT_REST)
    assert ledger.proves(said.document(master), master, made.commitment)
    assert not ledger.proves(replace(said, subject="C-2").document(master), master, made.commitment)
