"""What a reporting centre does with its subscriptions: subscribe, look, remove, have events sent again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import pages
from amanat.agency.instruments import Instruments
from amanat.at_rest import AtRest
from amanat.db import AnyRow
from amanat.errors import NotFound
from amanat.pages import Cursors
from amanat.principal import Principal
from police_link.webhooks import messages
from police_link.webhooks.addresses import UrlRefused, parse_url
from police_link.webhooks.errors import EndpointRefused, NotVerified, TooManySubscriptions
from police_link.webhooks.models import ACTIVE, FAILED, PENDING
from police_link.webhooks.repository import deliveries, subscriptions
from police_link.webhooks.schemas import (
    NewReplay,
    NewSubscription,
    ReplayBegun,
    SubscriptionCreated,
    SubscriptionShown,
    SubscriptionsListed,
)

MOST_PER_ORGANISATION = 10
TABLE = "webhook_subscriptions"
HEALTHY = {"failures": 0, "failing_since": None, "not_before": None, "paused_at": None, "paused_because": None}
"""An endpoint that answers, or is to be tried anew."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go, and what they are signed with."""

    url: str
    secret: str


def open_endpoint(
    at_rest: AtRest, tenant: str, subscription: UUID, url_sealed: bytes, secret_sealed: bytes
) -> Endpoint:
    """Raises amanat.sealing.Unopenable, for another organisation's as well."""
    row = _place(tenant, subscription)
    return Endpoint(
        at_rest.open(url_sealed, table=TABLE, row=row, column="url").decode(),
        at_rest.open(secret_sealed, table=TABLE, row=row, column="secret").decode(),
    )


def _place(tenant: str, subscription: UUID) -> str:
    return f"{tenant}/{subscription}"


async def subscribe(
    session: AsyncSession,
    principal: Principal,
    body: NewSubscription,
    now: datetime,
    instruments: Instruments,
    *,
    allow_private: bool,
) -> SubscriptionCreated:
    """Keeps the subscription and queues its handshake. Raises EndpointRefused, TooManySubscriptions."""
    try:
        parse_url(body.url, allow_private=allow_private)
    except UrlRefused as refused:
        raise EndpointRefused(str(refused)) from None
    tenant = principal.organisation
    if await subscriptions.count_subscriptions(session, tenant) >= MOST_PER_ORGANISATION:
        raise TooManySubscriptions
    subscription, secret = instruments.new_id(), messages.new_secret(instruments.randomness)
    sealed = {
        f"{column}_sealed": instruments.at_rest.seal(
            value.encode(), table=TABLE, row=_place(tenant, subscription), column=column
        )
        for column, value in (("url", body.url), ("secret", secret))
    }
    await subscriptions.add_subscription(
        session,
        {
            "tenant": tenant,
            "id": subscription,
            "client": principal.client,
            "state": PENDING,
            "created_at": now,
            **sealed,
        },
    )
    handshake = {
        "tenant": tenant,
        "id": instruments.new_id(),
        "subscription_id": subscription,
        "type": messages.HANDSHAKE,
        "referral": None,
        "created_at": now,
        "next_attempt_at": now,
    }
    await deliveries.enqueue(session, [handshake])
    return SubscriptionCreated(**_fields(await _own(session, principal, subscription), body.url), secret=secret)


async def created(
    session: AsyncSession, principal: Principal, subscription: UUID, instruments: Instruments
) -> SubscriptionCreated:
    """The answer to `subscribe` again, for the client that got it. Raises NotFound for any other, and once removed."""
    row = await _own(session, principal, subscription)
    if row.client != principal.client:
        raise NotFound
    endpoint = open_endpoint(instruments.at_rest, row.tenant, row.id, row.url_sealed, row.secret_sealed)
    return SubscriptionCreated(**_fields(row, endpoint.url), secret=endpoint.secret)


async def show(
    session: AsyncSession, principal: Principal, subscription: UUID, instruments: Instruments
) -> SubscriptionShown:
    """One subscription of the organisation. Raises NotFound."""
    return _show(await _own(session, principal, subscription), instruments)


async def listed(
    session: AsyncSession,
    principal: Principal,
    path: str,
    cursor: str | None,
    limit: int,
    cursors: Cursors,
    instruments: Instruments,
) -> SubscriptionsListed:
    """A page of the organisation's subscriptions. Raises BadCursor."""
    scope = f"{path} {principal.organisation}"
    after = int(cursors.decode(cursor, scope=scope)[0]) if cursor is not None else 0
    rows = await subscriptions.page(session, principal.organisation, after=after, limit=limit + 1)
    page = pages.page(rows, limit=limit, position=[(row.position,) for row in rows], cursors=cursors, scope=scope)
    return SubscriptionsListed(items=tuple(_show(row, instruments) for row in page.items), next=page.next)


async def remove(session: AsyncSession, principal: Principal, subscription: UUID) -> None:
    """Ends a subscription; what is queued for it is not sent. Raises NotFound."""
    if not await subscriptions.remove(session, principal.organisation, subscription):
        raise NotFound


async def replay(
    session: AsyncSession, principal: Principal, subscription: UUID, body: NewReplay, now: datetime
) -> ReplayBegun:
    """Resumes a subscription and has events sent again under their own `webhook-id`. Raises NotFound, NotVerified."""
    row = await _own(session, principal, subscription)
    if row.state in {PENDING, FAILED}:
        raise NotVerified
    tenant = principal.organisation
    await subscriptions.set_health(session, tenant, subscription, {"state": ACTIVE, **HEALTHY})
    queued = await deliveries.requeue(session, tenant, subscription, now, body.since)
    return ReplayBegun(subscription=subscription, queued=queued)


async def _own(session: AsyncSession, principal: Principal, subscription: UUID) -> AnyRow:
    row = await subscriptions.find(session, principal.organisation, subscription)
    if row is None:
        raise NotFound
    return row


def _show(row: AnyRow, instruments: Instruments) -> SubscriptionShown:
    endpoint = open_endpoint(instruments.at_rest, row.tenant, row.id, row.url_sealed, row.secret_sealed)
    return SubscriptionShown(**_fields(row, endpoint.url))


def _fields(row: AnyRow, url: str) -> dict[str, object]:
    known = row._mapping
    shown = {name: known[name] for name in SubscriptionShown.model_fields if name not in {"subscription", "url"}}
    return shown | {"subscription": row.id, "url": url}
