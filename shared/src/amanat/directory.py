"""The directory: agencies, organisations, whom they serve, and their public keys. One versioned JSON file for all."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from amanat.categories import OUTSIDE, Agency
from amanat.consent.fold import purpose_of
from amanat.contracts.checkpoints import Origin
from amanat.contracts.values import Base64, Count, Identifier, Line


class BadDirectory(ValueError):
    """The directory file is missing, unreadable or not well formed. A service does not start without one."""


def _key_of_32_bytes(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError("a public key is 32 bytes long")
    return value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Name(_Frozen):
    """A name as people read it, in English and Urdu."""

    en: Line
    ur: Line


class PublicKey(_Frozen):
    """A raw public key (Ed25519 or X25519, 32 bytes; base64 in the file), by its id."""

    id: Identifier
    public_key: Annotated[Base64, AfterValidator(_key_of_32_bytes)]


class Cell(_Frozen):
    """An Anti-Rape Crisis Cell; `province` chooses its tables of law."""

    id: Identifier
    name: Name
    province: Identifier


class Organisation(_Frozen):
    """A station, a laboratory or a partner, and the cells that it serves."""

    id: Identifier
    name: Name
    cells: tuple[Identifier, ...]


class AgencyEntry(_Frozen):
    """One outside agency. `lease_seconds` replaces the gate's own default for it."""

    name: Name
    purpose: Identifier
    organisations: tuple[Organisation, ...]
    signing_keys: tuple[PublicKey, ...] = ()
    lease_seconds: Annotated[int, Field(strict=True, ge=1, le=300)] | None = None


class Ledger(_Frozen):
    """A service's ledger: the origin of its checkpoints, and its Ed25519 keys, the current one first."""

    origin: Origin
    keys: Annotated[tuple[PublicKey, ...], Field(min_length=1)]


class Bundles(_Frozen):
    """Who signs the cells' court bundles: under which name, with which Ed25519 keys, the current one first."""

    origin: Origin
    keys: Annotated[tuple[PublicKey, ...], Field(min_length=1)]


class Gate(_Frozen):
    """The gate's public keys for facts: the first is current, the others still open what was sealed to them."""

    facts_keys: tuple[PublicKey, ...] = ()


class Directory(_Frozen):
    """The whole file. Every question about someone it does not name answers None, False or a `KeyError`: refused."""

    version: Count
    cells: tuple[Cell, ...]
    agencies: dict[Agency, AgencyEntry]
    gate: Gate = Gate()
    ledgers: dict[Agency, Ledger] = {}
    """By service: intake's cells have one ledger together."""
    bundles: Bundles | None = None
    """None: no court bundles are made."""

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads the file.

        Raises:
            BadDirectory: missing, not JSON, or not well formed; names the places that are wrong, never their content.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise BadDirectory(f"the directory file cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise BadDirectory(f"the directory file is not well formed: {error}") from None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        cells = {cell.id for cell in self.cells}
        if len(cells) < len(self.cells):
            raise ValueError("two cells of one id")
        origins = [ledger.origin for ledger in self.ledgers.values()]
        origins += [] if self.bundles is None else [self.bundles.origin]
        if len(set(origins)) < len(origins):
            raise ValueError("two signers of one origin")
        for agency, entry in self.agencies.items():
            if agency not in OUTSIDE:
                raise ValueError("intake is the cells, not an agency of the directory")
            if entry.purpose != purpose_of(agency):
                raise ValueError("an agency's purpose is the one of the table of purposes")
            if len({organisation.id for organisation in entry.organisations}) < len(entry.organisations):
                raise ValueError("two organisations of one id")
            if len({key.id for key in entry.signing_keys}) < len(entry.signing_keys):
                raise ValueError("two keys of one id")
            if any(not cells.issuperset(organisation.cells) for organisation in entry.organisations):
                raise ValueError("an organisation serves a cell that is not in the directory")
        return self

    def cell(self, cell_id: str) -> Cell | None:
        """The cell of that id."""
        return next((cell for cell in self.cells if cell.id == cell_id), None)

    def organisation(self, agency: str, organisation_id: str) -> Organisation | None:
        """The agency's organisation of that id."""
        entry = self._entry(agency)
        if entry is None:
            return None
        return next((each for each in entry.organisations if each.id == organisation_id), None)

    def serves(self, agency: str, organisation_id: str, cell_id: str) -> bool:
        """Whether the organisation exists and serves the cell."""
        organisation = self.organisation(agency, organisation_id)
        return organisation is not None and cell_id in organisation.cells

    def purpose(self, agency: str) -> str:
        """The purpose for which the agency receives.

        Raises:
            KeyError: the directory does not name the agency.
        """
        entry = self._entry(agency)
        if entry is None:
            raise KeyError("an agency that the directory does not name")
        return entry.purpose

    def lease_seconds(self, agency: str) -> int | None:
        """How long a lease of the agency holds; None for the gate's own default."""
        entry = self._entry(agency)
        return None if entry is None else entry.lease_seconds

    def signing_key(self, agency: str, key_id: str) -> bytes | None:
        """The agency's Ed25519 public key of that id, raw."""
        entry = self._entry(agency)
        keys = () if entry is None else entry.signing_keys
        return next((key.public_key for key in keys if key.id == key_id), None)

    def facts_key(self) -> PublicKey | None:
        """The X25519 public key that facts are sealed to now; None before the gate has one."""
        return self.gate.facts_keys[0] if self.gate.facts_keys else None

    def _entry(self, agency: str) -> AgencyEntry | None:
        return next((entry for known, entry in self.agencies.items() if known == agency), None)
