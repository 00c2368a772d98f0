"""The webhooks' part of police-link's environment, in both its processes."""

from pydantic import Field

from amanat.settings import ServiceSettings


class WebhookSettings(ServiceSettings):
    """To be combined with `AgencySettings` and, in the worker, `KafkaSettings`."""

    webhook_allow_private: bool = False
    """Lets webhooks reach private networks and loopback, there also over http and on any port: as on one machine."""
    webhook_pause_after_days: float = Field(default=5, gt=0)
    """An endpoint that failed every attempt for so long is paused until its organisation resumes it by a replay."""
    webhook_retention_days: float = Field(default=28, gt=0)
    """How long a delivery can be sent again; afterwards its row is deleted, sent or not."""
