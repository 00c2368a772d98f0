"""The key-encryption key: a pair per generation, whose private half the gate alone holds.

`main` makes one secret per request, seals it once to the current public half and wraps the request's data keys under
it: it can seal and destroy, never lease. Providers: RSA-3072 files on one machine (here), an RSA key of an OpenBao or
HashiCorp Vault transit engine in production. Both halves' protocols are cut to what transit can do, call by call.

Destroying a generation makes irrecoverable what was wrapped under it, also in backups, *if* no secret outlives it.
So rewrapping moves live keys under a **fresh** secret and never reseals an old one: an old backup's wrap of a withdrawn
key would open under a secret that was carried along for its still living neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amanat.kek_files import erase, numbered, publish
from amanat.sealing import KEY_BYTES, NONCE_BYTES, TAG_BYTES, DataKey, Randomness, Unopenable

RSA_BITS = 3072
PUBLIC_HALF = "generation-{}.public.pem"
PRIVATE_HALF = "generation-{}.private.pem"


class NoGeneration(Exception):
    """There is no key-encryption key to seal to: nothing was created yet, or this half of it is not here."""


class GenerationInUse(Exception):
    """The current generation, or one with an older one still alive, is not destroyed."""


class KekPublic(Protocol):
    """What `main` holds. It cannot open anything."""

    def current(self) -> int:
        """The generation to seal to now. Raises NoGeneration.

        Transit: `latest_version` of `GET transit/keys/:name` (policy: read on that path alone), cached for seconds.
        """

    def seal(self, generation: int, secret: bytes) -> bytes:
        """RSA-OAEP with SHA-256 (also in MGF1) and no label; raises NoGeneration.

        Transit: done here, offline, with `keys[generation].public_key` of the same read. Transit opens the same
        padding; it takes no label, which is why none is used.
        """


class KekPrivate(Protocol):
    """What the gate holds."""

    def generations(self) -> list[int]:
        """Those alive, ascending.

        Transit: `min_decryption_version … latest_version` of `GET transit/keys/:name`.
        """

    def unseal(self, generation: int, sealed: Sequence[bytes]) -> list[bytes]:
        """The secrets, in the order given. Raises Unopenable if one of them does not open: no partial answer.

        Transit: one `POST transit/decrypt/:name` with `batch_input: [{"ciphertext": "vault:v<generation>:<base64>"}]`;
        each of `batch_results` holds `plaintext` (base64) or `error`.
        """

    def create(self) -> int:
        """A new generation, from now on the current one; its number.

        Transit: `POST transit/keys/:name/rotate`, then `latest_version` of `GET transit/keys/:name`.
        """

    def destroy(self, generation: int) -> None:
        """Makes `generation` irrecoverable; already destroyed is no error. Raises GenerationInUse.

        Oldest first and never the current one, because transit can only cut its key ring from the old end:
        `POST transit/keys/:name/config {"min_decryption_version": generation + 1, "min_encryption_version":
        generation + 1}`, then `POST transit/keys/:name/trim {"min_available_version": generation + 1}`.

        The caller waits between `create` and its last rewrap for longer than `main`'s longest transaction: a request
        that began before `create` commits a secret sealed to the generation before.
        """


def _oaep() -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class FileKekPublic:
    """`generation-<n>.public.pem` in one directory, read anew each time: `main` sees a new generation at once."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)
        self._loaded: dict[int, rsa.RSAPublicKey] = {}

    def current(self) -> int:
        generations = numbered(self._directory, PUBLIC_HALF)
        if not generations:
            raise NoGeneration("no key-encryption key in the public directory")
        return generations[-1]

    def seal(self, generation: int, secret: bytes) -> bytes:
        key = self._loaded.get(generation)
        if key is None:
            key = self._loaded[generation] = self._load(generation)
        return key.encrypt(secret, _oaep())

    def _load(self, generation: int) -> rsa.RSAPublicKey:
        try:
            text = (self._directory / PUBLIC_HALF.format(generation)).read_bytes()
        except FileNotFoundError:
            raise NoGeneration("this generation's public half is not here") from None
        key = serialization.load_pem_public_key(text)
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < RSA_BITS:
            raise NoGeneration("this generation's public half is no RSA key of 3072 bits or more")
        return key


