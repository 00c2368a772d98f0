"""Intake's environment."""

from pathlib import Path

from amanat.settings import KafkaSettings, ServiceSettings


class Settings(ServiceSettings):
    """`main`: parses strangers' input; holds the public half of the key-encryption key only."""

    kek_public_dir: Path


class GateSettings(KafkaSettings, Settings):
    """The gate: alone holds the private half, and the private keys that open facts."""

    kek_private_dir: Path
    facts_key_dir: Path
    sweep_seconds: float = 5
