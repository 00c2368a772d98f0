"""Sealing what crosses towards an agency: AES-256-GCM under one data key per referral × category × epoch.

Source of the rule: DESIGN, "Sealing, leases, withdrawal". A copy that lies in Kafka, in an agency's database or in its
backups opens only with the key that the gate leases; where that key is deleted, the copy is noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amanat import canonical

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

Randomness = Callable[[int], bytes]
"""n → n unpredictable bytes: `os.urandom` outside tests."""


class Unopenable(Exception):
    """Sealed bytes that this key and these associated data do not open.

    Says nothing of why, and carries neither bytes nor key: whether the key, the place or the content is wrong
    is nobody's business but the operator's, who sees where it was raised.
    """


@dataclass(frozen=True)
class DataKey:
    """One referral × category × epoch's key: 32 bytes that no repr shows."""

    key_id: UUID
    key: bytes = field(repr=False)


def mint(randomness: Randomness) -> DataKey:
    """A fresh data key with an id of its own (a version 4 UUID, so that it says nothing of when or for whom)."""
    return DataKey(key_id=UUID(bytes=randomness(16), version=4), key=randomness(KEY_BYTES))


def associated_data(*, referral: str, category: str, event_id: UUID, contract: str, key_id: UUID, epoch: int) -> bytes:
    """What a sealed disclosure is bound to, as canonical JSON (RFC 8785).

    Each part stands also in clear on the event; who changes one there makes the content unopenable. `contract` is the
    plaintext's contract name and version (`disclosed-records/1`), so that a later reader cannot take it for another.
    """
    return canonical.dumps(
        {
            "category": str(category),
            "contract": contract,
            "epoch": epoch,
            "event": str(event_id),
            "key": str(key_id),
            "referral": referral,
        }
    )


def seal(key: DataKey, plaintext: bytes, aad: bytes, randomness: Randomness) -> bytes:
    """nonce (12) ‖ ciphertext ‖ tag (16).

    The nonce is random: a data key seals one category of one referral, thousands of messages at most, far below the
    2³² after which NIST SP 800-38D forbids random nonces.
    """
    nonce = randomness(NONCE_BYTES)
    return nonce + AESGCM(key.key).encrypt(nonce, plaintext, aad)


def open_sealed(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext of `seal`. Raises Unopenable for any other key, any changed byte, any other associated data."""
    if len(key) != KEY_BYTES or len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise Unopenable("sealed content does not open")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except InvalidTag:
        raise Unopenable("sealed content does not open") from None