class FileKekPrivate:
    """`generation-<n>.private.pem` (mode 0600) beside the public directory that `main` reads.

    Erasing overwrites and unlinks, which a copy-on-write disk or a backup of this directory defeats: keep the private
    directory out of backups, on an encrypted or memory file system. A transit engine is the answer in production.
    """

    def __init__(self, public_dir: str | Path, private_dir: str | Path) -> None:
        self._public = Path(public_dir)
        self._private = Path(private_dir)
        self._loaded: dict[int, rsa.RSAPrivateKey] = {}

    def __repr__(self) -> str:
        return f"FileKekPrivate(generations={self.generations()})"

    def generations(self) -> list[int]:
        return numbered(self._private, PRIVATE_HALF)

    def unseal(self, generation: int, sealed: Sequence[bytes]) -> list[bytes]:
        key = self._load(generation)
        try:
            return [key.decrypt(each, _oaep()) for each in sealed]
        except ValueError:
            raise Unopenable("a sealed secret does not open under its generation") from None

    def create(self) -> int:
        # Numbers never come again: the newest generation is never destroyed, so the next is above all that ever were.
        seen = self.generations() + numbered(self._public, PUBLIC_HALF)
        generation = max(seen, default=0) + 1
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        # The private half is on disk before anybody can seal to the public one: a crash between loses nothing.
        publish(self._private / PRIVATE_HALF.format(generation), private, mode=0o600)
        publish(self._public / PUBLIC_HALF.format(generation), public, mode=0o644)
        return generation

    def destroy(self, generation: int) -> None:
        alive = self.generations()
        if generation not in alive:
            (self._public / PUBLIC_HALF.format(generation)).unlink(missing_ok=True)
            return
        # A crash in `create` may have left a newer private half without a public one: then the current one is older.
        current = numbered(self._public, PUBLIC_HALF)[-1:]
        if generation != alive[0] or generation == alive[-1] or [generation] == current:
            raise GenerationInUse("only the oldest generation is destroyed, and never the current one")
        # Nobody may seal to it any more before it is gone.
        (self._public / PUBLIC_HALF.format(generation)).unlink(missing_ok=True)
        self._loaded.pop(generation, None)
        erase(self._private / PRIVATE_HALF.format(generation))

    def _load(self, generation: int) -> rsa.RSAPrivateKey:
        path = self._private / PRIVATE_HALF.format(generation)
        if not path.exists():
            # Another process destroyed it: what this one still has in memory is not to open anything either.
            self._loaded.pop(generation, None)
            raise Unopenable("this generation is destroyed or was never here")
        key = self._loaded.get(generation)
        if key is None:
            loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(loaded, rsa.RSAPrivateKey):
                raise Unopenable("this generation's private half is no RSA key")
            key = self._loaded[generation] = loaded
        return key


class RequestSecret:
    """One request's secret: its data keys are wrapped under it, and it is sealed once to the current generation.

    Stored: `secret_id`, `generation` and `sealed` in one row, each wrap with its key. The secret itself lives as long
    as the request. The gate, when it rewraps, makes one of these for all the live keys of a batch.
    """

    def __init__(self, *, secret_id: UUID, generation: int, sealed: bytes, secret: bytes, randomness: Randomness):
        self.secret_id = secret_id
        self.generation = generation
        self.sealed = sealed
        self._cipher = AESGCM(secret)
        self._randomness = randomness

    @classmethod
    def new(cls, kek_public: KekPublic, randomness: Randomness) -> RequestSecret:
        """Seals 32 fresh bytes to the current generation. Raises NoGeneration."""
        generation = kek_public.current()
        secret = randomness(KEY_BYTES)
        return cls(
            secret_id=UUID(bytes=randomness(16), version=4),
            generation=generation,
            sealed=kek_public.seal(generation, secret),
            secret=secret,
            randomness=randomness,
        )

    def __repr__(self) -> str:
        return f"RequestSecret(secret_id={self.secret_id}, generation={self.generation})"

    def wrap(self, key: DataKey) -> bytes:
        """nonce (12) ‖ AES-256-GCM of the key (32) ‖ tag (16), bound to the key's id: a wrap moved to another row
        does not open."""
        nonce = self._randomness(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key.key, key.key_id.bytes)


def unwrap(secret: bytes, key_id: UUID, wrapped: bytes) -> bytes:
    """The 32 bytes of a data key from its wrap. Raises Unopenable."""
    if len(secret) != KEY_BYTES or len(wrapped) != NONCE_BYTES + KEY_BYTES + TAG_BYTES:
        raise Unopenable("a wrapped key does not open")
    try:
        return AESGCM(secret).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.bytes)
    except InvalidTag:
        raise Unopenable("a wrapped key does not open") from None
