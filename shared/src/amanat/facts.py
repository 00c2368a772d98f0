"""Facts towards the gate: signed by the agency, then sealed with HPKE (RFC 9180) to the gate's public key.

Source of the rule: DESIGN, "Sealing, leases, withdrawal", *Towards the gate*. An agency can report while the gate is
away, and cannot read back what it sealed. The suite is DHKEM(X25519), HKDF-SHA256, AES-256-GCM in base mode; the
CloudEvents attributes are HPKE's `info`, and the Ed25519 signature inside covers them together with the content. So
neither the broker nor another agency can move a fact to another referral, type, id or time.

Inside the seal: signature (64) ‖ the fact's JSON.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import ValidationError

from amanat import canonical
from amanat.categories import Agency
from amanat.contracts import FACTS, Fact, SealedFact
from amanat.directory import Directory

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
SIGNATURE_BYTES = 64
_AGENCIES = frozenset(agency.value for agency in Agency)
_LABEL = b"amanat/fact/1\0"


class BadFact(Exception):
    """A fact that the gate must not believe: not sealed to it, not signed by that agency, or not as its attributes
    say. Carries none of it."""


class StaleFact(Exception):
    """A fact signed longer ago than the inbox remembers: late, or taken down by who runs the broker and sent again.
    Only people can tell which."""


class BadSigningKey(ValueError):
    """This agency's signing key, or the gate's facts key, is not usable as the directory lists it."""


class FactSealer:
    """An agency's side: signs and seals within the request's transaction, needing nobody's answer."""

    def __init__(self, agency: str, signing_key: Ed25519PrivateKey, directory: Directory) -> None:
        """Raises BadSigningKey if the directory lists no such key of this agency, or no facts key of the gate."""
        self._agency = Agency(agency)
        self._signing_key = signing_key
        self._signing_key_id = _listed_id(self._agency, signing_key, directory)
        current = directory.facts_key()
        if current is None:
            raise BadSigningKey("the directory lists no facts key of the gate")
        self._gate_key_id = current.id
        self._gate_key = X25519PublicKey.from_public_bytes(current.public_key)

    @classmethod
    def from_files(cls, agency: str, signing_key_file: str | Path, directory: Directory | str | Path) -> FactSealer:
        """`signing_key_file`: Ed25519, PKCS8 PEM, unencrypted. `directory`: as loaded, or its path."""
        try:
            key = serialization.load_pem_private_key(Path(signing_key_file).read_bytes(), password=None)
        except ValueError:
            raise BadSigningKey("the signing key file is no PEM") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadSigningKey("the signing key is no Ed25519 key")
        return cls(agency, key, directory if isinstance(directory, Directory) else Directory.load(directory))

    def __repr__(self) -> str:
        return f"FactSealer(agency={self._agency.value!r}, signing_key_id={self._signing_key_id!r})"

    def seal(self, fact: Fact, *, event_id: UUID, type: str, referral: str, time: datetime) -> SealedFact:
        """The fact's form on the wire; the four attributes are those of the CloudEvent that will carry it, to the
        microsecond. Raises ValueError if they contradict the fact, or if `time` has no zone."""
        if fact.type != type or fact.referral != referral:
            raise ValueError("the event's type and referral are the fact's own")
        attributes = _attributes(
            agency=self._agency,
            event_id=event_id,
            type=type,
            referral=referral,
            time=time,
            key_id=self._gate_key_id,
            signing_key_id=self._signing_key_id,
        )
        content = fact.body()
        signature = self._signing_key.sign(_signed(attributes, content))
        return SealedFact.carrying(type)(
            referral=referral,
            key_id=self._gate_key_id,
            signing_key_id=self._signing_key_id,
            sealed=SUITE.encrypt(signature + content, self._gate_key, info=attributes),
        )


