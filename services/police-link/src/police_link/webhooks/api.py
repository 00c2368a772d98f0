"""Subscriptions: subscribe, look, remove, have events sent again."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency.web import DEFAULT_LIMIT, AtDesk, Cursor, PageSize, transaction
from amanat.auth import require
from amanat.creating import Created, create
from amanat.headers import IdempotencyKey
from amanat.pages import link_header
from amanat.principal import Principal
from amanat.problems import problems
from police_link.webhooks import schemas
from police_link.webhooks.service import subscriptions

PATH = "/v1/subscriptions"
router = APIRouter(tags=["webhooks"])

system = require("reporting_centre_system")
System = Annotated[Principal, Depends(system)]
Transaction = Annotated[AsyncSession, Depends(transaction(system), scope="function")]


@router.post(PATH, status_code=201, response_model=schemas.SubscriptionCreated, responses=problems(404, 409))
async def create_subscription(
    body: schemas.NewSubscription, request: Request, principal: System, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Subscribe an address to events; it must echo a challenge before any is sent.

    404 when the key came before, and what it made is removed since.
    """
    allow_private: bool = request.app.state.settings.webhook_allow_private

    async def effect(session: AsyncSession) -> Created[schemas.SubscriptionCreated]:
        made = await subscriptions.subscribe(
            session, principal, body, desk.now, desk.instruments, allow_private=allow_private
        )
        return Created(f"{PATH}/{made.subscription}", made)

    async def rebuild(session: AsyncSession, location: str) -> schemas.SubscriptionCreated:
        return await subscriptions.created(session, principal, UUID(location.rsplit("/", 1)[-1]), desk.instruments)

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild)


@router.get(PATH, response_model=schemas.SubscriptionsListed)
async def list_subscriptions(
    response: Response,
    principal: System,
    session: Transaction,
    desk: AtDesk,
    cursor: Cursor = None,
    limit: PageSize = DEFAULT_LIMIT,
) -> schemas.SubscriptionsListed:
    """List the organisation's subscriptions, oldest first."""
    found = await subscriptions.listed(session, principal, PATH, cursor, limit, desk.cursors, desk.instruments)
    response.headers.update(link_header(PATH, cursor=found.next, limit=limit))
    return found


@router.get(PATH + "/{subscription}", response_model=schemas.SubscriptionShown, responses=problems(404))
async def read_subscription(
    subscription: UUID, principal: System, session: Transaction, desk: AtDesk
) -> schemas.SubscriptionShown:
    """Read a subscription: its state, and how its endpoint fares."""
    return await subscriptions.show(session, principal, subscription, desk.instruments)


@router.delete(PATH + "/{subscription}", status_code=204, responses=problems(404))
async def delete_subscription(subscription: UUID, principal: System, session: Transaction) -> None:
    """Remove a subscription; what is queued for it is not sent."""
    await subscriptions.remove(session, principal, subscription)


@router.post(
    PATH + "/{subscription}/replay",
    status_code=202,
    response_model=schemas.ReplayBegun,
    responses=problems(404, 409),
)
async def replay_subscription(
    subscription: UUID, body: schemas.NewReplay, principal: System, session: Transaction, desk: AtDesk
) -> schemas.ReplayBegun:
    """Resume a paused subscription, and have events sent again under their own webhook-id."""
    return await subscriptions.replay(session, principal, subscription, body, desk.now)
