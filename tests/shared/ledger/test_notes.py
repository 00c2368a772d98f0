"""Signed notes, checkpoints and cosignatures: C2SP's format, in one spelling, and nobody else's signature."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from amanat.merkle import EMPTY_ROOT, leaf_hash
from amanat.notes import (
    COSIGNATURE_V1,
    ED25519,
    BadSignature,
    Checkpoint,
    MalformedNote,
    NoteSigner,
    NoteVerifier,
    signed_note,
    split_note,
)
from amanat.notes import key_id as identity

NAME, WITNESS = "amanat.pk/police-link", "amanat.pk/forensics"
KEY, WITNESS_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
SIGNER, WITNESS_SIGNER = NoteSigner(KEY, NAME), NoteSigner(WITNESS_KEY, WITNESS)
VERIFIER, WITNESS_VERIFIER = NoteVerifier(KEY.public_key(), NAME), NoteVerifier(WITNESS_KEY.public_key(), WITNESS)
RAW, WITNESS_RAW = KEY.public_key().public_bytes_raw(), WITNESS_KEY.public_key().public_bytes_raw()
ID, COSIGNING_ID = identity(NAME, ED25519, RAW), identity(NAME, COSIGNATURE_V1, RAW)
CHECKPOINT = Checkpoint(NAME, 20852163, leaf_hash(b"root"))
NOTE = SIGNER.sign_checkpoint(CHECKPOINT)
BODY, [OWN] = split_note(NOTE)
AT = datetime(2026, 7, 1, 9, 30, 15, tzinfo=UTC)

# The example of Go's golang.org/x/mod/sumdb/note: seed, public key, text and signature.
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_KEY = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

# A checkpoint that a public log of certificates published in May 2026, and the keys of the log and of one witness.
LOG = "arche2025h1.staging.ct.transparency.dev"
LOG_KEY = base64.b64decode("AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f")[1:]
REMORA_KEY = base64.b64decode("BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")[1:]
PUBLISHED = (
    f"{LOG}\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n"
    f"— {LOG} zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5"
    "zRNZ55lvGt0=\n"
    f"— {LOG} ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n"
    "— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0D"
    "rAWfBw==\n"
)


def public(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def line(name: str, by: bytes, signature: bytes) -> str:
    return f"— {name} {base64.b64encode(by + signature).decode()}"


def spoilt(text: str) -> Iterator[str]:
    """The text with each single bit of its UTF-8 turned, each byte of it dropped, or one put before it."""
    raw = text.encode()
    for at, byte in enumerate(raw):
        for new in (*(bytes([byte ^ 1 << bit]) for bit in range(8)), b"", b"A" + bytes([byte]), b"\n" + bytes([byte])):
            yield (raw[:at] + new + raw[at + 1 :]).decode(errors="replace")


def test_key_ids_are_those_of_published_keys() -> None:
    example = base64.b64decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")[1:]
    assert identity("PeterNeumann", ED25519, GO_KEY).hex() == "c74f20a3"
    assert identity("example.com/foo", ED25519, example).hex() == "530d903a"
    assert identity(LOG, ED25519, LOG_KEY).hex() == "ba2f06c0"
    assert identity("remora.n621.de", COSIGNATURE_V1, REMORA_KEY).hex() == "da77ade7"


def test_gos_example_is_signed_to_the_same_note() -> None:
    key = Ed25519PrivateKey.from_private_bytes(GO_SEED)
    made = line("PeterNeumann", identity("PeterNeumann", ED25519, GO_KEY), key.sign(GO_TEXT.encode()))
    assert signed_note(GO_TEXT, [made]) == f"{GO_TEXT}\n{GO_LINE}\n"
    assert split_note(f"{GO_TEXT}\n{GO_LINE}\n") == (GO_TEXT, [GO_LINE])


def test_a_published_checkpoint_and_its_cosignature_verify() -> None:
    checkpoint = NoteVerifier(public(LOG_KEY), LOG).checkpoint(PUBLISHED)
    assert (checkpoint.origin, checkpoint.size) == (LOG, 1432088532)
    assert checkpoint.root.hex() == "53b58cefd8ebcf2846679fc65014e933b373c1dc9f171eb5b77468be0702e11a"
    remora = NoteVerifier(public(REMORA_KEY), "remora.n621.de")
    told = remora.cosignature(checkpoint, split_note(PUBLISHED)[1][-1])
    assert told == datetime(2026, 5, 23, 21, 50, 24, tzinfo=UTC)


def test_checkpoints_and_cosignatures_are_signed_as_c2sp_says() -> None:
    assert f"{NAME}\n20852163\n{base64.b64encode(leaf_hash(b'root')).decode()}\n" == BODY
    assert f"{BODY}\n{line(NAME, ID, KEY.sign(BODY.encode()))}\n" == NOTE
    time, by = int(AT.timestamp()), identity(WITNESS, COSIGNATURE_V1, WITNESS_RAW)
    signature = WITNESS_KEY.sign(f"cosignature/v1\ntime {time}\n{BODY}".encode())
    assert WITNESS_SIGNER.cosign(CHECKPOINT, AT) == line(WITNESS, by, time.to_bytes(8, "big") + signature)


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="+"), min_size=1, max_size=100)
checkpoints = st.builds(Checkpoint, names, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
zones = st.sampled_from([UTC, timezone(timedelta(hours=5)), timezone(-timedelta(hours=9, minutes=30))])


@given(names, checkpoints)
def test_what_is_signed_verifies_and_reads_the_same(name: str, checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.body()) == checkpoint
    note = NoteSigner(KEY, name).sign_checkpoint(checkpoint)
    assert NoteVerifier(KEY.public_key(), name).checkpoint(note) == checkpoint


@given(checkpoints, st.integers(10**5, 10**11), st.integers(0, 999_999), zones)
def test_a_cosignature_gives_its_time_to_the_second(
    checkpoint: Checkpoint, time: int, micro: int, zone: tzinfo
) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time)
    made = WITNESS_SIGNER.cosign(checkpoint, at.replace(microsecond=micro).astimezone(zone))
    told = WITNESS_VERIFIER.cosignature(checkpoint, made)
    assert (told, told.tzinfo) == (at, UTC)


def test_any_changed_byte_of_a_note_is_refused() -> None:
    for note in spoilt(NOTE):
        with pytest.raises((MalformedNote, BadSignature)):
            VERIFIER.checkpoint(note)


def test_any_changed_byte_of_a_cosignature_is_refused() -> None:
    for each in spoilt(WITNESS_SIGNER.cosign(CHECKPOINT, AT)):
        with pytest.raises((MalformedNote, BadSignature)):
            WITNESS_VERIFIER.cosignature(CHECKPOINT, each)


@given(st.text(max_size=200) | st.text("— \nAa0=+/", max_size=200))
def test_hostile_text_is_only_ever_refused(text: str) -> None:
    for note in (text, f"{BODY}\n{text}", f"{BODY}\n— {text}\n", f"{text}\n{OWN}\n"):
        with pytest.raises((MalformedNote, BadSignature)):
            VERIFIER.checkpoint(note)
    for each in (text, f"— {WITNESS} {text}"):
        with pytest.raises((MalformedNote, BadSignature)):
            WITNESS_VERIFIER.cosignature(CHECKPOINT, each)


def test_a_size_that_is_impossible_or_in_another_spelling_is_refused() -> None:
    assert Checkpoint.parse(BODY.replace("20852163", str(2**63 - 1))).size == 2**63 - 1
    for size in ("", "01", "00", "+1", "-1", "1 ", " 1", "1_0", "1.0", "0x1", "1٣", str(2**63), "9" * 5000):
        with pytest.raises(MalformedNote):
            Checkpoint.parse(BODY.replace("20852163", size))
    for number in (-1, 2**63):
        with pytest.raises(MalformedNote, match="size"):
            Checkpoint(NAME, number, EMPTY_ROOT)


def test_a_root_of_another_length_or_spelling_is_refused() -> None:
    for root in (b"", bytes(31), bytes(33)):
        with pytest.raises(MalformedNote, match="32 bytes"):
            Checkpoint(NAME, 1, root)
        with pytest.raises(MalformedNote):
            Checkpoint.parse(f"{NAME}\n1\n{base64.b64encode(root).decode()}\n")
    right = base64.b64encode(b"\xff" * 32).decode()
    assert Checkpoint.parse(f"{NAME}\n1\n{right}\n").root == b"\xff" * 32
    for other in (right.replace("/", "_"), right[:-1], f"{right}=", f"{right[:-2]}9=", f"{right[:-2]}/=", f" {right}"):
        with pytest.raises(MalformedNote):
            Checkpoint.parse(f"{NAME}\n1\n{other}\n")


def test_a_body_of_other_than_three_lines_is_refused() -> None:
    longer = (f"{BODY}extension\n", f"{BODY}\n", f"\n{BODY}", f" {BODY}")
    for body in (*longer, "a\n", BODY[:-1], BODY.replace("\n", "\r\n"), BODY.replace("\n", "\u2028")):
        with pytest.raises(MalformedNote):
            Checkpoint.parse(body)
        with pytest.raises(MalformedNote):
            VERIFIER.checkpoint(f"{body}\n{line(NAME, ID, KEY.sign(body.encode()))}\n")


def test_a_name_that_could_be_read_in_another_way_is_refused() -> None:
    spaces = ("a b", " a", "a\n", "a\n999", "a\tb", "a\u00a0b", "a\u2028")
    for name in ("", *spaces, "a+b", "a\x00", "a\x7f", "\u200b", "\ud800", "a" * 101):
        for read in (
            lambda name: Checkpoint(name, 1, EMPTY_ROOT),
            lambda name: Checkpoint.parse(BODY.replace(NAME, name)),
            lambda name: NoteSigner(KEY, name),
            lambda name: NoteVerifier(KEY.public_key(), name),
            lambda name: split_note(f"{BODY}\n{OWN.replace(NAME, name)}\n"),
        ):
            with pytest.raises(MalformedNote):
                read(name)


def test_lines_of_others_are_not_looked_at() -> None:
    others = [
        line("somebody.else", ID, bytes(64)),
        line(NAME, b"\x00\x01\x02\x03", bytes(64)),
        line(NAME, COSIGNING_ID, bytes(72)),
        line("x", b"1234", b"5"),
        WITNESS_SIGNER.cosign(CHECKPOINT, AT),
    ]
    assert VERIFIER.checkpoint(signed_note(BODY, [*others, OWN])) == CHECKPOINT
    assert VERIFIER.checkpoint(signed_note(BODY, [OWN, *others])) == CHECKPOINT
    with pytest.raises(BadSignature, match="did not sign"):
        VERIFIER.checkpoint(signed_note(BODY, others))


def test_a_line_of_ones_own_that_does_not_verify_refuses_the_note() -> None:
    for length in (1, 63, 64, 65, 72, 500):
        false = line(NAME, ID, bytes(length))
        for lines in ([false], [OWN, false], [false, OWN]):
            with pytest.raises(BadSignature):
                VERIFIER.checkpoint(signed_note(BODY, lines))
        with pytest.raises(BadSignature):
            VERIFIER.cosignature(CHECKPOINT, line(NAME, COSIGNING_ID, bytes(length)))


def test_a_note_is_signed_once_by_one_key() -> None:
    with pytest.raises(MalformedNote, match="two signatures"):
        VERIFIER.checkpoint(signed_note(BODY, [OWN, OWN]))


def test_a_note_has_at_most_16_lines_and_4096_characters() -> None:
    other = line("x", b"1234", b"5")
    assert VERIFIER.checkpoint(signed_note(BODY, [OWN, *[other] * 15])) == CHECKPOINT
    with pytest.raises(MalformedNote, match="16"):
        VERIFIER.checkpoint(f"{BODY}\n" + "\n".join([OWN, *[other] * 16, ""]))
    room = 4096 - len(NOTE) - len("—  \n")
    name = "x" * (room % 4 + 4)
    full = f"{NOTE}{line(name, b'', bytes((room - len(name)) // 4 * 3))}\n"
    assert (len(full), VERIFIER.checkpoint(full)) == (4096, CHECKPOINT)
    with pytest.raises(MalformedNote, match="4096"):
        VERIFIER.checkpoint(full.replace(name, f"{name}x"))
    with pytest.raises(MalformedNote):
        WITNESS_VERIFIER.cosignature(CHECKPOINT, line(WITNESS, b"1234", bytes(4096)))


def test_a_signature_line_has_one_spelling() -> None:
    spellings = ("AAAAAAA", " AAAAAAA=", "AAAAAAA= ", "AAAAAAB=", "AAAA\nAAA=", "AAAAAA-=", "AAAA", "")
    assert split_note(signed_note(BODY, [OWN, f"— {NAME} AAAAAAA="]))[0] == BODY
    for each in (*(f"— {NAME} {spelling}" for spelling in spellings), "", f"— {NAME}", f"{NAME} AAAAAAA="):
        with pytest.raises(MalformedNote):
            signed_note(BODY, [OWN, each])
        with pytest.raises(MalformedNote):
            WITNESS_VERIFIER.cosignature(CHECKPOINT, each)


def test_a_note_is_lines_of_text_and_then_signatures() -> None:
    assert split_note(signed_note("a\n\nb\n", [OWN])) == ("a\n\nb\n", [OWN])
    for body in ("", "\n", "text", "text\r\n", "te\x00xt\n", "te\x1fxt\n", "\ud800\n"):
        with pytest.raises(MalformedNote):
            signed_note(body, [OWN])
    for lines in ([], [f"{OWN}\n{OWN}"], [OWN, ""]):
        with pytest.raises(MalformedNote):
            signed_note(BODY, lines)


def test_a_cosignature_is_good_for_its_own_checkpoint_and_witness_alone() -> None:
    cosignature = WITNESS_SIGNER.cosign(CHECKPOINT, AT)
    for origin, size, root in (
        (WITNESS, CHECKPOINT.size, CHECKPOINT.root),
        (NAME, CHECKPOINT.size + 1, CHECKPOINT.root),
        (NAME, CHECKPOINT.size, EMPTY_ROOT),
    ):
        with pytest.raises(BadSignature):
            WITNESS_VERIFIER.cosignature(Checkpoint(origin, size, root), cosignature)
    for verifier in (VERIFIER, NoteVerifier(KEY.public_key(), WITNESS), NoteVerifier(WITNESS_KEY.public_key(), NAME)):
        with pytest.raises(BadSignature, match="another key"):
            verifier.cosignature(CHECKPOINT, cosignature)


def test_a_signature_of_one_kind_is_none_of_the_other() -> None:
    checkpoint = Checkpoint("cosignature/v1", 1, EMPTY_ROOT)
    signature = KEY.sign(checkpoint.body().encode())
    for each in (line(NAME, ID, signature), line(NAME, COSIGNING_ID, bytes(8) + signature)):
        with pytest.raises(BadSignature):
            VERIFIER.cosignature(checkpoint, each)
    with pytest.raises(BadSignature):
        VERIFIER.checkpoint(signed_note(checkpoint.body(), [SIGNER.cosign(checkpoint, AT)]))


def test_a_cosignatures_time_has_a_zone_is_not_before_1970_and_a_datetime_holds_it() -> None:
    with pytest.raises(ValueError, match="zone"):
        SIGNER.cosign(CHECKPOINT, AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="1970"):
        SIGNER.cosign(CHECKPOINT, datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    for time in (253402300800, 2**63 - 1, 2**63, 2**64 - 1):
        signature = KEY.sign(f"cosignature/v1\ntime {time}\n{BODY}".encode())
        with pytest.raises(MalformedNote, match="time"):
            VERIFIER.cosignature(CHECKPOINT, line(NAME, COSIGNING_ID, time.to_bytes(8, "big") + signature))
