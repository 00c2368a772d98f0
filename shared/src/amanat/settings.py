"""What a process is told by its environment: prefix `AMANAT_`, read once at the start, frozen afterwards.

Each secret may be given as a file instead (`AMANAT_DATABASE_URL_FILE=/run/secrets/url`), as orchestrators mount it.
A service's `settings.py` combines the parts it needs::

    class Settings(KafkaSettings, AgencySettings):
        webhook_allow_private: bool = False

    settings = Settings.load()

There is no setting that turns authentication, row-level security or sealing off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "AMANAT_"
RELAY_MARGIN_DAYS = 7
"""A broker that lost its log is refilled from outboxes: they must outlive the topic by a week (DESIGN, Events)."""


class BadSettings(Exception):
    """The environment does not let this process start. The text names settings, never their values."""


@dataclass(frozen=True)
class _Secret:
    """Marks a setting that may also be given as `<NAME>_FILE`."""


Secret = Annotated[str, _Secret(), Field(repr=False)]
"""A secret as plain text; it is left out of `repr`, and may be read from the file that `<NAME>_FILE` names."""


class _SecretFiles(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if not any(isinstance(mark, _Secret) for mark in field.metadata):
            return None, field_name, False
        name = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{name}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(name):
            raise BadSettings(f"{name} and {name}_FILE are both set; give one of them")
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"{name}_FILE names a file that cannot be read ({type(error).__name__})") from None

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @classmethod
    def load(cls, otherwise: Mapping[str, str] | None = None) -> Self:
        """Reads the environment; `otherwise` holds what counts where it says nothing, by the same names.

        Raises BadSettings with one plain line per problem, without values: a DATABASE_URL holds a password.
        """
        try:
            return cls(**_unsaid(otherwise or {}))
        except ValidationError as error:
            raise BadSettings("\n".join(_plain(cls, problem) for problem in _problems(error))) from None


def _unsaid(told: Mapping[str, str]) -> dict[str, Any]:
    """What the environment does not say itself, by the names of fields."""
    silent = {name for name in told if not (os.environ.get(name) or os.environ.get(f"{name}_FILE"))}
    return {name.removeprefix(PREFIX).lower(): told[name] for name in silent}


def _problems(error: ValidationError) -> list[dict[str, Any]]:
    return [dict(problem) for problem in error.errors(include_input=False, include_url=False, include_context=False)]


def _plain(cls: type[BaseSettings], problem: dict[str, Any]) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    field = str(problem["loc"][0])
    name = PREFIX + field.upper()
    if problem["type"] == "missing":
        known = cls.model_fields.get(field)
        twin = f" (or {name}_FILE)" if known and any(isinstance(mark, _Secret) for mark in known.metadata) else ""
        return f"{name}{twin} is not set"
    return f"{name} is not valid: {problem['type'].replace('_', ' ')}"


class ServiceSettings(_Settings):
    """What every process needs. Files: DIRECTORY_FILE is JSON, *_KEY_FILE are base64 of 32 bytes."""

    database_url: Secret
    """`postgresql+asyncpg://role:password@host:port/database`, a role without BYPASSRLS."""
    issuer: str
    jwks_url: str = ""
    """Where the issuer's public keys are; ISSUER/protocol/openid-connect/certs (Keycloak's path) when not given."""
    audience: str
    directory_file: Path
    at_rest_key_file: Path
    index_key_file: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""
    """The address that clients use, for absolute links; http://HOST:PORT when not given."""
    province: str = "sindh"
    lease_seconds: float = Field(default=30, gt=0, le=300)
    outbox_retention_days: int = Field(default=28, ge=1)
    topic_retention_days: int = Field(default=7, ge=1)
    inbox_retention_days: int = Field(default=60, ge=1)
    rate_per_minute: int = Field(default=6000, ge=1)
    """Requests per client and minute, for each process."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: dict[str, Any]) -> dict[str, Any]:
        derived = dict(values)
        issuer = str(derived.get("issuer") or "").rstrip("/")
        if issuer and not derived.get("jwks_url"):
            derived["jwks_url"] = f"{issuer}/protocol/openid-connect/certs"
        if "token_url" in cls.model_fields and issuer and not derived.get("token_url"):
            derived["token_url"] = f"{issuer}/protocol/openid-connect/token"
        if not derived.get("public_url"):
            derived["public_url"] = f"http://{derived.get('host') or '127.0.0.1'}:{derived.get('port') or 8000}"
        return derived

    @model_validator(mode="after")
    def _retentions_let_a_lost_broker_be_refilled(self) -> Self:
        if self.outbox_retention_days < self.topic_retention_days + RELAY_MARGIN_DAYS:
            raise ValueError(
                "AMANAT_OUTBOX_RETENTION_DAYS must exceed AMANAT_TOPIC_RETENTION_DAYS by at least"
                f" {RELAY_MARGIN_DAYS} days: a broker that lost its log is refilled from the outbox"
            )
        if self.inbox_retention_days < self.outbox_retention_days:
            raise ValueError(
                "AMANAT_INBOX_RETENTION_DAYS must be at least AMANAT_OUTBOX_RETENTION_DAYS:"
                " a replayed event must still be known as handled"
            )
        return self


class KafkaSettings(_Settings):
    """What a process that speaks Kafka needs: the gate and the agencies' workers, never a `main`."""

    kafka_bootstrap: str
    kafka_security: Literal["plaintext", "scram"] = "scram"
    kafka_user: str = ""
    kafka_password: Secret = ""

    @model_validator(mode="after")
    def _scram_has_credentials(self) -> Self:
        if self.kafka_security == "scram" and not (self.kafka_user and self.kafka_password):
            raise ValueError("AMANAT_KAFKA_SECURITY is scram: AMANAT_KAFKA_USER and AMANAT_KAFKA_PASSWORD must be set")
        return self


class LedgerSettings(_Settings):
    """What a service's Kafka process needs for its ledger, and as a witness of the others'."""

    ledger_key_file: Path
    """Ed25519, PKCS8 PEM: signs this service's checkpoints, and cosigns those of the others."""
    checkpoint_seconds: float = Field(default=600, gt=0)
    """How often a checkpoint is published, whether anything happened or not: the same for all services."""
    audit_seconds: float = Field(default=3600, gt=0)
    """How long after an audit of the service's own ledger the next one begins."""


class AgencySettings(ServiceSettings):
    """What an outside agency's processes need to lease keys from the gate and to seal facts for it."""

    gate_url: str
    client_id: str
    client_key_file: Path
    """Private JWK (ES256) of the service's own client, for private_key_jwt."""
    signing_key_file: Path
    """Ed25519, PKCS8 PEM: signs this agency's facts."""
    token_url: str = ""
    """ISSUER/protocol/openid-connect/token when not given."""
