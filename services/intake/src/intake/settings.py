"""Intake's environment."""

from pathlib import Path

from pydantic import Field

from amanat.settings import KafkaSettings, LedgerSettings, ServiceSettings


class CellSettings(ServiceSettings):
    """What both of the cell's processes need: the public half of the key-encryption key among it."""

    kek_public_dir: Path
    emergency_minutes: float = Field(default=60, gt=0, le=1440)
    """How long a clinician may read again what a clinical emergency opened."""
    disclosure_days_at_most: float = Field(default=180, gt=0, le=3660)
    """How far ahead a disclosure outside may end, and its secrecy be looked at again."""
    disclosure_asked_days: float = Field(default=7, gt=0, le=90)
    """How long a disclosure outside waits for its second person."""
    bundle_key_file: Path | None = None
    """`main` alone: Ed25519, PKCS8 PEM: signs court bundles. Without it none is made."""
    timestamp_url: str = ""
    """`main` alone: an authority that stamps the checkpoints of court bundles (RFC 3161); none when empty."""


class Settings(CellSettings):
    """`main`: parses strangers' input, and opens the survivor's own page."""

    claim_pepper_file: Path
    """32 bytes in base64, kept outside the database: without them its hashes of PINs cannot be tried."""
    claim_hash_passes: int = Field(default=3, ge=1, le=20)
    claim_hash_memory_kib: int = Field(default=65536, ge=8, le=2097152)
    claim_hash_lanes: int = Field(default=1, ge=1, le=16)
    """RFC 9106's second recommendation, but for one lane: two sign-ins at once then take two cores, and not eight; who
    guesses has the memory to keep for all the longer."""
    my_case_url: str = ""
    """What the survivor's paper says: a neutral host name that leads to `/my` alone; PUBLIC_URL/my when not given."""
    quick_exit_url: str = ""
    """Where the quick exit leads; a page of this service about drinking water when not given."""


class GateSettings(KafkaSettings, LedgerSettings, CellSettings):
    """The gate: alone holds the private half, and the private keys that open facts."""

    kek_private_dir: Path
    facts_key_dir: Path
    sweep_seconds: float = 5
    rotate_hours: float = Field(default=24, gt=0)
    """How old a generation of the key-encryption key grows: that long a backup may still open what was withdrawn."""
