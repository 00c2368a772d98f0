"""Police-link's tables besides those that all agencies share (`amanat.tables`): the webhooks'."""

from police_link.webhooks.models import deliveries, metadata, subscriptions

__all__ = ["deliveries", "metadata", "subscriptions"]
