"""The keys of one stack, made once per folder and found again by a restart. Private files are 0600, folders 0700.

keys/clients/<client>.json   private JWK, ES256, for private_key_jwt
keys/signing/<agency>.pem    Ed25519, PKCS8: signs the agency's facts
keys/ledger/<service>.pem    Ed25519, PKCS8: signs the service's checkpoints, and cosigns the others'
keys/bundles.pem             Ed25519, PKCS8: signs the cells' court bundles
keys/facts/<id>.key          X25519 raw private key in base64: opens facts, read by the gate alone
keys/at-rest/<service>.key   base64 of 32 bytes        keys/index/<service>.key   the same
keys/claim-pepper.key        the same, for the hashes of survivors' PINs
kek/public, kek/private      the key-encryption key by generation, RSA-3072
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc.jwk import ECKey

from amanat_local import directory
from amanat_local.broker import AGENCIES, SERVICES
from amanat_local.kept import private_folder

KEY_ID = "1"


@dataclass(frozen=True)
class Keys:
    folder: Path

    @classmethod
    def make(cls, folder: Path, clients: Iterable[str]) -> Keys:
        """Makes what is missing, and the directory file with the public halves."""
        keys = cls(folder)
        for client in clients:
            _once(keys.client(client), _client_key)
        for service in SERVICES:
            _once(keys.at_rest(service), _secret)
            _once(keys.index(service), _secret)
            _once(keys.ledger(service), _signing_key)
        for agency in AGENCIES:
            _once(keys.signing(agency), _signing_key)
        _once(keys.claim_pepper, _secret)
        _once(keys.bundles, _signing_key)
        _once(keys.facts_dir / f"{KEY_ID}.key", _facts_key)
        keys._first_generation()
        directory.write(
            keys.directory_file,
            signing_keys={agency: {KEY_ID: _public_of_signing(keys.signing(agency))} for agency in AGENCIES},
            facts_keys={KEY_ID: _public_of_facts(keys.facts_dir / f"{KEY_ID}.key")},
            ledger_keys={service: {KEY_ID: _public_of_signing(keys.ledger(service))} for service in SERVICES},
            bundle_keys={KEY_ID: _public_of_signing(keys.bundles)},
        )
        return keys

    @property
    def directory_file(self) -> Path:
        return self.folder / "directory.json"

    @property
    def facts_dir(self) -> Path:
        return self.folder / "keys" / "facts"

    @property
    def claim_pepper(self) -> Path:
        return self.folder / "keys" / "claim-pepper.key"

    @property
    def bundles(self) -> Path:
        return self.folder / "keys" / "bundles.pem"

    @property
    def kek_public(self) -> Path:
        return self.folder / "kek" / "public"

    @property
    def kek_private(self) -> Path:
        return self.folder / "kek" / "private"

    def client(self, name: str) -> Path:
        return self.folder / "keys" / "clients" / f"{name}.json"

    def signing(self, agency: str) -> Path:
        return self.folder / "keys" / "signing" / f"{agency}.pem"

    def ledger(self, service: str) -> Path:
        return self.folder / "keys" / "ledger" / f"{service}.pem"

    def at_rest(self, service: str) -> Path:
        return self.folder / "keys" / "at-rest" / f"{service}.key"

    def index(self, service: str) -> Path:
        return self.folder / "keys" / "index" / f"{service}.key"

    def public_jwk(self, client: str) -> dict[str, Any]:
        return dict(ECKey.import_key(json.loads(self.client(client).read_text())).as_dict(private=False))

    def _first_generation(self) -> None:
        if self.kek_public.is_dir() and any(self.kek_public.iterdir()):
            return  # later generations are the gate's to make and destroy
        pair = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        _once(self.kek_private / "generation-1.private.pem", lambda: _pkcs8(pair))
        public = self.kek_public / "generation-1.public.pem"
        _once(
            public,
            lambda: pair.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
        )


def _once(path: Path, make: Callable[[], bytes]) -> None:
    if path.exists():
        return
    pending = private_folder(path.parent) / f".{path.name}.pending"
    with os.fdopen(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(make())
    pending.rename(path)


def _secret() -> bytes:
    return base64.b64encode(os.urandom(32)) + b"\n"


def _client_key() -> bytes:
    key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": "ES256"}, auto_kid=True)
    return json.dumps(key.as_dict(private=True)).encode()


def _pkcs8(key: rsa.RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _signing_key() -> bytes:
    return _pkcs8(Ed25519PrivateKey.generate())


def _facts_key() -> bytes:
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()) + b"\n"


def _public_of_signing(path: Path) -> str:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} holds no Ed25519 key")
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _public_of_facts(path: Path) -> str:
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(path.read_bytes()))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
