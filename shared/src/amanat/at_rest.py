"""At rest: personal categories and an agency's own records sealed under the service's own key; look-ups and other
values that must say nothing by themselves as HMACs.

Source of the rule: DESIGN, "Sealing, leases, withdrawal", *At rest*, and law 9. A key file holds either one line, 32
bytes in base64 (its id is then 0), or several lines `id:base64` with ids 0…255, newest first: the first seals, all
open. To rotate, put the new key's line on top.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from amanat import canonical
from amanat.sealing import KEY_BYTES, NONCE_BYTES, TAG_BYTES, Randomness, Unopenable

FORMAT = 1
_HEADER = 2  # the format's byte and the key's id


class BadKeyFile(ValueError):
    """A key file that is not as described above. Never quotes it."""


def read_keys(path: str | Path) -> dict[int, bytes]:
    """Key id → 32 bytes, in the file's order: newest first. Raises BadKeyFile."""
    keys: dict[int, bytes] = {}
    lines = [line.strip() for line in Path(path).read_text("ascii", errors="replace").splitlines() if line.strip()]
    for line in lines:
        name, colon, text = line.rpartition(":")
        if not colon and len(lines) > 1:
            raise BadKeyFile("each of several keys needs its id: id:base64")
        if colon and not (name.isdigit() and int(name) <= 255):
            raise BadKeyFile("a key's id is a number from 0 to 255")
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise BadKeyFile("a key is not base64") from None
        key_id = int(name) if colon else 0
        if len(key) != KEY_BYTES or key_id in keys:
            raise BadKeyFile("a key is not 32 bytes, or its id comes twice")
        keys[key_id] = key
    if not keys:
        raise BadKeyFile("no key in the key file")
    return keys


class _Deriving:
    """Keys that HKDF-SHA256 (RFC 5869) without a salt makes of one. The step that depends on the key alone is done
    once: rows have each a key of their own, and come by the thousand."""

    def __init__(self, key: bytes) -> None:
        self._extracted = HKDF.extract(hashes.SHA256(), None, key)

    def derive(self, label: str, *context: str) -> bytes:
        """32 bytes."""
        info = canonical.dumps([label, *context])
        return HKDFExpand(hashes.SHA256(), KEY_BYTES, info).derive(self._extracted)


class AtRest:
    """format (1) ‖ key id (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16), bound to its table, row and column.

    Each place has a key of its own, derived from the service's: random nonces then never come near the 2³² messages
    per key of NIST SP 800-38D, however large the country. `row` is the row's own stable id, and where a
    table holds rows of several organisations or cases, whose it is as well (`amanat.ledger.Source.at`).
    """

    def __init__(self, keys: Mapping[int, bytes], randomness: Randomness = os.urandom) -> None:
        self._keys = {key_id: _Deriving(key) for key_id, key in keys.items()}
        self._newest = next(iter(self._keys))
        self._randomness = randomness

    @classmethod
    def from_file(cls, path: str | Path, randomness: Randomness = os.urandom) -> AtRest:
        """Raises BadKeyFile, OSError."""
        return cls(read_keys(path), randomness)

    def __repr__(self) -> str:
        return f"AtRest(key_ids={list(self._keys)})"

    def seal(self, plaintext: bytes, *, table: str, row: str, column: str) -> bytes:
        header = bytes((FORMAT, self._newest))
        nonce = self._randomness(NONCE_BYTES)
        place = _place(table, row, column)
        return header + nonce + self._cipher(self._newest, place).encrypt(nonce, plaintext, header + place)

    def open(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes:
        """Raises Unopenable: a changed byte, another place, a key or format that is not known here."""
        if len(sealed) < _HEADER + NONCE_BYTES + TAG_BYTES or sealed[0] != FORMAT or sealed[1] not in self._keys:
            raise Unopenable("content at rest does not open")
        place = _place(table, row, column)
        nonce, body = sealed[_HEADER : _HEADER + NONCE_BYTES], sealed[_HEADER + NONCE_BYTES :]
        try:
            return self._cipher(sealed[1], place).decrypt(nonce, body, sealed[:_HEADER] + place)
        except InvalidTag:
            raise Unopenable("content at rest does not open") from None

    def _cipher(self, key_id: int, place: bytes) -> AESGCM:
        return AESGCM(self._keys[key_id].derive("amanat/at-rest/1", place.decode()))


def _place(table: str, row: str, column: str) -> bytes:
    return canonical.dumps({"column": column, "row": row, "table": table})


def _only_key(path: str | Path) -> bytes:
    keys = read_keys(path)
    if len(keys) > 1:
        raise BadKeyFile("an index key stands alone: changing it needs every index built anew")
    return next(iter(keys.values()))


class BlindIndex:
    """Equality look-ups over sealed values: HMAC-SHA256 under a key per tenant × field.

    One woman in two cells does not link: her two index values share nothing.
    """

    def __init__(self, key: bytes) -> None:
        self._key = _Deriving(key)

    @classmethod
    def from_file(cls, path: str | Path) -> BlindIndex:
        """Raises BadKeyFile, OSError."""
        return cls(_only_key(path))

    def __repr__(self) -> str:
        return "BlindIndex()"

    def index(self, tenant: str, field: str, value: str) -> bytes:
        """32 bytes. Writings of one value that people take for the same give the same: see `normalised`."""
        key = self._key.derive("amanat/blind-index/1", tenant, field)
        return hmac.digest(key, normalised(value).encode(), hashlib.sha256)


def normalised(value: str) -> str:
    """Compatibility-composed, upper case, digits of any script as 0–9, without spaces, dashes and invisible marks:
    `42101-1234567-1`, `42101 1234567 1` and the same in Urdu digits are one CNIC."""
    kept = []
    for character in unicodedata.normalize("NFKC", value).upper():
        kind = unicodedata.category(character)
        if kind in {"Pd", "Cf", "Cc"} or character == "\u2212" or character.isspace():
            continue
        kept.append(str(unicodedata.decimal(character)) if kind == "Nd" else character)
    return "".join(kept)


class Macs:
    """The other HMACs of a service, each under a label of its own, so that none can be shown in place of another."""

    def __init__(self, key: bytes) -> None:
        self._key = _Deriving(key)
        self._derived: dict[str, bytes] = {}

    @classmethod
    def from_file(cls, path: str | Path) -> Macs:
        """Raises BadKeyFile, OSError."""
        return cls(_only_key(path))

    def __repr__(self) -> str:
        return "Macs()"

    def mac(self, label: str, message: bytes) -> bytes:
        """32 bytes under `label`, a constant of the code: `cursor`, say."""
        key = self._derived.get(label)
        if key is None:
            key = self._derived[label] = self._key.derive("amanat/mac/1", label)
        return hmac.digest(key, message, hashlib.sha256)

    def etag(self, *parts: str | int | UUID | None) -> str:
        """A strong ETag as the header wants it, with its quotes. Over versions, never over content."""
        message = canonical.dumps([[type(part).__name__, str(part)] for part in parts])
        return f'"{base64.urlsafe_b64encode(self.mac("etag", message)[:18]).decode()}"'

    def refusal(self, code: str) -> bytes:
        """32 bytes that stand for a code nobody may learn from the looks."""
        return self.mac("refusal", code.encode("utf-8", "surrogatepass"))

    def body(self, client: str, body: bytes) -> bytes:
        """32 bytes that tell whether a replayed request is the same; one client's says nothing of another's."""
        return self.mac("body", canonical.dumps(client) + b"\0" + body)
