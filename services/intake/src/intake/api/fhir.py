"""`POST /fhir` and `GET /fhir/metadata`. Everything here is answered in FHIR, refusals too (OperationOutcome)."""

import hashlib
from datetime import date
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from amanat import telemetry
from amanat.errors import Refused
from amanat.groupcommit import Key
from amanat.headers import KEY_PATTERN
from amanat.idempotency import Done, check_key, once
from amanat.problems import prefers_urdu
from intake import fhir
from intake.api.desk import AtDesk, Desk, Member
from intake.service import bundles, cases

router = APIRouter(tags=["FHIR"])
PUBLISHED = date(2026, 11, 22)
_OUTCOME = {
    "description": "Refused, with an OperationOutcome",
    "content": {fhir.MEDIA_TYPE: {"schema": {"type": "object"}}},
}
_EXAMPLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001",
            "resource": {
                "resourceType": "Encounter",
                "status": "arrived",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"},
                "period": {"start": "2025-06-07T03:15:00+05:00"},
            },
            "request": {"method": "POST", "url": "Encounter"},
        }
    ],
}
"""The least that is a visit; more in docs/fhir.md."""
_BUNDLE = {"schema": {"type": "object"}, "example": _EXAMPLE}
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="optional; without it the client and the bundle itself are the key",
        json_schema_extra={"pattern": KEY_PATTERN},
    ),
]


class FhirResponse(JSONResponse):
    """JSON of FHIR's media type."""

    media_type = fhir.MEDIA_TYPE


def refusal(refused: Refused, accept_language: str) -> Response:
    """Any refusal below /fhir as an OperationOutcome."""
    outcome = fhir.operation_outcome(refused, urdu=prefers_urdu(accept_language), trace_id=telemetry.trace_id())
    return FhirResponse(outcome, status_code=refused.status, headers=refused.headers)


@router.post(
    "/fhir",
    response_class=FhirResponse,
    responses=dict.fromkeys((400, 401, 403, 409, 413, 415, 422, 429, 500, 503), _OUTCOME),
    openapi_extra={"requestBody": {"required": True, "content": {fhir.MEDIA_TYPE: _BUNDLE}}},
)
async def take_bundle(request: Request, principal: Member, desk: AtDesk, key: KeyHeader = None) -> Response:
    """Take a FHIR R4 transaction Bundle of one visit: a new case, or more of a known one."""
    fhir.check_media_type(request.headers.get("content-type", ""))
    body = await request.body()
    parsed = await fhir.parse_off_loop(body)
    now, instruments = desk.now, desk.instruments
    cell = cases.cell_of(principal, None)
    mapped = fhir.to_new_case(parsed, instruments.directory, cell, now)
    digest = instruments.macs.body(principal.client, b"POST /fhir\n" + parsed.canonical)
    # FHIR clients send no key: the same bundle of the same client is the same request.
    named = f"fhir-{hashlib.sha256(digest).hexdigest()}" if key is None else check_key(key)

    def used(location: str) -> Key:
        return Key(principal.organisation, principal.client, named, digest, 200, location)

    opened = await desk.group.prepared(lambda: bundles.prepare(principal, mapped, used, now, instruments))
    if opened is not None:
        return FhirResponse(fhir.response_bundle(opened.mapped, opened.case, opened.records, added=False))
    taken: list[bundles.Taken] = []

    async with desk.database.transaction(principal.tenants) as session:

        async def act() -> Done:
            made = await bundles.take(session, principal, mapped, now, instruments)
            taken.append(made)
            return Done(status=200, location=made.location)

        done = await once(
            session,
            tenant=principal.organisation,
            client=principal.client,
            key=named,
            body_hmac=digest,
            effect=act,
        )
        if not taken:
            taken.append(await _again(session, principal, mapped, done.location or "", desk))
    [made] = taken
    answer = fhir.response_bundle(made.mapped, made.case, made.records, added=made.added)
    return FhirResponse(answer, headers={"Idempotency-Replayed": "true"} if done.replayed else None)


@router.get("/fhir/metadata", response_class=FhirResponse)
async def read_capabilities(request: Request) -> dict[str, Any]:
    """Read what this server does, as a CapabilityStatement. Needs no token."""
    base = f"{request.app.state.settings.public_url}/fhir"
    return fhir.capability_statement(base, version=version("amanat"), published=PUBLISHED)


async def _again(
    session: AsyncSession, principal: Member, mapped: fhir.MappedBundle, location: str, desk: Desk
) -> bundles.Taken:
    return await bundles.retaken(session, principal, mapped, location, desk.now, desk.instruments)
