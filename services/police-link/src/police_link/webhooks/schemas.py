"""What reporting centres send and get about their webhooks."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from amanat.contracts.values import Moment
from police_link.webhooks.addresses import MAX_URL

State = Literal["pending", "active", "paused", "failed"]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewSubscription(_Body):
    """Where to send events. The endpoint proves itself by echoing the challenge of a signed `endpoint.verification`."""

    url: str = Field(
        min_length=1,
        max_length=MAX_URL,
        description="https, port 443 or 8443, a DNS name on the public network; no user, password or fragment",
        examples=["https://webhooks.station.example/amanat"],
    )


class NewReplay(_Body):
    """Send again."""

    since: Moment | None = Field(
        default=None,
        description="what was queued since then is sent again delivered or given up or not; without it only what waits",
    )


class SubscriptionShown(BaseModel):
    """A subscription, without its secret."""

    model_config = ConfigDict(frozen=True)

    subscription: UUID
    url: str
    state: State = Field(
        description="pending until the endpoint echoed its challenge; failed if it never did; paused when it failed for"
        " days or answered 410: a replay resumes it"
    )
    created_at: datetime
    verified_at: datetime | None
    failing_since: datetime | None = Field(description="the first of the failed attempts since the last success")
    paused_at: datetime | None
    paused_because: Literal["failing", "gone"] | None
    queued: int = Field(ge=0, description="events not yet delivered or given up")


class SubscriptionCreated(SubscriptionShown):
    """A new subscription. The secret is told here alone."""

    secret: str = Field(
        description="`whsec_` and base64: verifies signatures by Standard Webhooks. Given again only to the same client"
        " under the same Idempotency-Key"
    )


class SubscriptionsListed(BaseModel):
    """A page of the organisation's subscriptions, oldest first."""

    model_config = ConfigDict(frozen=True)

    items: tuple[SubscriptionShown, ...]
    next: str | None = Field(description="the cursor of the page after this one; none at the end")


class ReplayBegun(BaseModel):
    """`queued` events are on their way again."""

    model_config = ConfigDict(frozen=True)

    subscription: UUID
    queued: int = Field(ge=0)
