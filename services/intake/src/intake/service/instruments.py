"""What use cases need besides a session: keys, directory, rules, randomness. Passed in, never reached for."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from amanat.at_rest import AtRest, BlindIndex, Macs
from amanat.categories import Agency, Category
from amanat.clocks import ClockRules
from amanat.consent import AgeRules
from amanat.directory import Directory
from amanat.kek import KekPublic, RequestSecret
from amanat.looks import Look, look
from amanat.notes import NoteSigner
from amanat.principal import Principal
from intake.service.setting import Minter
from intake.settings import CellSettings


class NoBundleKey(ValueError):
    """The bundle key's file is no Ed25519 key, or not one that the directory names. Names no secret."""


@dataclass(frozen=True)
class Instruments:
    """Made once per process by `main` or `gate`."""

    at_rest: AtRest
    index: BlindIndex
    macs: Macs
    directory: Directory
    kek: KekPublic
    age_rules: AgeRules
    clock_rules: ClockRules
    randomness: Callable[[int], bytes]
    lease_seconds: float
    emergency_lasts: timedelta
    disclosure_at_most: timedelta
    disclosure_waits: timedelta
    bundle_signer: NoteSigner | None = None
    """Signs court bundles: `main` alone has it."""
    timestamp_url: str = ""

    @classmethod
    def from_settings(cls, settings: CellSettings, kek: KekPublic, randomness: Callable[[int], bytes]) -> "Instruments":
        """Reads keys and rules from the files that the settings name; raises what a missing file raises, and
        NoBundleKey."""
        directory = Directory.load(settings.directory_file)
        return cls(
            at_rest=AtRest.from_file(settings.at_rest_key_file),
            index=BlindIndex.from_file(settings.index_key_file),
            macs=Macs.from_file(settings.index_key_file),
            directory=directory,
            kek=kek,
            age_rules=AgeRules.load(settings.province),
            clock_rules=ClockRules.load(settings.province),
            randomness=randomness,
            lease_seconds=settings.lease_seconds,
            emergency_lasts=timedelta(minutes=settings.emergency_minutes),
            disclosure_at_most=timedelta(days=settings.disclosure_days_at_most),
            disclosure_waits=timedelta(days=settings.disclosure_asked_days),
            bundle_signer=_bundle_signer(settings.bundle_key_file, directory),
            timestamp_url=settings.timestamp_url,
        )

    def new_id(self) -> UUID:
        """A random UUID."""
        return UUID(bytes=self.randomness(16), version=4)

    def minter(self) -> Minter:
        """For one request: the secret is made, and sealed, only when a key is minted."""
        return Minter(lambda: RequestSecret.new(self.kek, self.randomness), self.randomness)

    def look(
        self,
        principal: Principal,
        *,
        tenant: str,
        code: str,
        purpose: str,
        categories: Collection[Category],
        at: datetime,
        refused: bytes | None = None,
        look_id: UUID | None = None,
    ) -> Look:
        """A look at a case on the record of the cell `tenant`; `refused` stands for what was asked, if not the code."""
        return look(
            principal,
            look_id=look_id or self.new_id(),
            tenant=tenant,
            referral=code,
            refused=self.macs.refusal(code) if refused is None else refused,
            purpose=purpose,
            categories=categories,
            at=at,
            at_rest=self.at_rest,
            randomness=self.randomness,
        )

    def lease_of(self, agency: Agency) -> float:
        """How long a lease of this agency lasts, in seconds."""
        return self.directory.lease_seconds(agency) or self.lease_seconds


def _bundle_signer(path: Path | None, directory: Directory) -> NoteSigner | None:
    if path is None:
        return None
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        raise NoBundleKey("the bundle key's file is no private key in PEM") from None
    known = directory.bundles
    if not isinstance(key, Ed25519PrivateKey) or known is None:
        raise NoBundleKey("the bundle key's file is no Ed25519 key, or the directory names no signer of bundles")
    if key.public_key().public_bytes_raw() not in [each.public_key for each in known.keys]:
        raise NoBundleKey("the bundle key is none that the directory names")
    return NoteSigner(key, known.origin)
