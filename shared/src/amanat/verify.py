"""Verifies a court bundle of Amanat, offline. One file: Python 3.11 or newer and `cryptography`, nothing else.

    python verify.py bundle.zip [--keys directory.json] [--lang ur] [--json]

Exit status: 0 everything in the bundle is proven, 1 rejected, 2 the file cannot be read. What was proven is printed,
and so is what was not. Without `--keys` the public keys are those that came with the bundle: the fingerprints printed
must then be compared with ones that were had in another way.

Nothing here trusts the bundle: one spelling of everything, every size bounded, and every byte accounted for. The
format is described in docs/bundle.md. The cell makes the pages of a bundle with `pages` of this file.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import math
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

FORMAT = "amanat-bundle/1"
MOST_BYTES, MOST_FILES, MOST_OF_ONE = 64 * 2**20, 20_000, 16 * 2**20
MANIFEST, NOTE, INDEX, KEYS = "manifest.json", "manifest.note", "index.json", "keys.json"
CHECKPOINT, COSIGNATURES, PDF, LOOKS = "checkpoint", "cosignatures", "index.pdf", "looks.json"
STAMP = "timestamps/checkpoint.tsr"
DERIVED = ("consents.json", "custody.json", "facts.json", "history.json", "report.json")
"""Pages that say what entries say, in another order. `looks.json` is one more, where looks were ordered."""
ALWAYS = frozenset({MANIFEST, NOTE, INDEX, KEYS, CHECKPOINT, COSIGNATURES, *DERIVED})
SHOWN = frozenset({"identity", "incident", "examination", "digital", "investigation", "laboratory"})
"""Data categories that a bundle shows. All others are withheld, whatever is ordered."""
PARTS_SHOWN = SHOWN | {"reason", "event"}
LOOK_KINDS = frozenset({"look", "look_told", "leased", "bundle_made"})
BASES = frozenset({"court_order", "consent", "statutory_duty"})
WITHHELD_ALWAYS = ("care", "contact", "counselling", "imagery", "representation")
CELLS_SERVICE, ERASED = "intake", "erased"
LATE_S = 60
"""A release that was recorded so much later than its receipt is a gap: clocks differ by less."""
ON_THE_WAY_S = 24 * 3600
"""A parcel that is on its way for longer has been without a custodian: the cell's own alarm has the same number."""

_ENTRY = re.compile(r"entries/([0-9]{12})\.json")
_NAME = re.compile(r"[a-z0-9][a-z0-9./-]{0,99}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_CHECKPOINT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")
_EXACT = 2**53 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


UNREADABLE = (
    ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, ArithmeticError, struct.error,
    UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What reading a structure of another form may raise."""


class Rejected(Exception):
    """The bundle is not what it must be. `code` is one of `WORDS`; `told` fills its words."""

    def __init__(self, code: str, **told: Any) -> None:
        super().__init__(code)
        self.code, self.told = code, told


# --- one spelling of JSON: RFC 8785 ---------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value (RFC 8785). Raises ValueError for what has none."""
    return _spelt(value).encode()


def _spelt(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > _EXACT:
            raise ValueError("a number that not every reader has exactly")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("a name that is no text")
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_spelt(name)}:{_spelt(value[name])}" for name in names) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_spelt, value)) + "]"
    raise ValueError("no JSON value")


def _number(value: float) -> str:
    """As ECMAScript writes it, which RFC 8785 asks for."""
    if not math.isfinite(value):
        raise ValueError("no number of JSON")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    point = len(digits) + int(exponent)
    if len(text) <= point <= 21:
        said = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        said = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        said = "0." + "0" * -point + text
    else:
        rest = f".{text[1:]}" if len(text) > 1 else ""
        said = f"{text[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return "-" * sign + said


def _parsed(name: str, data: bytes, *, spelt_once: bool = True) -> Any:
    """The JSON value of a file. Raises Rejected for another spelling than the one, or for a name that comes twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) != len(pairs):
            raise ValueError("a name that comes twice")
        return held

    try:
        value = json.loads(data.decode(), object_pairs_hook=once, parse_constant=_no_constant)
        same = not spelt_once or canonical(value) == data
    except (ValueError, RecursionError, ArithmeticError):
        same = False
    if not same:
        raise Rejected("malformed", file=name)
    return value


def _no_constant(_: str) -> None:
    raise ValueError("no number of JSON")


# --- the container: a zip of one spelling -----------------------------------------------------------------------------

_LOCAL, _CENTRAL, _END = "<IHHHHHIIIHH", "<IHHHHHHIIIHHHHHII", "<IHHHHIIH"
_VERSION, _DAY, _FROM_UNIX, _READABLE = 20, 33, 3 << 8 | 20, 0o100644 << 16


def pack(files: Mapping[str, bytes]) -> bytes:
    """The one zip of these files: stored, by name, of 1980-01-01, without extras. Raises ValueError beyond bounds."""
    if len(files) > MOST_FILES or any(len(data) > MOST_OF_ONE for data in files.values()):
        raise ValueError("more than a bundle holds")
    held, directory, offset = [], [], 0
    for name in sorted(files):
        data, encoded = files[name], name.encode("ascii")
        sizes = (zlib.crc32(data), len(data), len(data), len(encoded), 0)
        local = struct.pack(_LOCAL, 0x04034B50, _VERSION, 0, 0, 0, _DAY, *sizes) + encoded
        head = (0x02014B50, _FROM_UNIX, _VERSION, 0, 0, 0, _DAY)
        directory.append(struct.pack(_CENTRAL, *head, *sizes, 0, 0, 0, _READABLE, offset) + encoded)
        held += [local, data]
        offset += len(local) + len(data)
    listed = b"".join(directory)
    if offset + len(listed) > MOST_BYTES:
        raise ValueError("more than a bundle holds")
    return b"".join(
        (*held, listed, struct.pack(_END, 0x06054B50, 0, 0, len(files), len(files), len(listed), offset, 0))
    )


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a bundle. Raises Rejected unless it is, to the byte, the one zip of them."""
    if len(data) > MOST_BYTES + 64:
        raise Rejected("not_a_bundle")
    files: dict[str, bytes] = {}
    at, head = 0, struct.calcsize(_LOCAL)
    while data[at : at + 4] == b"PK\x03\x04" and len(data) >= at + head:
        told = struct.unpack_from(_LOCAL, data, at)
        size, length = told[8], told[9]
        begin = at + head + length
        name = data[at + head : begin].decode("ascii", "replace")
        if name in files or not _NAME.fullmatch(name) or size > MOST_OF_ONE or len(files) >= MOST_FILES:
            raise Rejected("not_a_bundle")
        files[name] = data[begin : begin + size]
        at = begin + size
    try:
        same = bool(files) and pack(files) == data
    except ValueError:
        same = False
    if not same:
        raise Rejected("not_a_bundle")
    return files


# --- hashes and signatures: RFC 9162, C2SP signed notes ---------------------------------------------------------------


def _sha256(*pieces: bytes) -> bytes:
    return hashlib.sha256(b"".join(pieces)).digest()


