"""Routes of the laboratories: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from amanat.agency.custody import record_known_half
from amanat.agency.reading import read_kit
from amanat.agency.schemas import HalfRecorded, KitShown, Reported
from amanat.agency.web import READS, AtDesk, answered, create_half, create_report, unless
from amanat.auth import require
from amanat.contracts.values import Barcode
from amanat.custody import NewHalf
from amanat.headers import IdempotencyKey, IfNoneMatch
from amanat.ledger_web import ledger_router
from amanat.principal import Principal
from amanat.problems import problems
from forensics import service
from forensics.schemas import NewReceipt, NewReport

asking = require("laboratory_analyst", "laboratory_system")
router = APIRouter(tags=["kits"])
routers = [router, ledger_router(asking)]
PATH = "/v1/kits/{barcode}"

Analyst = Annotated[Principal, Depends(asking)]
"""An analyst of a laboratory, or its system: both act for their own laboratory alone."""


@router.get(PATH, response_model=KitShown, responses=READS)
async def read_kit_by_barcode(
    barcode: Barcode, principal: Analyst, desk: AtDesk, if_none_match: IfNoneMatch = None
) -> Response:
    """Read what is granted of a kit's referral, and the laboratory's own records. The look is on record first."""
    return answered(await read_kit(desk, principal, barcode, unless(if_none_match)))


@router.post(PATH + "/receipt", status_code=202, response_model=HalfRecorded, responses=problems(409))
async def receive_kit(
    barcode: Barcode, body: NewReceipt, request: Request, principal: Analyst, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Attest that a parcel came: accepted, or rejected with reasons. The same 202 whether its kit is known or not."""
    return await create_half(
        request, desk, principal, key, barcode, "receipt", body, service.receive,
        rebuilds=service.received, status=202,
    )  # fmt: skip


@router.post(PATH + "/release", status_code=201, response_model=HalfRecorded, responses=problems(404, 409))
async def release_kit(
    barcode: Barcode, body: NewHalf, request: Request, principal: Analyst, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Attest that the laboratory handed a kit over."""
    return await create_half(request, desk, principal, key, barcode, "release", body, record_known_half)


@router.post(PATH + "/report", status_code=201, response_model=Reported, responses=problems(404, 409))
async def report_kit(
    barcode: Barcode, body: NewReport, request: Request, principal: Analyst, key: IdempotencyKey, desk: AtDesk
) -> Response:
    """Report on a kit that was received and accepted here."""
    location = f"/v1/kits/{barcode}"
    return await create_report(
        request, desk, principal, key, location, barcode, service.report_kit, body, rebuilds=service.kit_reported
    )
