"""The environment of an agency's processes: `main` needs `AgencySettings`, `worker` Kafka besides."""

from amanat.settings import AgencySettings, KafkaSettings, LedgerSettings

__all__ = ["AgencySettings", "WorkerSettings"]


class WorkerSettings(KafkaSettings, LedgerSettings, AgencySettings):
    """What an agency's worker is told."""
