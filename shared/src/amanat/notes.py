"""Signed notes, checkpoints and cosignatures of C2SP: how a service's tree is signed, and witnessed by others. Pure.

Source of the rules: C2SP signed-note (Ed25519, type 0x01), tlog-checkpoint and tlog-cosignature (cosignature/v1, type
0x04). A note is a body, an empty line, and signature lines `— <name> <base64 of key id (4) ‖ signature>`. Stricter than
C2SP: one spelling of everything, no extension lines, names of 100 characters, notes of 4096 characters and 16 lines.

One key may sign both checkpoints and cosignatures: in the second line of what is signed, the one has digits alone, the
other begins with `time`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from amanat.merkle import HASH_BYTES, MAX_SIZE

ED25519, COSIGNATURE_V1 = 0x01, 0x04
MAX_NAME, MAX_NOTE, MAX_LINES = 100, 4096, 16
KEY_ID_BYTES, TIME_BYTES = 4, 8
_DASH = "\N{EM DASH} "
_CHECKPOINT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedNote(ValueError):
    """Not a note, checkpoint or signature line, or not in its one spelling. Carries none of it."""


class BadSignature(Exception):
    """A note or cosignature that this key did not sign. Carries none of it."""


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of its tree. `root`: 32 bytes; 0 <= `size` < 2**63; `origin`: the log's name, which whoever
    verifies a checkpoint compares with the one expected. Raises MalformedNote for other values."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _is_name(self.origin):
            raise MalformedNote("an origin is printable, without space or plus, and has 1 to 100 characters")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedNote("a tree's size is neither negative nor 2**63 or more")
        if len(self.root) != HASH_BYTES:
            raise MalformedNote("a root has 32 bytes")

    def body(self) -> str:
        """Three lines, each with its line feed: origin, size in decimal, root in base64."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint of which `text` is the body, to the character; else MalformedNote."""
        lines = _CHECKPOINT.fullmatch(text)
        if lines is None:
            raise MalformedNote("a checkpoint's body is its origin, its size and its root, in their one spelling")
        return cls(origin=lines[1], size=int(lines[2]), root=_bytes(lines[3]))


class NoteSigner:
    """Signs a log's checkpoints, and as a witness cosigns those of others, under one name."""

    def __init__(self, key: Ed25519PrivateKey, name: str) -> None:
        """Raises MalformedNote if `name` is no name for a key."""
        public = key.public_key().public_bytes_raw()
        self.name = name
        self._key = key
        self._id = key_id(name, ED25519, public)
        self._cosigning_id = key_id(name, COSIGNATURE_V1, public)

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign_checkpoint(self, checkpoint: Checkpoint) -> str:
        """The whole signed note."""
        body = checkpoint.body()
        return signed_note(body, [self._line(self._id + self._key.sign(body.encode()))])

    def sign(self, body: str) -> str:
        """The whole signed note of a body that is no checkpoint: a signer of bundles signs no tree by mistake.
        Raises MalformedNote for one, and for a body that is none."""
        if _CHECKPOINT.fullmatch(body) is not None:
            raise MalformedNote("a checkpoint is signed as one")
        return signed_note(body, [self._line(self._id + self._key.sign(body.encode()))])

    def cosign(self, checkpoint: Checkpoint, at: datetime) -> str:
        """A signature line, without line feed. It says: by `at`, cut to the second, this was the largest tree of this
        origin that the witness saw, and consistent with all it saw before. Raises ValueError if `at` has no zone or is
        before 1970."""
        if at.tzinfo is None:
            raise ValueError("a cosignature's time has a zone")
        seconds = (at - _EPOCH) // timedelta(seconds=1)
        if seconds < 0:
            raise ValueError("a cosignature's time is not before 1970")
        signature = self._key.sign(_cosigned(checkpoint, seconds))
        return self._line(self._cosigning_id + seconds.to_bytes(TIME_BYTES, "big") + signature)

    def _line(self, signature: bytes) -> str:
        return f"{_DASH}{self.name} {_base64(signature)}"


