"""What an agency's use cases need besides a session: keys, directory, randomness. Passed in, never reached for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from amanat.at_rest import AtRest, Macs
from amanat.categories import Agency
from amanat.directory import Directory
from amanat.facts import FactSealer
from amanat.settings import AgencySettings


@dataclass(frozen=True)
class Instruments:
    """Made once per process by `main` or `worker`. `purpose` is the one for which the agency receives."""

    agency: Agency
    purpose: str
    directory: Directory
    at_rest: AtRest
    macs: Macs
    sealer: FactSealer
    randomness: Callable[[int], bytes]

    @classmethod
    def from_settings(cls, agency: Agency, settings: AgencySettings, randomness: Callable[[int], bytes]) -> Instruments:
        """Reads keys and directory from the settings' files; raises what a missing or wrong file raises."""
        directory = Directory.load(settings.directory_file)
        return cls(
            agency=agency,
            purpose=directory.purpose(agency),
            directory=directory,
            at_rest=AtRest.from_file(settings.at_rest_key_file),
            macs=Macs.from_file(settings.index_key_file),
            sealer=FactSealer.from_files(agency, settings.signing_key_file, directory),
            randomness=randomness,
        )

    def new_id(self) -> UUID:
        """A random UUID."""
        return UUID(bytes=self.randomness(16), version=4)
