"""Intake's environment."""

from pathlib import Path

from pydantic import Field

from amanat.settings import KafkaSettings, LedgerSettings, ServiceSettings


class Settings(ServiceSettings):
    """`main`: parses strangers' input; holds the public half of the key-encryption key only."""

    kek_public_dir: Path
    emergency_minutes: float = Field(default=60, gt=0, le=1440)
    """How long a clinician may read again what a clinical emergency opened."""
    disclosure_days_at_most: float = Field(default=180, gt=0, le=3660)
    """How far ahead a disclosure outside may end, and its secrecy be looked at again."""
    disclosure_asked_days: float = Field(default=7, gt=0, le=90)
    """How long a disclosure outside waits for its second person."""


class GateSettings(KafkaSettings, LedgerSettings, Settings):
    """The gate: alone holds the private half, and the private keys that open facts."""

    kek_private_dir: Path
    facts_key_dir: Path
    sweep_seconds: float = 5
    rotate_hours: float = Field(default=24, gt=0)
    """How old a generation of the key-encryption key grows: that long a backup may still open what was withdrawn."""
