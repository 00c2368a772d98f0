"""Intake's environment."""

from pathlib import Path

from pydantic import Field

from amanat.settings import KafkaSettings, LedgerSettings, ServiceSettings


class Settings(ServiceSettings):
    """`main`: parses strangers' input; holds the public half of the key-encryption key only."""

    kek_public_dir: Path
    bundle_key_file: Path | None = None
    """`main` alone: Ed25519, PKCS8 PEM: signs court bundles. Without it none is made."""
    timestamp_url: str = ""
    """`main` alone: an authority that stamps the checkpoints of court bundles (RFC 3161); none when empty."""


class GateSettings(KafkaSettings, LedgerSettings, Settings):
    """The gate: alone holds the private half, and the private keys that open facts."""

    kek_private_dir: Path
    facts_key_dir: Path
    sweep_seconds: float = 5
    rotate_hours: float = Field(default=24, gt=0)
    """How old a generation of the key-encryption key grows: that long a backup may still open what was withdrawn."""
