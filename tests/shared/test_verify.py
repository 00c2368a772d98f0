"""The verifier stands alone: one file, one dependency, one spelling of everything, and plain words in two languages."""

from __future__ import annotations

import ast
import json
import string
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from amanat import merkle, verify
from amanat.notes import Checkpoint, MalformedNote
from amanat_local.keys import Keys
from bench.bundle import AT, ORIGIN, Bundle, make

SOURCE = Path(verify.__file__)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@pytest.fixture(scope="module")
def made() -> Bundle:
    return make(24, leaves=300)


def test_it_imports_nothing_but_python_and_cryptography() -> None:
    tops = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            tops |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            tops.add(str(node.module).partition(".")[0])
    assert tops - set(sys.stdlib_module_names) == {"cryptography"}


_ALONE = """
import importlib.util, sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {"cryptography", "_cffi_backend", "cffi", "carried"}:
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Refuses())
spec = importlib.util.spec_from_file_location("carried", sys.argv[1])
carried = sys.modules["carried"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(carried)
raise SystemExit(carried.main(sys.argv[2:]))
"""


def test_carried_elsewhere_it_verifies_where_nothing_of_amanat_is(made: Bundle, tmp_path: Path) -> None:
    carried, bundle = tmp_path / "verify.py", tmp_path / "bundle.zip"
    carried.write_text(SOURCE.read_text())
    bundle.write_bytes(made.packed)
    for call in ([sys.executable, "-I", str(carried)], [sys.executable, "-I", "-c", _ALONE, str(carried)]):
        done = subprocess.run([*call, str(bundle)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.splitlines()[0][:6]) == (0, "PROVEN"), done.stderr


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", SOURCE, *words], capture_output=True, text=True, check=False, encoding="utf-8"
    )


def test_the_exit_status_is_0_proven_1_rejected_2_cannot_read(made: Bundle, tmp_path: Path) -> None:
    bundle, changed, keys = tmp_path / "a.zip", tmp_path / "b.zip", tmp_path / "keys.json"
    bundle.write_bytes(made.packed)
    changed.write_bytes(made.packed[:-1] + b"\1")
    keys.write_bytes(made.files[verify.KEYS])
    directory = Keys.make(tmp_path / "stack", []).directory_file
    assert run(bundle).returncode == 0
    assert run(bundle, "--keys", keys).returncode == 0
    for words in ([changed], [bundle, "--keys", directory], [directory]):
        done = run(*words)
        assert (done.returncode, "Traceback" in done.stderr, done.stdout[:8]) == (1, False, "REJECTED")
    for words in (
        [tmp_path / "none.zip"],
        [tmp_path],
        [bundle, "--keys", changed],
        [bundle, "--keys", tmp_path / "x"],
        [],
    ):
        done = run(*words)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    told = json.loads(run(bundle, "--json").stdout)
    assert (told["proven"], told["wrong"]) == (True, [])


def test_every_sentence_is_there_in_both_languages_and_says_the_same() -> None:
    def filled(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for code, (english, urdu) in verify.WORDS.items():
        assert filled(english) == filled(urdu), code
        assert any("\u0600" <= each <= "\u06ff" for each in urdu), code
    raised = {
        node.args[0].value
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Rejected", "Said"}
        and node.args and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    assert raised <= verify.WORDS.keys()


def test_what_is_said_moves_no_cursor_and_turns_no_text() -> None:
    said = verify.Said("kit", {"barcode": "\x1b[2J\u202eK\n" + "x" * 5000, "halves": 1})
    words = said.words()
    assert not set(words) & {"\x1b", "\u202e", "\n"}
    assert len(words) < 400


@given(JSON)
def test_the_one_spelling_of_json_is_that_of_rfc_8785(value: object) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # what JSON is, Hypothesis does not say


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1e21, 1e-7, 123456789012345680000.0, 5e-324, 1.7976931348623157e308, 4.0, -2.5]
)
def test_numbers_are_spelt_as_rfc_8785_spells_them(number: float) -> None:
    assert verify.canonical(number) == rfc8785.dumps(number)


