"""Police-link's environment."""

from amanat.agency import settings


class Settings(settings.AgencySettings):
    """`main`: `webhook_allow_private` lets webhooks reach private networks, as on one machine they must."""

    webhook_allow_private: bool = False


class WorkerSettings(settings.WorkerSettings):
    """`worker`, which sends them."""

    webhook_allow_private: bool = False