class NoteVerifier:
    """Verifies what the NoteSigner of this key and name signed."""

    def __init__(self, key: Ed25519PublicKey, name: str) -> None:
        """Raises MalformedNote if `name` is no name for a key."""
        public = key.public_bytes_raw()
        self.name = name
        self._key = key
        self._id = key_id(name, ED25519, public)
        self._cosigning_id = key_id(name, COSIGNATURE_V1, public)

    def checkpoint(self, note: str) -> Checkpoint:
        """The checkpoint of a note that this key signed once; lines of other names and key ids are not looked at.

        Raises MalformedNote, also for a second line of this key, and BadSignature if its line is missing or false.
        """
        body, lines = split_note(note)
        own = [signature for line in lines if (signature := self._own(line, self._id)) is not None]
        if not own:
            raise BadSignature("a note that this key did not sign")
        for signature in own:
            self._verify(signature, body.encode())
        if len(own) > 1:
            raise MalformedNote("a note with two signatures of one key")
        return Checkpoint.parse(body)

    def cosignature(self, checkpoint: Checkpoint, line: str) -> datetime:
        """When this key cosigned `checkpoint` by this signature line (without line feed): UTC, to the second.

        Raises BadSignature if the line is another key's or false, MalformedNote if it is no signature line or its time
        is none that a datetime holds.
        """
        own = self._own(line, self._cosigning_id)
        if own is None:
            raise BadSignature("a cosignature of another key")
        seconds, signature = int.from_bytes(own[:TIME_BYTES], "big"), own[TIME_BYTES:]
        self._verify(signature, _cosigned(checkpoint, seconds))
        try:
            return _EPOCH + timedelta(seconds=seconds)
        except OverflowError:
            raise MalformedNote("a cosignature's time is a datetime's") from None

    def _own(self, line: str, own_id: bytes) -> bytes | None:
        """What follows the key id in a line of this name and that key id; None for a line of another key."""
        name, signature = _read_line(line)
        if name != self.name or signature[:KEY_ID_BYTES] != own_id:
            return None
        return signature[KEY_ID_BYTES:]

    def _verify(self, signature: bytes, message: bytes) -> None:
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise BadSignature("a signature that is not this key's over this text") from None


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """4 bytes: SHA-256(name ‖ 0x0A ‖ kind ‖ public key), cut (C2SP signed-note). `kind`: ED25519 or COSIGNATURE_V1;
    `public_key`: 32 raw bytes. Raises MalformedNote if `name` is no name for a key."""
    if not _is_name(name):
        raise MalformedNote("a key's name is printable, without space or plus, and has 1 to 100 characters")
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:KEY_ID_BYTES]


def signed_note(body: str, lines: Sequence[str]) -> str:
    """A note of `body`, which ends with a line feed, and signature lines, which do not.

    Raises MalformedNote unless `split_note` gives the same back.
    """
    note = "\n".join([body, *lines, ""])
    if split_note(note) != (body, list(lines)):
        raise MalformedNote("a body ends with a line feed, and signature lines have none")
    return note


def split_note(note: str) -> tuple[str, list[str]]:
    """The body with its last line feed, and the signature lines without theirs. Verifies no signature.

    Raises MalformedNote if it is longer than 4096 characters or has other than 1 to 16 well-formed signature lines.
    """
    if len(note) > MAX_NOTE:
        raise MalformedNote("a note has no more than 4096 characters")
    head, _, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not head or lines.pop() or _CONTROL.search(note) or not _is_utf8(note):
        raise MalformedNote("a note is lines of text, an empty one, and signature lines")
    if not 1 <= len(lines) <= MAX_LINES:
        raise MalformedNote("a note has 1 to 16 signature lines")
    for line in lines:
        _read_line(line)
    return head + "\n", lines


def _read_line(line: str) -> tuple[str, bytes]:
    """The name, and key id ‖ signature, of a signature line."""
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    if len(line) > MAX_NOTE or not line.startswith(_DASH) or not separator or not _is_name(name):
        raise MalformedNote("a signature line is a dash, a name and a signature")
    signature = _bytes(encoded)
    if len(signature) <= KEY_ID_BYTES:
        raise MalformedNote("a signature line has a key id and a signature")
    return name, signature


def _cosigned(checkpoint: Checkpoint, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{checkpoint.body()}".encode()


def _is_name(text: str) -> bool:
    # Of all Unicode spaces, the plain one alone counts as printable.
    return 0 < len(text) <= MAX_NAME and text.isprintable() and " " not in text and "+" not in text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    """What standard, padded base64 stands for. Raises MalformedNote for any other spelling of the same bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedNote("not base64") from None
    if _base64(data) != text:
        raise MalformedNote("base64 in another spelling")
    return data