@given(st.integers(1, 200), st.data())
def test_a_proof_of_the_platform_is_one_of_the_verifier_and_no_other_is(size: int, data: st.DataObject) -> None:
    leaves = [bytes([each % 256, each // 256]) + bytes(30) for each in range(size)]
    nodes = merkle.complete_nodes(0, leaves, {}) | {(0, place): leaf for place, leaf in enumerate(leaves)}
    root = merkle.root_of(size, nodes)
    position, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size + 1))
    proof = merkle.inclusion_proof(position, size, nodes)
    assert verify.is_included(leaves[position], position, size, proof, root)
    if other != position:
        assert not verify.is_included(leaves[position], other, size, proof, root)


@given(st.binary(max_size=400))
def test_no_bytes_at_all_make_it_raise(data: bytes) -> None:
    assert not verify.verify(data).proven
    assert not verify.verify(b"PK\x03\x04" + data).proven


@given(st.dictionaries(st.sampled_from([*sorted(verify.ALWAYS), "entries/000000000000.json"]), st.binary(max_size=80)))
def test_no_files_at_all_make_it_raise(files: dict[str, bytes]) -> None:
    assert not verify.verify(verify.pack(files)).proven


@given(st.data())
def test_no_json_in_place_of_another_makes_it_raise(data: st.DataObject) -> None:
    made = _small()
    files, name = dict(made.files), data.draw(st.sampled_from([each for each in made.files if each.endswith(".json")]))
    files[name] = verify.canonical(data.draw(JSON))
    manifest = json.loads(made.files[verify.MANIFEST])
    if name != verify.MANIFEST:
        files[verify.MANIFEST] = verify.manifest_of(files, {**manifest, "cell": {"id": manifest["cell"]}})
    signed = verify.note_of(f"{ORIGIN}/bundles", manifest["bundle"], files[verify.MANIFEST])
    files[verify.NOTE] = made.signers["bundles"].sign(signed).encode()
    assert not verify.verify(verify.pack(files), made.keys).proven or files[name] == made.files[name]


_MADE: list[Bundle] = []


def _small() -> Bundle:
    if not _MADE:
        _MADE.append(make(9, leaves=20))
    return _MADE[0]


def test_a_zip_that_lies_about_itself_is_rejected(made: Bundle) -> None:
    packed = made.packed
    name = b"manifest.json"
    at = packed.index(b"PK\x03\x04")
    lies = {
        "a size beyond all bounds": packed[: at + 18] + struct.pack("<II", 2**32 - 1, 2**32 - 1) + packed[at + 26 :],
        "compression": packed[: at + 8] + struct.pack("<H", 8) + packed[at + 10 :],
        "an extra field": packed[: at + 28] + struct.pack("<H", 4) + packed[at + 30 :],
        "a comment": packed[:-2] + b"\x01\x00x",
        "something in front": b"#!/bin/sh\n" + packed,
        "a file twice": _twice(made.files, name.decode()),
        "two directories": packed + packed[packed.index(b"PK\x01\x02") :],
    }
    for what, lie in lies.items():
        assert [each.code for each in verify.verify(lie).wrong] == ["not_a_bundle"], what


def _twice(files: dict[str, bytes] | object, name: str) -> bytes:
    """A zip with two local files of one name, the second of which some tools take."""
    held = dict(files)  # type: ignore[call-overload]  # a mapping
    data = b"{}"
    local = struct.pack(
        "<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), 0
    )
    return local + name.encode() + data + verify.pack(held)


def test_what_is_larger_than_a_bundle_is_neither_made_nor_read() -> None:
    with pytest.raises(ValueError, match="more than"):
        verify.pack({"a": bytes(verify.MOST_OF_ONE + 1)})
    with pytest.raises(ValueError, match="more than"):
        verify.pack({f"a{number}": b"" for number in range(verify.MOST_FILES + 1)})
    assert not verify.verify(bytes(verify.MOST_BYTES + 65)).proven


def test_a_bundle_of_two_hundred_entries_is_verified_within_two_seconds() -> None:
    import time

    made = make(200, leaves=2000)
    began = time.process_time()
    assert verify.verify(made.packed, made.keys).proven
    assert time.process_time() - began < 2


def test_who_signs_bundles_signs_no_tree_by_mistake(made: Bundle) -> None:
    body = Checkpoint(f"{ORIGIN}/bundles", 1, bytes(32)).body()
    with pytest.raises(MalformedNote):
        made.signers["bundles"].sign(body)


def test_keys_that_left_the_directory_are_said_and_older_bundles_need_the_older_file(made: Bundle) -> None:
    document = json.loads(made.files[verify.KEYS])
    rolled = json.loads(made.files[verify.KEYS])
    rolled["ledgers"]["intake"]["keys"] = [{"id": "2", "public_key": document["bundles"]["keys"][0]["public_key"]}]
    trusted = verify.Keys.read("--keys", json.dumps(rolled).encode(), spelt_once=False)
    assert [each.code for each in verify.verify(made.packed, trusted).wrong] == ["other_keys"]
    rolled["ledgers"]["intake"]["keys"] += document["ledgers"]["intake"]["keys"]
    trusted = verify.Keys.read("--keys", json.dumps(rolled).encode(), spelt_once=False)
    assert verify.verify(made.packed, trusted).proven
    assert AT.year == 2026
