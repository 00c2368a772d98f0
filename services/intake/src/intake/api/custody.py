"""Kits and the cell's own halves of their custody."""

from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from amanat.contracts.values import Barcode
from amanat.creating import Created, create
from amanat.custody import NewHalf
from amanat.headers import IdempotencyKey
from amanat.problems import problems
from intake import schemas
from intake.api.desk import AtDesk, CaseCode, Desk, Member
from intake.service import custody, reading

router = APIRouter(tags=["custody"])


@router.post("/v1/cases/{case}/kits", status_code=201, response_model=schemas.KitOpened, responses=problems(404, 409))
async def open_kit(
    case: CaseCode, body: schemas.NewKit, request: Request, principal: Member, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Open a sealed evidence kit on a case, by its printed serial."""

    async def effect(session: AsyncSession) -> Created[schemas.KitOpened]:
        opened = await custody.open_kit(session, principal, case, body, desk.now, desk.instruments)
        return Created(f"/v1/kits/{opened.barcode}", opened)

    async def rebuild(session: AsyncSession, location: str) -> schemas.KitOpened:
        await reading.must_be_own(session, principal, case)
        return schemas.KitOpened(case=case, barcode=location.rsplit("/", 1)[-1])

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild)


@router.post(
    "/v1/kits/{barcode}/release",
    status_code=201,
    response_model=schemas.HalfRecorded,
    responses=problems(404, 409),
)
async def release_kit(
    barcode: Barcode, body: NewHalf, request: Request, principal: Member, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Attest that the cell handed a kit over."""
    return await _half(request, principal, key, desk, barcode, "release", body)


@router.post(
    "/v1/kits/{barcode}/receipt",
    status_code=201,
    response_model=schemas.HalfRecorded,
    responses=problems(404, 409),
)
async def receive_kit(
    barcode: Barcode, body: NewHalf, request: Request, principal: Member, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Attest that the cell got a kit back."""
    return await _half(request, principal, key, desk, barcode, "receipt", body)


async def _half(
    request: Request, principal: Member, key: str, desk: Desk, barcode: str, half: custody.Half, body: NewHalf
) -> Response:
    async def effect(session: AsyncSession) -> Created[schemas.HalfRecorded]:
        kept = await custody.record_own_half(session, principal, barcode, half, body, desk.now, desk.instruments)
        return Created(f"/v1/kits/{barcode}/{half}/{kept.attestation}", kept)

    async def rebuild(session: AsyncSession, location: str) -> schemas.HalfRecorded:
        return await custody.half_recorded(session, principal, barcode, location.rsplit("/", 1)[-1], desk.instruments)

    return await create(request, desk.database, desk.instruments.macs, principal, key, effect, rebuild)
