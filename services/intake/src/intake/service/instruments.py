"""What use cases need besides a session: keys, directory, rules, randomness. Passed in, never reached for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from amanat.at_rest import AtRest, BlindIndex, Macs
from amanat.categories import Agency
from amanat.clocks import ClockRules
from amanat.consent import AgeRules
from amanat.directory import Directory
from amanat.kek import KekPublic, RequestSecret
from intake.service.setting import Minter
from intake.settings import CellSettings


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

    @classmethod
    def from_settings(cls, settings: CellSettings, kek: KekPublic, randomness: Callable[[int], bytes]) -> "Instruments":
        """Reads keys and rules from the files that the settings name; raises what a missing file raises."""
        return cls(
            at_rest=AtRest.from_file(settings.at_rest_key_file),
            index=BlindIndex.from_file(settings.index_key_file),
            macs=Macs.from_file(settings.index_key_file),
            directory=Directory.load(settings.directory_file),
            kek=kek,
            age_rules=AgeRules.load(settings.province),
            clock_rules=ClockRules.load(settings.province),
            randomness=randomness,
            lease_seconds=settings.lease_seconds,
            emergency_lasts=timedelta(minutes=settings.emergency_minutes),
            disclosure_at_most=timedelta(days=settings.disclosure_days_at_most),
            disclosure_waits=timedelta(days=settings.disclosure_asked_days),
        )

    def new_id(self) -> UUID:
        """A random UUID."""
        return UUID(bytes=self.randomness(16), version=4)

    def minter(self) -> Minter:
        """For one request: the secret is made, and sealed, only when a key is minted."""
        return Minter(lambda: RequestSecret.new(self.kek, self.randomness), self.randomness)

    def lease_of(self, agency: Agency) -> float:
        """How long a lease of this agency lasts, in seconds."""
        return self.directory.lease_seconds(agency) or self.lease_seconds
