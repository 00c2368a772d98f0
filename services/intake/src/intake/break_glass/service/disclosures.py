"""Disclosures outside, on a court's order or a statutory duty, as they are asked for and shown. Nothing is granted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Agency, Category, may_reach
from amanat.consent import own
from amanat.db import AnyRow
from amanat.errors import FieldError, InvalidInput, NotFound
from amanat.ledger.sources import Place
from amanat.principal import Principal
from intake.break_glass import schemas
from intake.break_glass.errors import CannotAsk
from intake.break_glass.repository import disclosures
from intake.repository import cases
from intake.service.cases import entry
from intake.service.instruments import Instruments
from intake.service.recipients import check_recipient
from intake.service.sources import DECISIONS, DISCLOSURES, ENDINGS

ASKING = frozenset({"cell_clinician", "cell_records"})
DECIDING = frozenset({"cell_supervisor"})


async def ask(
    session: AsyncSession,
    principal: Principal,
    code: str,
    body: schemas.NewDisclosure,
    now: datetime,
    instruments: Instruments,
) -> schemas.DisclosureTold:
    """Puts on record what is asked for; it grants nothing, and sends nothing.

    Raises CannotAsk, NotFound, UnknownRecipient, InvalidInput for an end or a review that is over or too far ahead, and
    for a category that never reaches the recipient.
    """
    if not principal.unit or principal.roles & DECIDING:
        raise CannotAsk
    case = await cases.lock_case(session, principal.cells, code)
    if case is None:
        raise NotFound
    check_recipient(body.recipient, "/recipient", case.tenant, instruments)
    _check_terms(body, now, instruments)
    disclosure_id, reference = instruments.new_id(), body.reference.encode()
    whose = (disclosure_id, case.tenant, code)
    secrecy = None if body.secrecy is None else body.secrecy.reference.encode()
    row = {
        "id": disclosure_id,
        "tenant": case.tenant,
        "case_code": code,
        "agency": body.recipient.agency.value,
        "organisation": body.recipient.organisation,
        "categories": sorted({category.value for category in body.categories}),
        "basis": body.basis,
        "reference_sealed": sealed(reference, DISCLOSURES.at("reference_sealed", *whose), instruments),
        "expires_at": body.expires_at,
        "secrecy_sealed": sealed(secrecy, DISCLOSURES.at("secrecy_sealed", *whose), instruments),
        "secret_until": None if body.secrecy is None else body.secrecy.review_at,
        "subject": principal.subject,
        "client": principal.client,
        "token_id": principal.token_id,
        "unit": principal.unit,
        "roles": sorted(principal.roles & ASKING),
        "asked_at": now,
        "lapses_at": min(now + instruments.disclosure_waits, body.expires_at),
    }
    await disclosures.add_disclosure(session, row)
    await cases.touch_case(session, case.tenant, code)
    await cases.add_timeline(session, case.tenant, code, [told(row, "disclosure_asked", now)])
    texts = {"reference_sealed": reference, "secrecy_sealed": secrecy}
    statement = DISCLOSURES.statement("disclosure_asked", code, now, row, texts)
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)
    return await again(session, principal, case.tenant, code, disclosure_id, now)


async def show_all(
    session: AsyncSession, principal: Principal, tenant: str, code: str, now: datetime, instruments: Instruments
) -> schemas.DisclosuresShown:
    """All disclosures of a case that the caller has looked up already."""
    rows = await disclosures.read_disclosures(session, own(principal), tenant, code)
    return schemas.DisclosuresShown(case=code, disclosures=tuple(shown(row, now, instruments) for row in rows))


async def asked(
    session: AsyncSession, principal: Principal, code: str, disclosure: UUID, now: datetime
) -> schemas.DisclosureTold:
    """The answer to the request that asked for it, made anew. Raises NotFound."""
    tenant = await cases.tenant_of(session, own(principal), principal.cells, code)
    if tenant is None:
        raise NotFound
    return await again(session, principal, tenant, code, disclosure, now)


def _check_terms(body: schemas.NewDisclosure, now: datetime, instruments: Instruments) -> None:
    latest = now + instruments.disclosure_at_most
    times = {"/expires_at": body.expires_at}
    if body.secrecy is not None:
        times["/secrecy/review_at"] = body.secrecy.review_at
    errors = [
        FieldError(pointer=pointer, code="not-ahead", message="lies ahead, and not too far")
        for pointer, at in times.items()
        if not now < at <= latest
    ]
    errors += [
        FieldError(pointer=f"/categories/{number}", code="never-reaches", message="never reaches this recipient")
        for number, category in enumerate(body.categories)
        if category is Category.OPERATIONAL or not may_reach(category, body.recipient.agency, adult=True)
    ]
    if errors:
        raise InvalidInput(errors)


async def again(
    session: AsyncSession,
    principal: Principal,
    tenant: str,
    code: str,
    disclosure: UUID,
    now: datetime,
) -> schemas.DisclosureTold:
    """Where a disclosure stands; it leaves no look, so that it opens nothing (law 6). Raises NotFound."""
    row = await disclosures.read_disclosure(session, own(principal), tenant, code, disclosure)
    if row is None:
        raise NotFound
    return _told(row, now)


def _told(row: AnyRow, now: datetime) -> schemas.DisclosureTold:
    return schemas.DisclosureTold(
        disclosure=row.id,
        case=row.case_code,
        state=_state(row, now),
        agency=Agency(row.agency),
        organisation=row.organisation,
        categories=tuple(Category(each) for each in row.categories),
        expires_at=row.expires_at,
        asked_at=row.asked_at,
        lapses_at=row.lapses_at,
        decided_at=row.decided_at,
        consent=row.consent,
        ended_at=row.ended_at,
    )


def _state(row: AnyRow, now: datetime) -> Literal["asked", "approved", "refused", "lapsed", "ended"]:
    if row.ended_at is not None:
        return "ended"
    state: Literal["asked", "approved", "refused", "lapsed"] | None = row.decision
    return state or ("lapsed" if row.lapses_at <= now else "asked")


def shown(row: AnyRow, now: datetime, instruments: Instruments) -> schemas.DisclosureShown:
    """A disclosure with what was decided, opened."""
    whose = (row.id, row.tenant, row.case_code)
    secret = opened(row.secrecy_sealed, DISCLOSURES.at("secrecy_sealed", *whose), instruments)
    return schemas.DisclosureShown(
        **_told(row, now).model_dump(),
        basis=row.basis,
        reference=opened(row.reference_sealed, DISCLOSURES.at("reference_sealed", *whose), instruments) or "",
        secrecy=None
        if secret is None
        else schemas.SecrecyShown(reference=secret, review_at=row.secret_until, in_force=row.secret_until > now),
        asked_by=row.subject,
        asked_by_unit=row.unit,
        decided_by=row.decided_by,
        decided_by_unit=row.decided_by_unit,
        reason=opened(
            row.reason_sealed, DECISIONS.at("reason_sealed", row.decision_id, row.tenant, row.id), instruments
        ),
        ended_by=row.ended_by,
        ended_by_unit=row.ended_by_unit,
        why_ended=opened(
            row.ending_reason_sealed, ENDINGS.at("reason_sealed", row.ending_id, row.tenant, row.id), instruments
        ),
    )


def told(row: Mapping[str, Any], kind: str, now: datetime) -> dict[str, Any]:
    """A line of the timeline. `secret_until` says of it that she is not shown it before."""
    detail: dict[str, JsonValue] = {"disclosure": str(row["id"]), "categories": list(row["categories"])}
    if row["secret_until"] is not None:
        detail["secret_until"] = row["secret_until"].isoformat()
    return {**entry(now, kind, **detail), "agency": row["agency"], "organisation": row["organisation"]}


def sealed(text: bytes | None, place: Place, instruments: Instruments) -> bytes | None:
    """A free text sealed at rest in its place."""
    return None if text is None else instruments.at_rest.seal(text, **place)


def opened(text_sealed: bytes | None, place: Place, instruments: Instruments) -> str | None:
    """A free text opened."""
    return None if text_sealed is None else instruments.at_rest.open(text_sealed, **place).decode()