class FactOpener:
    """The gate's side. Holds every private facts key it ever published: an old one outlives all outboxes."""

    def __init__(self, keys: Mapping[str, X25519PrivateKey], directory: Directory) -> None:
        self._keys = dict(keys)
        self._directory = directory

    @classmethod
    def from_dir(cls, facts_key_dir: str | Path, directory: Directory | str | Path) -> FactOpener:
        """`<key id>.key` files: base64 of the raw X25519 private key. Raises BadSigningKey if one is not, or if a key
        that the directory lists is missing here: facts sealed to it would be lost."""
        keys = {path.name.removesuffix(".key"): _x25519(path) for path in sorted(Path(facts_key_dir).glob("*.key"))}
        listed = directory if isinstance(directory, Directory) else Directory.load(directory)
        for each in listed.gate.facts_keys:
            here = keys.get(each.id)
            if here is None or here.public_key().public_bytes_raw() != each.public_key:
                raise BadSigningKey("a facts key that the directory lists is not in the gate's directory of keys")
        return cls(keys, listed)

    def __repr__(self) -> str:
        return f"FactOpener(key_ids={list(self._keys)})"

    def open(
        self, agency: str, sealed: SealedFact, *, event_id: UUID, type: str, referral: str, time: datetime
    ) -> Fact:
        """The fact, checked to be `agency`'s (the topic's, never the message's word) and of exactly these attributes.

        Raises BadFact, always with a constant text.
        """
        publisher = Agency(agency) if agency in _AGENCIES else None
        contract = FACTS.get(type)
        if publisher is None or contract is None or publisher not in contract.publishers:
            raise BadFact("an unknown type, or one that is not this agency's to report")
        private = self._keys.get(sealed.key_id)
        public = self._directory.signing_key(publisher, sealed.signing_key_id)
        if private is None or public is None:
            raise BadFact("sealed or signed with a key that is not known here")
        try:
            attributes = _attributes(
                agency=publisher,
                event_id=event_id,
                type=type,
                referral=referral,
                time=time,
                key_id=sealed.key_id,
                signing_key_id=sealed.signing_key_id,
            )
            inside = SUITE.decrypt(sealed.sealed, private, info=attributes)
            signature, content = inside[:SIGNATURE_BYTES], inside[SIGNATURE_BYTES:]
            Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed(attributes, content))
        except (InvalidTag, InvalidSignature, ValueError):
            raise BadFact("a fact that does not open, or is not signed by this agency") from None
        try:
            fact = contract.parse(content)
        except ValidationError:
            raise BadFact("a signed fact that is not of its contract") from None
        if fact.referral != referral or sealed.referral != referral:
            raise BadFact("a fact on another referral than its event's")
        return fact


def _attributes(
    *, agency: str, event_id: UUID, type: str, referral: str, time: datetime, key_id: str, signing_key_id: str
) -> bytes:
    if time.tzinfo is None:
        raise ValueError("an event's time has a zone")
    return canonical.dumps(
        {
            "agency": str(agency),
            "id": str(event_id),
            "key": key_id,
            "referral": referral,
            "signing_key": signing_key_id,
            "time": time.astimezone(UTC).isoformat(timespec="microseconds"),
            "type": type,
        }
    )


def _signed(attributes: bytes, content: bytes) -> bytes:
    # The length first: no byte can move from the attributes into the content under the same signature.
    return _LABEL + len(attributes).to_bytes(4, "big") + attributes + content


def _listed_id(agency: Agency, key: Ed25519PrivateKey, directory: Directory) -> str:
    public = key.public_key().public_bytes_raw()
    entry = directory.agencies.get(agency)
    for listed in entry.signing_keys if entry is not None else ():
        if listed.public_key == public:
            return listed.id
    raise BadSigningKey("the directory does not list this signing key for this agency")


def _x25519(path: Path) -> X25519PrivateKey:
    try:
        return X25519PrivateKey.from_private_bytes(base64.b64decode(path.read_bytes().strip(), validate=True))
    except (binascii.Error, ValueError):
        raise BadSigningKey("a facts key file is not the base64 of a raw X25519 key") from None