def leaf_of(salt: bytes, document: Any) -> bytes:
    """The RFC 9162 leaf hash of an entry."""
    return _sha256(b"\x00", salt, canonical(document))


def is_included(leaf: bytes, position: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= position < size:
        return False
    at, last, digest = position, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            digest = _sha256(b"\x01", sibling, digest)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            digest = _sha256(b"\x01", digest, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and digest == root


@dataclass(frozen=True)
class Signer:
    """Who may sign under one name: raw Ed25519 public keys."""

    name: str
    keys: tuple[bytes, ...]

    def signed(self, line: str, kind: int, message: Callable[[bytes], bytes], ahead: int = 0) -> tuple[bytes, bytes]:
        """The key that signed, and what stands before the signature (`ahead` bytes). Raises Rejected."""
        start = f"\N{EM DASH} {self.name} "
        if not line.startswith(start):
            raise Rejected("signature", name=self.name)
        said = _base64(line[len(start) :], "signature", name=self.name)
        if len(said) != 4 + ahead + 64:
            raise Rejected("signature", name=self.name)
        for key in self.keys:
            if _sha256(self.name.encode(), b"\n", bytes([kind]), key)[:4] != said[:4]:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(said[4 + ahead :], message(said[4 : 4 + ahead]))
            except InvalidSignature:
                continue
            return key, said[4 : 4 + ahead]
        raise Rejected("signature", name=self.name)


def _base64(text: Any, code: str, **told: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        raise Rejected(code, **told) from None
    if base64.b64encode(data).decode() != text:
        raise Rejected(code, **told)
    return data


def fingerprint(key: bytes) -> str:
    """A key as people compare it: the first 16 bytes of its SHA-256, in fours."""
    text = hashlib.sha256(key).hexdigest()[:32]
    return " ".join(text[at : at + 4] for at in range(0, 32, 4))


@dataclass(frozen=True)
class Keys:
    """Who signs what: each service's ledger, and the cell's bundles."""

    ledgers: Mapping[str, Signer]
    bundles: Signer

    @classmethod
    def read(cls, name: str, data: bytes, *, spelt_once: bool) -> Keys:
        """From `keys.json` of a bundle, or from the platform's directory file. Raises Rejected."""
        document = _parsed(name, data, spelt_once=spelt_once)
        try:
            ledgers = {service: _signer(said) for service, said in document["ledgers"].items()}
            found = cls(ledgers, _signer(document["bundles"]))
        except (KeyError, TypeError, AttributeError):
            raise Rejected("malformed", file=name) from None
        names = {each.name for each in (*ledgers.values(), found.bundles)}
        extra = spelt_once and not _is_bare(document)
        if CELLS_SERVICE not in ledgers or len(names) != len(ledgers) + 1 or extra:
            raise Rejected("malformed", file=name)
        return found

    def within(self, trusted: Keys) -> bool:
        """Whether all of these keys are among those, under the same names."""
        pairs = [(self.bundles, trusted.bundles)]
        pairs += [(each, trusted.ledgers.get(service)) for service, each in self.ledgers.items()]  # type: ignore[misc]  # None is asked for below
        return all(
            known is not None and each.name == known.name and {*each.keys} <= {*known.keys} for each, known in pairs
        )


def _is_bare(document: Mapping[str, Any]) -> bool:
    """Whether it says nothing but keys, as a bundle's does and a directory file does not."""
    signers = [*document["ledgers"].values(), document["bundles"]]
    return (
        document.keys() == {"ledgers", "bundles"}
        and all(each.keys() == {"origin", "keys"} for each in signers)
        and all(
            key.keys() == {"id", "public_key"} and isinstance(key["id"], str)
            for each in signers
            for key in each["keys"]
        )
    )


def _signer(said: Any) -> Signer:
    keys = tuple(_base64(each["public_key"], "malformed", file=KEYS) for each in said["keys"])
    name = said["origin"]
    fits = isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable() and not set(" +") & set(name)
    if not fits or not 0 < len(keys) <= 20 or any(len(key) != 32 for key in keys) or len({*keys}) != len(keys):
        raise Rejected("malformed", file=KEYS)
    return Signer(name, keys)


@dataclass(frozen=True)
class Tree:
    """The tree that was signed, by which key, and who else saw it: (name, when, key)."""

    origin: str
    size: int
    root: bytes
    key: bytes
    witnesses: tuple[tuple[str, datetime, bytes], ...]


def _tree(files: Mapping[str, bytes], keys: Keys) -> Tree:
    ledger = keys.ledgers[CELLS_SERVICE]
    body, _, line = _text(files, CHECKPOINT).partition("\n\n")
    body += "\n"
    said = _CHECKPOINT.fullmatch(body)
    if said is None or said[1] != ledger.name or not line.endswith("\n") or "\n" in line[:-1]:
        raise Rejected("checkpoint")
    key, _ = ledger.signed(line[:-1], 1, lambda _: body.encode())
    witnesses: list[tuple[str, datetime, bytes]] = []
    others = {each.name: each for service, each in keys.ledgers.items() if service != CELLS_SERVICE}
    *lines, end = _text(files, COSIGNATURES).split("\n")
    for each in lines:
        witness = others.get(each.removeprefix("\N{EM DASH} ").partition(" ")[0])
        if witness is None or any(name >= witness.name for name, _, _ in witnesses):
            raise Rejected("cosignatures")
        by, when = witness.signed(each, 4, lambda when: _cosigned(when, body), ahead=8)
        try:
            at = _EPOCH + timedelta(seconds=int.from_bytes(when, "big"))
        except OverflowError:
            raise Rejected("cosignatures") from None
        witnesses.append((witness.name, at, by))
    if end or not witnesses:
        raise Rejected("cosignatures")
    return Tree(ledger.name, int(said[2]), _base64(said[3], "checkpoint"), key, tuple(witnesses))


def _cosigned(when: bytes, body: str) -> bytes:
    return f"cosignature/v1\ntime {int.from_bytes(when, 'big')}\n{body}".encode()


def _text(files: Mapping[str, bytes], name: str) -> str:
    try:
        return files[name].decode()
    except UnicodeDecodeError:
        raise Rejected("malformed", file=name) from None


def note_of(name: str, bundle: str, manifest: bytes) -> str:
    """What the cell's bundle key signs: three lines."""
    return f"{name}\n{bundle}\n{base64.b64encode(_sha256(manifest)).decode()}\n"


# --- time stamps: RFC 3161, as far as one file honestly can -----------------------------------------------------------

_SIGNED_DATA, _TST_INFO = "2a864886f70d010702", "2a864886f70d0109100104"
_CONTENT_TYPE, _MESSAGE_DIGEST = "2a864886f70d010903", "2a864886f70d010904"
_SHA256_OID = "608648016503040201"
_DIGESTS: Mapping[str, tuple[str, hashes.HashAlgorithm]] = {
    _SHA256_OID: ("sha256", hashes.SHA256()),
    "608648016503040202": ("sha384", hashes.SHA384()),
    "608648016503040203": ("sha512", hashes.SHA512()),
}


@dataclass(frozen=True)
class Stamp:
    """What an authority's time stamp says: when, in whose name, under which certificate (its SHA-256, as a key's)."""

    at: datetime
    by: str
    certificate: str


def read_stamp(answer: bytes, message: bytes) -> Stamp:
    """A TimeStampResp over the SHA-256 of `message`: imprint, signed attributes, signature, purpose and dates of the
    certificate that came along. Whether that authority is one to trust is not asked. Raises ValueError and what a
    structure of another form raises."""
    status, token = (content for _, content, _ in _der(_only(answer, 0x30)))
    kind, signed = _der(token)
    _ask(_der(status)[0][1] in (b"\x00", b"\x01") and kind[1].hex() == _SIGNED_DATA)
    parts = _der(_only(signed[1], 0x30))
    kind, held = _der(parts[2][1])
    info = _only(held[1], 0x04)
    _ask(kind[1].hex() == _TST_INFO)
    told = _der(_only(info, 0x30))
    algorithm, imprint = _der(told[2][1])
    _ask(_der(algorithm[1])[0][1].hex() == _SHA256_OID and imprint[1] == hashlib.sha256(message).digest())
    at = datetime.strptime(told[4][1].decode()[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    _ask(told[4][0] == 0x18 and told[4][1].endswith(b"Z"))
    signer = _der(_only(parts[-1][1], 0x30))
    name, digest = _DIGESTS[_der(signer[2][1])[0][1].hex()]
    attributes = {_der(each)[0][1].hex(): _der(_der(each)[1][1])[0][1] for _, each, _ in _der(signer[3][1])}
    _ask(signer[3][0] == 0xA0 and attributes[_CONTENT_TYPE].hex() == _TST_INFO)
    _ask(attributes[_MESSAGE_DIGEST] == hashlib.new(name, info).digest())
    message_signed = b"\x31" + signer[3][2][1:]
    for tag, listed, _ in parts[3:-1]:
        for _, _, whole in _der(listed) if tag == 0xA0 else ():
            certificate = x509.load_der_x509_certificate(whole)
            if _stamps(certificate, at) and _signs(certificate.public_key(), signer[5][1], message_signed, digest):
                return Stamp(at, certificate.subject.rfc4514_string(), fingerprint(whole))
    raise ValueError("a time stamp that no certificate in it signed")


def _der(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """DER elements one after another: tag, content, and the whole element."""
    found, at = [], 0
    while at < len(data):
        length, begin = data[at + 1], at + 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(data[at + 2 : begin], "big")
            _ask(begin - at <= 6 and length >= 0x80)
        _ask(data[at] & 0x1F != 0x1F and begin + length <= len(data))
        found.append((data[at], data[begin : begin + length], data[at : begin + length]))
        at = begin + length
    return found


def _only(data: bytes, tag: int) -> bytes:
    """The content of the one element that there is."""
    ((found, content, _),) = _der(data)
    _ask(found == tag)
    return content


def _ask(holds: bool) -> None:
    if not holds:
        raise ValueError("not what it must be")


def _stamps(certificate: x509.Certificate, at: datetime) -> bool:
    """Whether it is for time stamps alone (RFC 3161, 2.3), and was valid then."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    alone = usage.critical and [*usage.value] == [ExtendedKeyUsageOID.TIME_STAMPING]
    return alone and certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _signs(key: object, signature: bytes, message: bytes, digest: hashes.HashAlgorithm) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


# --- entries ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger as the bundle has it. `state` is proven, changed, erased or unreadable."""

    position: int
    leaf: bytes
    state: str
    document: Mapping[str, Any] = field(default_factory=dict)
    opened: Mapping[str, Any] = field(default_factory=dict)


def read_entry(name: str, data: bytes, tree: Tree) -> Entry:
    """An entry's file. Raises Rejected for one that is not in the tree (if the tree has a root), or shows parts that
    are not its own."""
    said, position = _parsed(name, data), int(name[8:20])
    told = {"position": position}
    if not isinstance(said, dict) or said.get("position") != position or isinstance(said["position"], bool):
        raise Rejected("malformed", file=name)
    leaf = _base64(said.get("leaf"), "malformed", file=name)
    proof = said.get("proof")
    if not isinstance(proof, list) or len(proof) > 64:
        raise Rejected("malformed", file=name)
    hashes = [_base64(each, "malformed", file=name) for each in proof]
    if any(len(each) != 32 for each in (leaf, *hashes)):
        raise Rejected("malformed", file=name)
    if tree.root and not is_included(leaf, position, tree.size, hashes, tree.root):
        raise Rejected("not_in_tree", **told)
    rest = said.keys() - {"position", "leaf", "proof"}
    if rest == {"erased"} and said["erased"] is True:
        return Entry(position, leaf, "erased")
    if rest == {"unreadable"} and said["unreadable"] in ("row", "salt", "sealed", "leaf"):
        return Entry(position, leaf, "unreadable")
    if (
        rest != {"salt", "document", "opened"}
        or not _is_document(said["document"])
        or not isinstance(said["opened"], dict)
    ):
        raise Rejected("malformed", file=name)
    salt, document = _base64(said["salt"], "malformed", file=name), said["document"]
    if len(salt) != 32:
        raise Rejected("malformed", file=name)
    if leaf_of(salt, document) != leaf:
        return Entry(position, leaf, "changed", document)
    return Entry(position, leaf, "proven", document, _opened(name, document, said["opened"]))


def _is_document(said: Any) -> bool:
    if not isinstance(said, dict) or said.keys() != {"tenant", "kind", "subject", "at", "said", "source", "content"}:
        return False
    texts = all(isinstance(said[name], str) for name in ("tenant", "kind", "subject", "at"))
    kinds = isinstance(said["said"], dict) and (said["source"] is None or isinstance(said["source"], str))
    return texts and kinds and (said["content"] is None or isinstance(said["content"], dict))


def _opened(name: str, document: Mapping[str, Any], opened: Mapping[str, Any]) -> dict[str, Any]:
    committed = (document["content"] or {}).get("parts", {})
    values: dict[str, Any] = {}
    for part, shown in opened.items():
        if part not in PARTS_SHOWN:
            raise Rejected("withheld_is_shown", file=name)
        if not isinstance(shown, dict) or shown.keys() != {"salt", "value"} or not isinstance(committed, dict):
            raise Rejected("malformed", file=name)
        salt = _base64(shown["salt"], "malformed", file=name)
        if len(salt) != 32 or _sha256(salt, canonical(shown["value"])).hex() != committed.get(part):
            raise Rejected("part", position=int(name[8:20]))
        values[part] = shown["value"]
    return values


# --- pages: what entries say, in the order in which people read it ----------------------------------------------------


def pages(entries: Iterable[Entry], *, looks: bool) -> dict[str, Any]:
    """The derived pages by file name, of a case's entries in the order of the ledger. The cell makes a bundle's pages
    with this, and a verifier compares. Raises KeyError, TypeError, ValueError for entries of another form."""
    proven = [entry for entry in entries if entry.state == "proven"]
    records = _records(proven)
    consents = [
        {"entry": each.position, "kind": each.document["kind"], "recorded_at": each.document["content"]["recorded_at"],
         "event": each.opened.get("event")}
        for each in proven if _table(each) == "consent_events"
    ]  # fmt: skip
    kits = _custody(proven)
    report = [each for each in records if each["kind"] in {"person", "incident", "examination", "digital_item"}]
    made: dict[str, Any] = {
        "consents.json": {"consents": consents},
        "custody.json": {"kits": kits},
        "facts.json": {"records": [each for each in records if each not in report]},
        "history.json": {"steps": [_step(each) for each in proven if _table(each) == "" and not _is_look(each)]},
        "report.json": {"records": report, "expected": expected(records, consents, kits)},
    }
    if looks:
        made[LOOKS] = {"looks": [{**_step(each), **_row(each)} for each in proven if _is_look(each)]}
    return made


def contents(entries: Sequence[Entry], made: Mapping[str, Any]) -> dict[str, Any]:
    """What a court's file holds at a glance: part of `index.json`."""
    kits = made["custody.json"]["kits"]
    return {
        "entries": len(entries),
        "consents": len(made["consents.json"]["consents"]),
        "records": len(made["report.json"]["records"]) + len(made["facts.json"]["records"]),
        "looks": len(made[LOOKS]["looks"]) if LOOKS in made else None,
        "gaps": [{"barcode": kit["barcode"], "gap": gap} for kit in kits for gap in kit["gaps"]],
        "missing": [each["part"] for each in made["report.json"]["expected"] if not each["there"]],
        "erased": [each.position for each in entries if each.state == "erased"],
        "changed": [each.position for each in entries if each.state in ("changed", "unreadable")],
    }


def _table(entry: Entry) -> str:
    return (entry.document["source"] or "").partition("/")[0]


def _is_look(entry: Entry) -> bool:
    return entry.document["kind"] in LOOK_KINDS


def _step(entry: Entry) -> dict[str, Any]:
    names = ("at", "kind", "subject", "said")
    return {"entry": entry.position, **{name: entry.document[name] for name in names}}


def _row(entry: Entry) -> dict[str, Any]:
    hidden = {"tenant", "id", "case_code", "parts"}
    return {"row": {name: value for name, value in (entry.document["content"] or {}).items() if name not in hidden}}


def _records(proven: Sequence[Entry]) -> list[dict[str, Any]]:
    """Records with what corrects them: a correction never hides what stood before."""
    made = []
    for each in proven:
        if _table(each) != "records":
            continue
        content = each.document["content"]
        shown = {part: value for part, value in each.opened.items() if part != "reason"}
        made.append(
            {
                "entry": each.position,
                "record": content["id"],
                "kind": content["kind"],
                "author": {"agency": content["author_agency"], "organisation": content["author_organisation"]},
                "recorded_at": content["recorded_at"],
                "corrects": content["corrects"],
                "corrected_by": None,
                "reason": each.opened.get("reason"),
                "fields": shown,
                "withheld": sorted({*content["parts"]} - {*shown, "reason", "whole"}),
            }
        )
    by_id = {record["record"]: record for record in made}
    for record in made:
        if record["corrects"] in by_id:
            by_id[record["corrects"]]["corrected_by"] = record["record"]
    return made


def _custody(proven: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each kit's way from hand to hand. A release names who should receive; a receipt is matched with the oldest open
    release of that kit to its holder, as the cell does it. What stays without its other half is a gap, and so is what
    was given by somebody who did not hold it, or lay long between two hands."""
    kits: dict[str, dict[str, Any]] = {}
    cells: dict[str, dict[str, Any]] = {}
    for each in proven:
        if each.document["kind"] == "kit_opened":
            opened = {"entry": each.position, "barcode": each.document["subject"], "opened_at": each.document["at"]}
            kits[each.document["subject"]] = {**opened, "halves": [], "gaps": []}
            cells[each.document["subject"]] = {"agency": CELLS_SERVICE, "organisation": each.document["tenant"]}
        elif _table(each) == "custody_halves" and each.document["content"]["barcode"] in kits:
            kit = kits[each.document["content"]["barcode"]]
            half = _half(each)
            _match(half, kit)
            kit["halves"].append(half)
    for barcode, kit in kits.items():
        _follow(kit["halves"], cells[barcode])
        for half in kit["halves"]:
            if half["other"] is None:
                half["gaps"].append(_alone(half))
            half["gaps"].sort()
        kit["gaps"] = sorted({gap for half in kit["halves"] for gap in half["gaps"]})
    return list(kits.values())


def _follow(halves: Sequence[dict[str, Any]], cell: Mapping[str, Any]) -> None:
    """From the cell, where a kit begins, from holder to holder: a release by whom it had not reached by then, or had
    left already, is a gap, though its receipt confirms it."""
    by_entry = {half["entry"]: half for half in halves}
    left = sorted(
        (half for half in halves if half["half"] == "release" or half["other"] is None),
        key=lambda half: (_changed_hands(half), half["entry"]),
    )
    holder: Mapping[str, Any] | None = cell
    since: datetime | None = None
    while left:
        held = (half for half in left if half["half"] == "release" and half["holder"] == holder)
        step = next((half for half in held if since is None or _seconds(_changed_hands(half), since) <= LATE_S), None)
        if step is None and left[0]["half"] == "release":
            left[0]["gaps"].append("released_by_no_holder")
        step = step or left[0]
        left.remove(step)
        receipt = by_entry.get(step["other"]) if step["half"] == "release" else step
        # Released and not received, it is in nobody's hands.
        holder, since = (receipt["holder"], _changed_hands(receipt)) if receipt else (None, None)


def _changed_hands(half: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(half["said"].get("at") or half["recorded_at"]))


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def _alone(half: Mapping[str, Any]) -> str:
    return "release_without_receipt" if half["half"] == "release" else "receipt_without_release"


def _half(entry: Entry) -> dict[str, Any]:
    content = entry.document["content"]
    said = json.loads(content["sealed"])
    if not isinstance(said, dict):
        raise ValueError("no half")  # noqa: TRY004 - whoever asks catches one kind
    return {
        "entry": entry.position,
        "half": content["half"],
        "holder": {"agency": content["holder_agency"], "organisation": content["holder_organisation"]},
        "counterpart": {"agency": content["counterpart_agency"], "organisation": content["counterpart_organisation"]},
        "recorded_at": content["recorded_at"],
        "said": said,
        "other": None,
        "gaps": ["seal_broken"] if said.get("seal_intact") is False else [],
    }


def _match(half: dict[str, Any], kit: Mapping[str, Any]) -> None:
    for other in kit["halves"]:
        open_for_it = other["other"] is None and other["half"] != half["half"]
        if open_for_it and (other["holder"], other["counterpart"]) == (half["counterpart"], half["holder"]):
            break
    else:
        return
    half["other"], other["other"] = other["entry"], half["entry"]
    release, receipt = (half, other) if half["half"] == "release" else (other, half)
    if _seconds(_recorded(receipt), _recorded(release)) > LATE_S:
        half["gaps"].append("release_recorded_late")
    # By what they say, or by when they said it: who writes of it a week later saw it in no hand meanwhile.
    if max(_seconds(of(release), of(receipt)) for of in (_changed_hands, _recorded)) > ON_THE_WAY_S:
        half["gaps"].append("long_on_the_way")
    seals = {
        str(each["said"]["seal_number"]).strip().upper() for each in (half, other) if each["said"].get("seal_number")
    }
    if len(seals) > 1:
        half["gaps"].append("seal_numbers_differ")


def _recorded(half: Mapping[str, Any]) -> datetime:
    attested = (half["said"].get("attestation") or {}).get("at")
    return datetime.fromisoformat(str(attested or half["recorded_at"]))


def expected(
    records: Sequence[Mapping[str, Any]], consents: Sequence[Any], kits: Sequence[Any]
) -> list[dict[str, Any]]:
    """Which parts of a medico-legal report are there: what makes it weak when missing. Newest words count."""
    known: dict[str, dict[str, Any]] = {}
    for record in records:
        if record["corrected_by"] is None:
            for values in record["fields"].values():
                known.setdefault(record["kind"], {}).update(values)
    person, incident, exam = (known.get(kind, {}) for kind in ("person", "incident", "examination"))
    samples = exam.get("samples") or []
    releases = [half for kit in kits for half in kit["halves"] if half["half"] == "release"]
    there = {
        "mlc_number": person.get("mlc_number"),
        "age_and_basis": person.get("birth_date") or person.get("age_years_stated"),
        "consent": bool(consents) or exam.get("consent_note"),
        "time_of_incident": incident.get("occurred_at"),
        "account": incident.get("history"),
        "acts": incident.get("acts"),
        **{name: exam.get(name) for name in _OF_THE_EXAMINATION},
        "injuries": exam.get("injuries") or exam.get("no_injury_found"),
        "samples": samples and all(each.get("taken_at") or each.get("reason_not_taken") for each in samples),
        "handed_to": any(half["said"].get("person_name") for half in releases),
    }
    return [
        {"part": part, "there": bool(value) or (value is False and part in _FLAGS)} for part, value in there.items()
    ]


_OF_THE_EXAMINATION = (
    "examiner_name", "examiner_designation", "requested_by", "identity_marks", "accompanied_by", "started_at",
    "ended_at", "washed", "changed_clothes", "general_condition", "mental_state", "genital_findings", "anal_findings",
    "clothing", "seal_number", "kit_barcode", "photographs_taken", "opinion", "opinion_reasons", "pending",
)  # fmt: skip
_FLAGS = frozenset({"washed", "changed_clothes", "photographs_taken"})
"""What may be answered with no."""


# --- the judgement ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """One sentence of a verdict: a code of `WORDS`, and what its words are filled with."""

    code: str
    told: Mapping[str, Any] = field(default_factory=dict)

    def words(self, language: str = "en") -> str:
        """In English or Urdu, without anything that a terminal would take as a command."""
        told = {name: _plain(value) for name, value in self.told.items()}
        return WORDS[self.code][language == "ur"].format(**told)


@dataclass
class Verdict:
    """What a bundle proves, what it does not, and why it is rejected: it is proven when nothing is wrong."""

    proved: list[Said] = field(default_factory=list)
    not_proved: list[Said] = field(default_factory=list)
    wrong: list[Said] = field(default_factory=list)
    through: bool = False
    """Whether all of the bundle was looked at: it is sound as a file, whatever is wrong with single entries."""

    @property
    def proven(self) -> bool:
        """Whether all that the bundle claims to prove is proven."""
        return self.through and not self.wrong


def verify(data: bytes, trusted: Keys | None = None) -> Verdict:
    """Judges a bundle. Never raises for what it holds. With `trusted`, its keys must be among those."""
    verdict = Verdict()
    try:
        _judge(data, trusted, verdict)
    except Rejected as refused:
        verdict.wrong.append(Said(refused.code, refused.told))
    except UNREADABLE:
        verdict.wrong.append(Said("malformed", {"file": "?"}))
    return verdict


def _judge(data: bytes, trusted: Keys | None, verdict: Verdict) -> None:
    files = unpack(data)
    manifest = _manifest(files)
    keys = Keys.read(KEYS, files[KEYS], spelt_once=True)
    if trusted is not None and not keys.within(trusted):
        raise Rejected("other_keys")
    body, _, line = _text(files, NOTE).partition("\n\n")
    if body + "\n" != note_of(keys.bundles.name, manifest["bundle"], files[MANIFEST]) or not line.endswith("\n"):
        raise Rejected("manifest_note")
    key, _ = keys.bundles.signed(line[:-1], 1, lambda _: (body + "\n").encode())
    verdict.proved.append(Said("container", {"files": len(files), "name": keys.bundles.name, "key": fingerprint(key)}))
    tree = _tree(files, keys)
    verdict.proved.append(Said("tree", {"name": tree.origin, "size": tree.size, "key": fingerprint(tree.key)}))
    for name, at, by in tree.witnesses:
        verdict.proved.append(Said("witness", {"name": name, "at": _time(at), "key": fingerprint(by)}))
    if STAMP in files:
        try:
            stamp = read_stamp(files[STAMP], files[CHECKPOINT])
        except UNREADABLE:
            raise Rejected("timestamp_false") from None
        told = {"at": _time(stamp.at), "name": stamp.by, "key": stamp.certificate}
        verdict.proved.append(Said("timestamp", told))
    index = _index(files, manifest)
    entries = [read_entry(name, files[name], tree) for name in sorted(files) if _ENTRY.fullmatch(name)]
    _ask_entries(entries, index, verdict)
    made = pages(entries, looks=index["looks"])
    made_contents = contents(entries, made)
    for name, page in sorted(made.items()):
        if files[name] != canonical(page):
            verdict.wrong.append(Said("page", {"file": name}))
    if index["contents"] != made_contents:
        verdict.wrong.append(Said("page", {"file": INDEX}))
    verdict.proved.append(Said("pages"))
    for kit in made["custody.json"]["kits"]:
        _tell_kit(kit, verdict)
    _tell_limits(index, entries, tree, trusted, verdict)
    verdict.not_proved.append(Said("timestamp_authority" if STAMP in files else "no_timestamps"))
    verdict.through = True


def _manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    others = {name for name in files if not _ENTRY.fullmatch(name)}
    if not others >= ALWAYS or others - ALWAYS - {PDF, LOOKS, STAMP}:
        raise Rejected("files")
    manifest = _parsed(MANIFEST, files[MANIFEST])
    if not isinstance(manifest, dict) or manifest.keys() != {"format", "bundle", "case", "cell", "made_at", "files"}:
        raise Rejected("malformed", file=MANIFEST)
    if manifest["format"] != FORMAT:
        raise Rejected("format")
    if not isinstance(manifest["bundle"], str) or not _UUID.fullmatch(manifest["bundle"]):
        raise Rejected("malformed", file=MANIFEST)
    if files[MANIFEST] != manifest_of(files, {**manifest, "cell": {"id": manifest["cell"]}}):
        raise Rejected("manifest")
    return manifest


def manifest_of(files: Mapping[str, bytes], index: Mapping[str, Any]) -> bytes:
    """The manifest of these files, itself and its note left out."""
    listed = {
        name: {"sha256": _sha256(data).hex(), "size": len(data)}
        for name, data in files.items()
        if name not in (MANIFEST, NOTE)
    }
    said = {name: index[name] for name in ("format", "bundle", "case", "made_at")}
    return canonical({**said, "cell": index["cell"]["id"], "files": listed})


_INDEX = {"format", "bundle", "case", "cell", "made_at", "basis", "reference", "recipient", "looks", "referrals",
          "waiting", "without_entry", "pdf", "contents"}  # fmt: skip


def _index(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, Any]:
    index = _parsed(INDEX, files[INDEX])
    fits = (
        isinstance(index, dict)
        and index.keys() == _INDEX
        and all(index[name] == manifest[name] for name in ("format", "bundle", "case", "made_at"))
        and index["cell"].keys() == {"id", "name"}
        and index["cell"]["id"] == manifest["cell"]
        and index["basis"] in BASES
        and isinstance(index["looks"], bool)
        and index["looks"] == (LOOKS in files)
        and (index["basis"] == "court_order" or not index["looks"])
        and index["pdf"] == (PDF in files)
        and all(isinstance(index[name], list) for name in ("referrals", "waiting", "without_entry"))
        and all(each.keys() == {"referral", "agency", "organisation"} for each in index["referrals"])
        and all(each.keys() == {"kind", "subject", "at"} for each in index["waiting"])
        and all(isinstance(index[name], str) for name in ("reference", "recipient"))
        and all(isinstance(each, str) for each in index["without_entry"])
    )
    if not fits:
        raise Rejected("malformed", file=INDEX)
    return dict(index)


def _ask_entries(entries: Sequence[Entry], index: Mapping[str, Any], verdict: Verdict) -> None:
    """Each entry by itself, and all of them as one case's."""
    proven = [each for each in entries if each.state == "proven"]
    kits = {
        each.document["subject"]
        for each in proven
        if each.document["kind"] == "kit_opened" and each.document["said"].get("case") == index["case"]
    }
    subjects = kits | {index["case"]} | {each["referral"] for each in index["referrals"]}
    for each in proven:
        content = each.document["content"] or {}
        source = each.document["source"]
        of_it = each.document["tenant"] == content.get("tenant", each.document["tenant"]) == index["cell"]["id"]
        of_it = (
            of_it and each.document["subject"] in subjects and content.get("case_code", index["case"]) == index["case"]
        )
        of_it = of_it and (source is None) == (each.document["content"] is None)
        if not of_it or (source is not None and source.partition("/")[2] != content.get("id")):
            verdict.wrong.append(Said("other_case", {"position": each.position}))
        elif _is_look(each) and not index["looks"]:
            verdict.wrong.append(Said("looks_not_ordered", {"position": each.position}))
    erased = {
        each.document["said"].get("entry"): each.document["at"] for each in proven if each.document["kind"] == ERASED
    }
    verdict.proved.append(Said("entries", {"number": len(proven), "of": len(entries)}))
    verdict.wrong += [Said("without_entry", {"source": source}) for source in index["without_entry"]]
    for each in entries:
        if each.state == "changed":
            told = {"position": each.position, "kind": each.document["kind"], "source": each.document["source"] or "-"}
            verdict.wrong.append(Said("changed", told))
        elif each.state == "unreadable":
            verdict.wrong.append(Said("unreadable", {"position": each.position}))
        elif each.state == "erased":
            at = erased.get(each.leaf.hex()) or erased.get(each.position)
            waits = any(waiting["kind"] == ERASED for waiting in index["waiting"])
            if at is not None:
                verdict.proved.append(Said("erased", {"position": each.position, "at": at}))
            elif waits:
                verdict.not_proved.append(Said("erased_waits", {"position": each.position}))
            else:
                verdict.wrong.append(Said("erased_by_nobody", {"position": each.position}))


def _tell_kit(kit: Mapping[str, Any], verdict: Verdict) -> None:
    told = {"barcode": kit["barcode"], "halves": len(kit["halves"])}
    if not kit["gaps"]:
        verdict.proved.append(Said("kit" if kit["halves"] else "kit_kept", told))
    for half in kit["halves"]:
        for gap in half["gaps"]:
            at = {"barcode": kit["barcode"], "entry": half["entry"], "at": half["recorded_at"]}
            verdict.proved.append(Said(f"gap_{gap}", at))


def _tell_limits(
    index: Mapping[str, Any], entries: Sequence[Entry], tree: Tree, trusted: Keys | None, verdict: Verdict
) -> None:
    say = verdict.not_proved.append
    if trusted is None:
        say(Said("keys_of_the_bundle"))
    say(Said("cells_word", {"pdf": ", index.pdf" if index["pdf"] else ""}))
    say(Said("complete"))
    say(Said("true"))
    say(Said("times", {"at": _time(min(at for _, at, _ in tree.witnesses))}))
    say(Said("independent"))
    say(Said("before"))
    for each in index["waiting"]:
        say(Said("waiting", {"kind": each["kind"], "at": each["at"]}))
    hidden = {part for each in entries for part in (each.document.get("content") or {}).get("parts", {})}
    hidden &= {*WITHHELD_ALWAYS, "safety_reason"}
    say(Said("withheld", {"parts": ", ".join(sorted({*WITHHELD_ALWAYS, *hidden}))}))
    if not index["looks"]:
        say(Said("no_looks"))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _plain(value: Any) -> str:
    """What can be printed: no control characters, no marks that turn the direction of text, and not for ever."""
    return "".join(each if each.isprintable() else "\ufffd" for each in str(value)[:200])


WORDS: Mapping[str, tuple[str, str]] = {
    "container": (
        "Every byte is accounted for: {files} files, none changed, added or missing since {name} signed them"
        " (key {key}).",
        "ہر بائٹ کا حساب موجود ہے: {files} فائلیں؛ {name} کے دستخط (کلید {key}) کے بعد"
        " نہ کوئی بدلی، نہ بڑھی، نہ کم ہوئی۔",
    ),
    "tree": (
        "The ledger {name} held {size} entries, and signed their tree (key {key}).",
        "کھاتہ {name} میں {size} اندراجات تھے اور اس نے ان پر دستخط کیے (کلید {key})۔",
    ),
    "witness": (
        "{name} saw this very tree, and says so under its own key ({key}): no later than {at}.",
        "{name} نے یہی کھاتہ دیکھا اور اپنی کلید ({key}) سے تصدیق کی: زیادہ سے زیادہ {at} تک۔",
    ),
    "entries": (
        "{number} of {of} entries are, to the letter, what that tree commits to.",
        "{of} میں سے {number} اندراجات حرف بہ حرف وہی ہیں جن پر کھاتہ گواہ ہے۔",
    ),
    "pages": (
        "Consents, custody, report, facts, history and the table of contents say what the entries say, and no more.",
        "رضامندیاں، تحویل، رپورٹ، حقائق، تاریخ اور فہرست وہی کہتی ہیں جو اندراجات کہتے ہیں، اس کے سوا کچھ نہیں۔",
    ),
    "kit": (
        "Kit {barcode}: {halves} releases and receipts, from the cell on from holder to holder, each confirmed by its"
        " other side; no gap is on record.",
        "کٹ {barcode}: {halves} حوالگیاں اور وصولیاں، سیل سے آگے ہاتھ بہ ہاتھ، ہر ایک کی دوسری جانب سے تصدیق؛ کوئی خلا"
        " درج نہیں۔",
    ),
    "kit_kept": (
        "Kit {barcode}: never handed over, by what is here; neither a release nor a receipt is on record.",
        "کٹ {barcode}: جو یہاں ہے اس کے مطابق کبھی حوالے نہیں ہوئی؛ نہ کوئی حوالگی درج ہے نہ وصولی۔",
    ),
    "gap_release_without_receipt": (
        "GAP. Kit {barcode}: a release of {at} that nobody confirmed receiving (entry {entry}).",
        "خلا۔ کٹ {barcode}: {at} کی حوالگی جس کی وصولی کسی نے درج نہیں کی (اندراج {entry})۔",
    ),
    "gap_receipt_without_release": (
        "GAP. Kit {barcode}: a receipt of {at} that nobody recorded handing over (entry {entry}).",
        "خلا۔ کٹ {barcode}: {at} کی وصولی جس کی حوالگی کسی نے درج نہیں کی (اندراج {entry})۔",
    ),
    "gap_seal_broken": (
        "GAP. Kit {barcode}: the seal was found broken, recorded {at} (entry {entry}).",
        "خلا۔ کٹ {barcode}: مہر ٹوٹی ہوئی پائی گئی، اندراج {at} (اندراج {entry})۔",
    ),
    "gap_seal_numbers_differ": (
        "GAP. Kit {barcode}: release and receipt name different seals, recorded {at} (entry {entry}).",
        "خلا۔ کٹ {barcode}: حوالگی اور وصولی میں مہر کے نمبر مختلف ہیں، اندراج {at} (اندراج {entry})۔",
    ),
    "gap_release_recorded_late": (
        "GAP. Kit {barcode}: the release was recorded after its receipt, {at} (entry {entry}).",
        "خلا۔ کٹ {barcode}: حوالگی کا اندراج وصولی کے بعد ہوا، {at} (اندراج {entry})۔",
    ),
    "gap_released_by_no_holder": (
        "GAP. Kit {barcode}: released by somebody who had not received it, or had handed it on already, recorded {at}"
        " (entry {entry}).",
        "خلا۔ کٹ {barcode}: اس نے حوالے کی جس نے وصول نہیں کی تھی یا پہلے ہی آگے دے چکا تھا، اندراج {at}"
        " (اندراج {entry})۔",
    ),
    "gap_long_on_the_way": (
        "GAP. Kit {barcode}: more than 24 hours from release to receipt, or until the receipt was recorded, {at}"
        " (entry {entry}).",
        "خلا۔ کٹ {barcode}: حوالگی سے وصولی تک، یا وصولی کے اندراج تک، 24 گھنٹے سے زیادہ گزرے، {at} (اندراج {entry})۔",
    ),
    "erased": (
        "Entry {position} was erased on {at}: it stood in the ledger, and what it said can no longer be shown.",
        "اندراج {position} مورخہ {at} کو مٹایا گیا: وہ کھاتے میں تھا، مگر اس کا متن اب دکھایا نہیں جا سکتا۔",
    ),
    "keys_of_the_bundle": (
        "WHOSE keys these are. They came with the bundle: compare the fingerprints above with ones from another source,"
        " or give --keys.",
        "کلیدیں کس کی ہیں۔ یہ بنڈل ہی کے ساتھ آئیں: اوپر کے نشانات کسی اور ذریعے سے ملائیے، یا --keys دیجیے۔",
    ),
    "cells_word": (
        "The cell's own word, signed and not witnessed: its name, basis, reference, recipient, which referrals are of"
        " this case{pdf}.",
        "صرف سیل کا اپنا بیان، دستخط شدہ مگر بلا گواہ: اس کا نام، بنیاد، حوالہ، وصول کنندہ، اور کون سے ریفرل اس کیس کے"
        " ہیں{pdf}۔",
    ),
    "complete": (
        "That nothing was left out. What is here is as it was; what is not here cannot be seen.",
        "یہ کہ کچھ چھوڑا نہیں گیا۔ جو یہاں ہے ویسا ہی ہے جیسا تھا؛ جو نہیں ہے وہ نظر نہیں آ سکتا۔",
    ),
    "true": (
        "That what was written is true. The ledger shows that it was not changed afterwards.",
        "یہ کہ جو لکھا گیا وہ سچ ہے۔ کھاتہ صرف یہ بتاتا ہے کہ بعد میں بدلا نہیں گیا۔",
    ),
    "times": (
        "The times inside the entries: they are the recorders' own. All entries were there by {at}, says a witness.",
        "اندراجات کے اندر کے اوقات: وہ لکھنے والوں کے اپنے ہیں۔ گواہ کے مطابق سب اندراجات {at} تک موجود تھے۔",
    ),
    "independent": (
        "That the witnesses are independent. They are where different people run them; ask who does.",
        "یہ کہ گواہ آزاد ہیں۔ وہ تبھی آزاد ہیں جب انہیں مختلف لوگ چلائیں؛ معلوم کیجیے کہ کون چلاتا ہے۔",
    ),
    "before": (
        "What was before an entry first came under a cosigned checkpoint: until then the cell could rewrite it.",
        "وہ سب جو پہلی گواہی سے پہلے کا ہے: تب تک سیل اسے بدل سکتا تھا۔",
    ),
    "no_timestamps": (
        "A time by an authority (RFC 3161): there is no such time stamp in the bundle.",
        "کسی مجاز ادارے کا وقت (RFC 3161): بنڈل میں ایسی کوئی مہرِ وقت نہیں۔",
    ),
    "timestamp": (
        "{name} stamped the checkpoint (RFC 3161, certificate {key}): it was there by {at}.",
        "{name} نے چیک پوائنٹ پر مہرِ وقت لگائی (RFC 3161، سند {key}): وہ {at} تک موجود تھا۔",
    ),
    "timestamp_authority": (
        "WHOSE time stamp it is. Its certificate came with it: ask whether that authority is one to trust.",
        "مہرِ وقت کس کی ہے۔ اس کی سند اسی کے ساتھ آئی: معلوم کیجیے کہ وہ ادارہ قابلِ بھروسا ہے یا نہیں۔",
    ),
    "timestamp_false": (
        "The time stamp is not one over this checkpoint.",
        "مہرِ وقت اس چیک پوائنٹ کی نہیں۔",
    ),
    "waiting": (
        "Not yet under a cosigned checkpoint, so only named: {kind}, {at}.",
        "ابھی گواہی کے تحت نہیں، اس لیے صرف نام درج ہے: {kind}، {at}۔",
    ),
    "withheld": (
        "Parts that no bundle shows, whether there is anything in them or not: {parts}.",
        "وہ حصے جو کسی بنڈل میں نہیں دکھائے جاتے، خواہ ان میں کچھ ہو یا نہ ہو: {parts}۔",
    ),
    "no_looks": ("Who looked: that was not ordered.", "کس نے دیکھا: اس کا حکم نہیں تھا۔"),
    "erased_waits": (
        "Entry {position} is said to be erased; the entry that says so is not yet under a cosigned checkpoint.",
        "اندراج {position} کو مٹا ہوا بتایا گیا ہے؛ یہ کہنے والا اندراج ابھی گواہی کے تحت نہیں۔",
    ),
    "changed": (
        "Entry {position} ({kind}, {source}) is NOT what the ledger committed to: the record was changed after it was"
        " entered.",
        "اندراج {position} ({kind}، {source}) وہ نہیں جس پر کھاتہ گواہ ہے: اندراج کے بعد ریکارڈ بدلا گیا۔",
    ),
    "without_entry": (
        "The cell holds a record that no entry of its ledger names ({source}): it was put in, or its entry taken out.",
        "سیل میں ایک ریکارڈ ہے جس کا کھاتے میں اندراج نہیں ({source}): وہ بعد میں ڈالا گیا یا اس کا اندراج نکالا گیا۔",
    ),
    "unreadable": (
        "Entry {position} stands in the ledger, and what it was of cannot be shown: it is gone or damaged.",
        "اندراج {position} کھاتے میں ہے مگر سیل اس کا ریکارڈ نہیں دکھا سکتا: وہ غائب ہے یا خراب۔",
    ),
    "erased_by_nobody": (
        "Entry {position} is said to be erased, and no entry says who erased it.",
        "اندراج {position} کو مٹا ہوا بتایا گیا ہے، مگر کوئی اندراج نہیں بتاتا کہ کب مٹایا گیا۔",
    ),
    "other_case": (
        "Entry {position} is not of this case or not of this cell.",
        "اندراج {position} اس کیس یا اس سیل کا نہیں۔",
    ),
    "looks_not_ordered": (
        "Entry {position} shows who looked, which was not ordered.",
        "اندراج {position} بتاتا ہے کہ کس نے دیکھا، جس کا حکم نہیں تھا۔",
    ),
    "page": ("{file} does not say what the entries say.", "{file} وہ نہیں کہتی جو اندراجات کہتے ہیں۔"),
    "not_a_bundle": (
        "The file is not a bundle in its one form: a byte was changed, added or lost.",
        "یہ فائل بنڈل کی درست صورت میں نہیں: کوئی بائٹ بدلا، بڑھا یا کم ہوا۔",
    ),
    "files": ("A file is missing, or one too many is there.", "کوئی فائل کم ہے یا زیادہ۔"),
    "format": (
        "The bundle is of a format that this verifier does not know.",
        "یہ تصدیق کار اس قسم کے بنڈل سے واقف نہیں۔",
    ),
    "malformed": ("{file} is not in its one form.", "{file} اپنی درست صورت میں نہیں۔"),
    "manifest": (
        "The files are not those that the manifest lists.",
        "فائلیں وہ نہیں جو فہرستِ مشمولات میں درج ہیں۔",
    ),
    "manifest_note": (
        "What was signed is not this manifest.",
        "جس پر دستخط ہوئے وہ یہ فہرست نہیں۔",
    ),
    "signature": ("A signature in the name of {name} is not its key's.", "{name} کے نام کے دستخط اس کی کلید کے نہیں۔"),
    "checkpoint": ("The checkpoint is not one of the cell's ledger.", "چیک پوائنٹ سیل کے کھاتے کا نہیں۔"),
    "cosignatures": (
        "No other service's cosignature stands under the checkpoint, or one is not in order.",
        "چیک پوائنٹ پر کسی دوسرے ادارے کی گواہی نہیں، یا کوئی گواہی درست نہیں۔",
    ),
    "other_keys": (
        "The bundle's keys are not among those that you gave.",
        "بنڈل کی کلیدیں آپ کی دی ہوئی کلیدوں میں نہیں۔",
    ),
    "not_in_tree": (
        "Entry {position} does not stand in the tree that was signed.",
        "اندراج {position} اس کھاتے میں نہیں جس پر دستخط ہوئے۔",
    ),
    "part": (
        "Entry {position} shows a part that is not what was committed to.",
        "اندراج {position} کا ایک حصہ وہ نہیں جس پر کھاتہ گواہ ہے۔",
    ),
    "withheld_is_shown": (
        "{file} shows a part that no bundle may show.",
        "{file} میں وہ حصہ ہے جو کسی بنڈل میں نہیں ہونا چاہیے۔",
    ),
}
"""Every sentence of a verdict, in English and Urdu."""
_HEADS = {
    "proven": ("PROVEN. What is listed first is proven; what is listed second is not.",
               "ثابت۔ پہلے جو درج ہے وہ ثابت ہے؛ بعد میں جو درج ہے وہ ثابت نہیں۔"),
    "rejected": ("REJECTED. This bundle must not be relied on.", "مسترد۔ اس بنڈل پر بھروسا نہ کیجیے۔"),
    "wrong": ("Why it is rejected:", "مسترد ہونے کی وجہ:"),
    "proved": ("What was proven:", "کیا ثابت ہوا:"),
    "not_proved": ("What was not proven, or no bundle can prove:", "کیا ثابت نہیں ہوا، یا بنڈل ثابت نہیں کر سکتا:"),
}  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


def report(verdict: Verdict, language: str = "en") -> str:
    """The verdict in plain words."""
    head = {name: texts[language == "ur"] for name, texts in _HEADS.items()}
    lines = [head["proven" if verdict.proven else "rejected"]]
    for name in ("wrong", "proved", "not_proved") if verdict.through else ("wrong",):
        said: list[Said] = getattr(verdict, name)
        if said:
            lines += ["", head[name], *(f"  - {each.words(language)}" for each in said)]
    return "\n".join(lines) + "\n"


def as_json(verdict: Verdict) -> str:
    """The verdict for a program: each sentence by its code, with what fills it."""
    lists = {name: [{"code": each.code, **each.told} for each in getattr(verdict, name)]
             for name in ("wrong", "proved", "not_proved")}  # fmt: skip
    return json.dumps({"proven": verdict.proven, **lists}, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="verify", description="Verifies a court bundle of Amanat, offline.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--keys", type=Path, help="a directory file, or keys.json, had from another source")
    parser.add_argument("--lang", choices=("en", "ur"), default="en")
    parser.add_argument("--json", action="store_true", help="codes instead of words")
    asked = parser.parse_args(arguments)
    try:
        data = _read(asked.bundle)
        trusted = None if asked.keys is None else Keys.read("--keys", _read(asked.keys), spelt_once=False)
    except OSError as error:
        sys.stderr.write(f"verify: {error.strerror or 'the file cannot be read'}\n")
        return 2
    except Rejected:
        sys.stderr.write("verify: the file given by --keys holds no keys\n")
        return 2
    verdict = verify(data, trusted)
    text = as_json(verdict) if asked.json else report(verdict, asked.lang)
    sys.stdout.buffer.write(text.encode())
    return 0 if verdict.proven else 1


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 65)


if __name__ == "__main__":
    sys.exit(main())
