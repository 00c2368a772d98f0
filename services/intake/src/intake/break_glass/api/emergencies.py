"""Emergencies: open, read again, list, review."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from amanat.headers import IdempotencyKey
from amanat.idempotency import Done, once
from amanat.problems import problems
from intake.api.desk import AtDesk
from intake.api.people import by_name
from intake.break_glass import schemas
from intake.break_glass.api.people import Clinician, Supervising, Supervisor
from intake.break_glass.service import emergencies, reviews

router = APIRouter(tags=["emergencies"])
Emergency = Annotated[UUID, Path(description="the emergency's id")]


@router.post(
    "/v1/emergencies", status_code=201, response_model=schemas.EmergencyShown, responses=problems(404, 409, 410)
)
async def open_emergency(
    body: schemas.NewEmergency, request: Request, principal: Clinician, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Read care and identity of one case of any cell at once. It is on record first, and reviewed within a day."""
    now, instruments, who = desk.now, desk.instruments, by_name(principal)
    asked = f"{request.method} {request.url.path}\n".encode() + await request.body()
    looked: list[emergencies.Looked] = []
    try:
        async with desk.database.transaction(emergencies.everywhere(principal, instruments)) as session:

            async def act() -> Done:
                emergency, found = await emergencies.open_emergency(session, principal, body, now, instruments)
                looked.append(found)
                return Done(status=201, location=f"/v1/emergencies/{emergency}")

            done = await once(
                session,
                tenant=principal.organisation,
                client=who.client,
                key=key,
                body_hmac=instruments.macs.body(who.client, asked),
                effect=act,
            )
            location = done.location or ""
            if not looked:
                emergency = UUID(location.rsplit("/", 1)[-1])
                looked.append(await emergencies.look_again(session, principal, emergency, now, instruments))
    except emergencies.NotOneCase as nothing:
        await emergencies.record_nothing(desk.database, principal, nothing, now, instruments)
        raise nothing.refused from None
    # Only here is anything opened: the commit above came first.
    shown = emergencies.show(looked[0], instruments)
    headers = {"Location": location} | ({"Idempotency-Replayed": "true"} if done.replayed else {})
    return Response(shown.model_dump_json(), status_code=201, media_type="application/json", headers=headers)


@router.get("/v1/emergencies", response_model=schemas.EmergenciesListed)
async def list_emergencies(principal: Supervisor, session: Supervising, desk: AtDesk) -> schemas.EmergenciesListed:
    """List what nobody has reviewed yet at one's own cell, and what one's own clinicians opened at others'."""
    return await reviews.list_unreviewed(session, principal, desk.now)


@router.get("/v1/emergencies/{emergency}", response_model=schemas.EmergencyShown, responses=problems(404, 410))
async def read_emergency(emergency: Emergency, principal: Clinician, desk: AtDesk) -> schemas.EmergencyShown:
    """Read one's own emergency again while its time lasts. Each reading is a look of its own."""
    async with desk.database.transaction({principal.organisation}) as session:
        looked = await emergencies.look_again(session, principal, emergency, desk.now, desk.instruments)
    return emergencies.show(looked, desk.instruments)


@router.get("/v1/emergencies/{emergency}/review", response_model=schemas.ReviewShown, responses=problems(404))
async def read_review(emergency: Emergency, principal: Supervisor, desk: AtDesk) -> schemas.ReviewShown:
    """Read who opened an emergency at one's own cell's case, and why; nothing of the case itself."""
    return await reviews.look_at_review(desk.database, principal, emergency, desk.now, desk.instruments)


@router.post("/v1/emergencies/{emergency}/review", response_model=schemas.ReviewRecorded, responses=problems(404, 409))
async def review_emergency(
    emergency: Emergency, body: schemas.NewReview, principal: Supervisor, session: Supervising, desk: AtDesk
) -> schemas.ReviewRecorded:
    """Say what was found. Who opened it does not review it; late is never refused. Needs no key, may be repeated."""
    return await reviews.review(session, principal, emergency, body, desk.now, desk.instruments)
