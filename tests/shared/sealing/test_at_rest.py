"""At rest: bound to table, row and column; look-ups that do not link one woman in two cells."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat.at_rest import AtRest, BadKeyFile, BlindIndex, Macs, normalised, read_keys
from amanat.sealing import Unopenable

HERE = {"table": "persons", "row": "41", "column": "sealed"}
NAMES = st.text(max_size=12)


def key_line(fill: int) -> str:
    return base64.b64encode(bytes([fill]) * 32).decode()


def key_file(folder: Path, text: str) -> Path:
    path = folder / "key"
    path.write_text(text)
    return path


@given(plaintext=st.binary(max_size=500), table=NAMES, row=NAMES, column=NAMES)
def test_what_is_sealed_at_rest_opens_in_its_own_place(plaintext: bytes, table: str, row: str, column: str) -> None:
    at_rest = AtRest({0: b"k" * 32})
    sealed = at_rest.seal(plaintext, table=table, row=row, column=column)
    assert at_rest.open(sealed, table=table, row=row, column=column) == plaintext


def test_what_an_earlier_release_wrote_opens_and_is_found_for_ever() -> None:
    key = bytes(range(32))
    sealed = bytes.fromhex(
        "0103000102030405060708090a0bd7948cd0b05d17a5a7153967fd0377008dc4378d48f1374917"  # id 3, a nonce of 0…11
    )
    digest = "bcf4078fb661e932e0e5ddb1d8f979fe4ba7da2b844e27c865853fa5440f31ca"
    mac = "2c09018a5922dd30c6c1342c24cf6f16987e76d67831320dc2cde581f301b444"
    assert AtRest({3: key}).open(sealed, table="records", row="7", column="sealed") == b"entrusted"
    assert BlindIndex(key).index("arcc-karachi", "cnic", "42101-1234567-1").hex() == digest
    assert Macs(key).mac("cursor", b"entrusted").hex() == mac


@given(data=st.data())
def test_any_changed_byte_at_rest_makes_it_unopenable(data: st.DataObject) -> None:
    at_rest = AtRest({0: b"k" * 32, 1: b"k" * 32})
    sealed = bytearray(at_rest.seal(b"her name", **HERE))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unopenable):
        at_rest.open(bytes(sealed), **HERE)


@pytest.mark.parametrize("part", ["table", "row", "column"])
def test_what_was_moved_to_another_place_does_not_open(part: str) -> None:
    at_rest = AtRest({0: b"k" * 32})
    sealed = at_rest.seal(b"her name", **HERE)
    with pytest.raises(Unopenable):
        at_rest.open(sealed, **{**HERE, part: "another"})


@pytest.mark.parametrize("cut", [0, 1, 2, 20, 29])
def test_a_fragment_does_not_open(cut: int) -> None:
    at_rest = AtRest({0: b"k" * 32})
    with pytest.raises(Unopenable):
        at_rest.open(at_rest.seal(b"", **HERE)[:cut], **HERE)


def test_after_a_rotation_the_newest_key_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    before = AtRest.from_file(key_file(tmp_path, key_line(1) + "\n"))
    old = before.seal(b"her name", **HERE)
    after = AtRest.from_file(key_file(tmp_path, f"1:{key_line(2)}\n\n0:{key_line(1)}\n"))
    new = after.seal(b"her name", **HERE)
    assert after.open(old, **HERE) == after.open(new, **HERE) == b"her name"
    assert (old[:2], new[:2]) == (b"\x01\x00", b"\x01\x01")
    with pytest.raises(Unopenable):
        before.open(new, **HERE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "%%%%surely%%%%",
        base64.b64encode(b"short").decode(),
        f"256:{key_line(1)}",
        f"-1:{key_line(1)}",
        f"x:{key_line(1)}",
        f"{key_line(1)}\n{key_line(2)}",
        f"1:{key_line(1)}\n1:{key_line(2)}",
        "1:\u0645",
    ],
)
def test_a_wrong_key_file_is_refused_without_being_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadKeyFile) as refused:
        read_keys(key_file(tmp_path, text))
    for part in text.replace(":", "\n").split():
        assert part not in str(refused.value) or len(part) < 3


def test_an_index_key_stands_alone(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"1:{key_line(2)}\n0:{key_line(1)}")
    for make in (BlindIndex.from_file, Macs.from_file):
        with pytest.raises(BadKeyFile):
            make(path)


@pytest.mark.parametrize(
    "written", ["42101-1234567-1", "42101 1234567 1", " 4210112345671\n", "۴۲۱۰۱-۱۲۳۴۵۶۷-۱", "42101–1234567−1"]
)
def test_every_writing_of_one_cnic_finds_the_same_woman(written: str) -> None:
    index = BlindIndex(b"i" * 32)
    assert index.index("arcc-karachi", "cnic", written) == index.index("arcc-karachi", "cnic", "4210112345671")


def test_one_woman_in_two_cells_does_not_link() -> None:
    index = BlindIndex(b"i" * 32)
    values = {
        index.index(tenant, field, "4210112345671")
        for tenant in ("arcc-karachi", "arcc-lahore")
        for field in ("cnic", "guardian_cnic")
    }
    assert len(values) == 4


@given(one=st.tuples(NAMES, NAMES, NAMES), two=st.tuples(NAMES, NAMES, NAMES))
def test_index_values_are_equal_only_for_the_same_tenant_field_and_value(
    one: tuple[str, str, str], two: tuple[str, str, str]
) -> None:
    index = BlindIndex(b"i" * 32)
    same = one[:2] == two[:2] and normalised(one[2]) == normalised(two[2])
    assert (index.index(*one) == index.index(*two)) == same


def test_an_etag_has_its_quotes_and_tells_its_parts_apart() -> None:
    macs = Macs(b"m" * 32)
    assert macs.etag("P-1", 2, None) == macs.etag("P-1", 2, None)
    assert macs.etag(1)[0] == macs.etag(1)[-1] == '"'
    different = {macs.etag(*parts) for parts in [("1", "2"), ("12",), (12,), ("1", 2), (), (None,), (UUID(int=12),)]}
    assert len(different) == 7


def test_no_hmac_can_be_shown_in_place_of_another() -> None:
    macs = Macs(b"m" * 32)
    message = b"P-7KQ2-M4XD-3"
    values = {macs.refusal(message.decode()), macs.mac("etag", message), macs.mac("cursor", message)}
    values |= {macs.body("client", message), macs.body("other", message), macs.body("client", b""), macs.body("", b"")}
    assert len(values) == 7
    assert Macs(os.urandom(32)).refusal(message.decode()) not in values


def test_a_code_that_is_no_text_still_leaves_a_refusal() -> None:
    assert len(Macs(b"m" * 32).refusal("\ud800")) == 32


def test_nothing_at_rest_shows_its_key() -> None:
    for each in (AtRest({3: b"K" * 32}), BlindIndex(b"K" * 32), Macs(b"K" * 32)):
        assert "KKK" not in repr(each)
    assert "3" in repr(AtRest({3: b"K" * 32}))
