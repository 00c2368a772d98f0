"""Tokens that an attacker makes from a right one and the issuer's public key, which everybody has."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from ..refusing import CANARY


@dataclass(frozen=True)
class Known:
    """What an attacker holds: a right token, which is somebody's, and the issuer's public key as a JWK."""

    token: str
    issuer_key: dict[str, Any]

    @property
    def header(self) -> dict[str, Any]:
        return parts(self.token)[0]

    @property
    def claims(self) -> dict[str, Any]:
        return parts(self.token)[1]


Forge = Callable[[Known], str]


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims, unverified."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))  # type: ignore[return-value]


def unpadded(value: dict[str, Any] | bytes) -> str:
    """Base64url without padding, of JSON or of bytes."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def other_key(known: Known) -> str:
    return _signed_by_me(known, kid=known.header["kid"])


def unknown_key(known: Known) -> str:
    return _signed_by_me(known, kid=CANARY)


def no_key_named(known: Known) -> str:
    return _signed_by_me(known)


def key_of_its_own(known: Known) -> str:
    key = _key()
    return _signed_by_me(known, key=key, kid=known.header["kid"], jwk=key.as_dict(private=False))


def key_to_be_fetched(known: Known) -> str:
    return _signed_by_me(
        known, kid=known.header["kid"], jku="https://127.0.0.1:9/keys", x5u="https://127.0.0.1:9/chain"
    )


def key_from_a_file(known: Known) -> str:
    return _signed_by_me(known, kid="../../../../dev/null")


def without_signature(known: Known) -> str:
    return f"{unpadded(known.header | {'alg': 'none'})}.{unpadded(known.claims)}."


def without_signature_in_capitals(known: Known) -> str:
    return f"{unpadded(known.header | {'alg': 'NONE'})}.{unpadded(known.claims)}."


def public_key_as_a_secret(known: Known) -> str:
    pem = ECKey.import_key(known.issuer_key).as_pem(private=False)
    header = {"alg": "HS256", "kid": known.header["kid"], "typ": "JWT"}
    signing_input = f"{unpadded(header)}.{unpadded(known.claims)}"
    return f"{signing_input}.{unpadded(hmac.digest(pem, signing_input.encode(), 'sha256'))}"


def signature_of_zeros(known: Known) -> str:
    return f"{known.token.rpartition('.')[0]}.{unpadded(bytes(64))}"


def signature_cut_short(known: Known) -> str:
    return known.token[:-8]


def signature_doubled(known: Known) -> str:
    signed, _, signature = known.token.rpartition(".")
    return f"{signed}.{signature}{signature}"


def claims_changed(known: Known) -> str:
    header, _, signature = known.token.split(".")
    return f"{header}.{unpadded(known.claims | {'organisation': CANARY})}.{signature}"


def header_changed(known: Known) -> str:
    _, claims, signature = known.token.split(".")
    return f"{unpadded(known.header | {'typ': CANARY})}.{claims}.{signature}"


def something_critical(known: Known) -> str:
    return _signed_by_me(known, kid=known.header["kid"], crit=["exp"], exp=1)


def five_parts(known: Known) -> str:
    return f"{known.token}.{CANARY}.{CANARY}"


def two_tokens(known: Known) -> str:
    return f"{known.token},{known.token}"


def json_of_a_signature(known: Known) -> str:
    protected, payload, signature = known.token.split(".")
    return unpadded({"protected": protected, "payload": payload, "signature": signature})


def very_long(known: Known) -> str:
    return f"{unpadded(known.header | {'x': 'y' * 20_000})}.{unpadded(known.claims)}.{unpadded(bytes(64))}"


def no_token(known: Known) -> str:
    return f"{CANARY}.{CANARY}.{CANARY}"


FORGERIES: tuple[Forge, ...] = (
    other_key, unknown_key, no_key_named, key_of_its_own, key_to_be_fetched, key_from_a_file, without_signature,
    without_signature_in_capitals, public_key_as_a_secret, signature_of_zeros, signature_cut_short, signature_doubled,
    claims_changed, header_changed, something_critical, five_parts, two_tokens, json_of_a_signature, very_long,
    no_token,
)  # fmt: skip


def _key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"})


def _signed_by_me(known: Known, *, key: ECKey | None = None, **header: Any) -> str:
    mine = key or _key()
    signing_input = f"{unpadded({'alg': 'ES256', 'typ': 'JWT'} | header)}.{unpadded(known.claims)}"
    # ES256 by hand (RFC 7518, 3.4), since a library refuses to write a strange header.
    r, s = decode_dss_signature(mine.private_key.sign(signing_input.encode(), ECDSA(SHA256())))
    return f"{signing_input}.{unpadded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
