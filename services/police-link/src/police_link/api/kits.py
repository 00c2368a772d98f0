"""Kits that were announced to the centre, and its own halves of their custody."""

from fastapi import APIRouter, Request, Response

from amanat.agency.custody import record_known_half
from amanat.agency.reading import read_kit
from amanat.agency.schemas import HalfRecorded, KitShown
from amanat.agency.web import READS, AtDesk, answered, create_half, unless
from amanat.contracts.values import Barcode
from amanat.custody import NewHalf
from amanat.headers import IdempotencyKey, IfNoneMatch
from amanat.problems import problems
from police_link.api.desk import Officer

router = APIRouter(tags=["custody"])
PATH = "/v1/kits/{barcode}"


@router.get(PATH, response_model=KitShown, responses=READS)
async def read_kit_by_barcode(
    barcode: Barcode, principal: Officer, desk: AtDesk, if_none_match: IfNoneMatch = None
) -> Response:
    """Read the referral of a kit, and the centre's own halves of that kit."""
    return answered(await read_kit(desk, principal, barcode, unless(if_none_match)))


@router.post(PATH + "/release", status_code=201, response_model=HalfRecorded, responses=problems(404, 409))
async def release_kit(
    barcode: Barcode, body: NewHalf, request: Request, principal: Officer, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Attest that the centre handed a kit over."""
    return await create_half(request, desk, principal, key, barcode, "release", body, record_known_half)


@router.post(PATH + "/receipt", status_code=201, response_model=HalfRecorded, responses=problems(404, 409))
async def receive_kit(
    barcode: Barcode, body: NewHalf, request: Request, principal: Officer, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Attest that the centre received a kit."""
    return await create_half(request, desk, principal, key, barcode, "receipt", body, record_known_half)
