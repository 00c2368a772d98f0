"""The environment: complete or refused in plain words, and never quoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from amanat.settings import AgencySettings, BadSettings, KafkaSettings, ServiceSettings

PASSWORD = "hunter2-and-more"
ENOUGH = {
    "DATABASE_URL": f"postgresql+asyncpg://api:{PASSWORD}@127.0.0.1/police_link",
    "ISSUER": "https://issuer.test/realms/amanat",
    "AUDIENCE": "amanat-police-link",
    "DIRECTORY_FILE": "/etc/amanat/directory.json",
    "AT_REST_KEY_FILE": "/run/secrets/at-rest",
    "INDEX_KEY_FILE": "/run/secrets/index",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENOUGH.items():
        monkeypatch.setenv(f"AMANAT_{name}", value)
    return monkeypatch


def test_addresses_of_the_issuer_follow_from_its_name(environment: pytest.MonkeyPatch) -> None:
    settings = ServiceSettings.load()
    assert settings.jwks_url == "https://issuer.test/realms/amanat/protocol/openid-connect/certs"
    assert settings.public_url == "http://127.0.0.1:8000"


def test_an_agencys_token_address_follows_too_and_can_be_given(environment: pytest.MonkeyPatch) -> None:
    for name in ("GATE_URL", "CLIENT_ID", "CLIENT_KEY_FILE", "SIGNING_KEY_FILE"):
        environment.setenv(f"AMANAT_{name}", "x")
    assert AgencySettings.load().token_url == "https://issuer.test/realms/amanat/protocol/openid-connect/token"
    environment.setenv("AMANAT_TOKEN_URL", "https://elsewhere.test/token")
    assert AgencySettings.load().token_url == "https://elsewhere.test/token"


@pytest.mark.parametrize("missing", ENOUGH)
def test_what_is_missing_is_named(environment: pytest.MonkeyPatch, missing: str) -> None:
    environment.delenv(f"AMANAT_{missing}")
    with pytest.raises(BadSettings, match=f"AMANAT_{missing}.* is not set"):
        ServiceSettings.load()


def test_a_refusal_to_start_never_quotes_a_value(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AMANAT_PORT", PASSWORD)
    environment.delenv("AMANAT_AUDIENCE")
    with pytest.raises(BadSettings) as refused:
        ServiceSettings.load()
    assert "AMANAT_PORT is not valid" in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None
    with pytest.raises(ValidationError) as raw:
        ServiceSettings()
    assert PASSWORD not in str(raw.value)


def test_a_secret_stays_out_of_repr(environment: pytest.MonkeyPatch) -> None:
    assert PASSWORD not in repr(ServiceSettings.load())
    assert PASSWORD not in str(ServiceSettings.load())


def test_a_secret_is_read_from_the_file_that_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("AMANAT_DATABASE_URL")
    file = tmp_path / "url"
    file.write_text("postgresql+asyncpg://from-a-file\n")
    environment.setenv("AMANAT_DATABASE_URL_FILE", str(file))
    assert ServiceSettings.load().database_url == "postgresql+asyncpg://from-a-file"


def test_a_secret_given_twice_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("AMANAT_DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(BadSettings, match="both set"):
        ServiceSettings.load()


def test_a_secret_file_that_is_not_there_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("AMANAT_DATABASE_URL")
    environment.setenv("AMANAT_DATABASE_URL_FILE", str(tmp_path / "nothing"))
    with pytest.raises(BadSettings, match="AMANAT_DATABASE_URL_FILE names a file that cannot be read"):
        ServiceSettings.load()


def test_an_outbox_that_does_not_outlive_the_topic_by_a_week_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AMANAT_TOPIC_RETENTION_DAYS", "21")
    ServiceSettings.load()
    environment.setenv("AMANAT_TOPIC_RETENTION_DAYS", "22")
    with pytest.raises(BadSettings, match=r"^AMANAT_OUTBOX_RETENTION_DAYS must exceed .* refilled from the outbox$"):
        ServiceSettings.load()


def test_an_inbox_that_forgets_before_the_outbox_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AMANAT_INBOX_RETENTION_DAYS", "28")
    ServiceSettings.load()
    environment.setenv("AMANAT_INBOX_RETENTION_DAYS", "27")
    with pytest.raises(BadSettings, match="AMANAT_INBOX_RETENTION_DAYS must be at least"):
        ServiceSettings.load()


def test_kafka_is_spoken_with_a_password_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMANAT_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
    with pytest.raises(BadSettings, match="AMANAT_KAFKA_USER and AMANAT_KAFKA_PASSWORD must be set"):
        KafkaSettings.load()
    monkeypatch.setenv("AMANAT_KAFKA_SECURITY", "plaintext")
    assert KafkaSettings.load().kafka_user == ""


def test_settings_do_not_change_while_the_process_runs(environment: pytest.MonkeyPatch) -> None:
    settings = ServiceSettings.load()
    with pytest.raises(ValidationError):
        settings.audience = "amanat-gate"  # type: ignore[misc]  # what the test is about
