"""Police-link's environment: that of every agency, and what webhooks need."""

from amanat.agency import settings
from police_link.webhooks.settings import WebhookSettings


class Settings(WebhookSettings, settings.AgencySettings):
    """What `main` is told."""


class WorkerSettings(WebhookSettings, settings.WorkerSettings):
    """What `worker`, which sends webhooks, is told."""
