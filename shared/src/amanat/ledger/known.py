"""The ledgers that a service knows: whose they are, and which keys sign for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from amanat.directory import Directory
from amanat.notes import BadSignature, Checkpoint, MalformedNote, NoteVerifier


@dataclass(frozen=True)
class Ledgers:
    """The ledgers that are known: each service's, with the keys of its notes, the current one first."""

    verifiers: Mapping[str, Sequence[NoteVerifier]]

    @classmethod
    def of(cls, directory: Directory) -> Ledgers:
        """Every ledger of the directory, by service."""
        return cls(
            {
                service: [
                    NoteVerifier(Ed25519PublicKey.from_public_bytes(key.public_key), entry.origin) for key in entry.keys
                ]
                for service, entry in directory.ledgers.items()
            }
        )

    def origin(self, service: str) -> str | None:
        """The name of a service's ledger."""
        found = self.verifiers.get(service)
        return found[0].name if found else None

    def service(self, origin: str) -> str:
        """Whose ledger that is. Raises MalformedNote for one that the directory does not name."""
        for service in self.verifiers:
            if self.origin(service) == origin:
                return service
        raise MalformedNote("a ledger that is not known")

    def checkpoint(self, service: str, note: str) -> Checkpoint:
        """A note of that service's own ledger, verified. Raises MalformedNote, BadSignature."""
        for verifier in self.verifiers.get(service, ()):
            try:
                checkpoint = verifier.checkpoint(note)
            except BadSignature:
                continue
            if checkpoint.origin != verifier.name:
                raise MalformedNote("a checkpoint of another ledger")
            return checkpoint
        raise BadSignature("no key of this service")

    def cosignature(self, service: str, checkpoint: Checkpoint, line: str) -> datetime:
        """When that service cosigned. Raises MalformedNote, BadSignature."""
        for verifier in self.verifiers.get(service, ()):
            try:
                return verifier.cosignature(checkpoint, line)
            except BadSignature:
                continue
        raise BadSignature("no key of this service")
