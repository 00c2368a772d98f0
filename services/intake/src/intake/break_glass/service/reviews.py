"""Who answers for an emergency: the supervisor of the case's cell, within a day, and never the clinician herself."""

from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Category
from amanat.consent import own
from amanat.db import AnyRow, Database
from amanat.errors import NotFound
from amanat.looks import fetch
from amanat.principal import Principal
from intake.break_glass import schemas
from intake.break_glass.errors import AlreadyReviewed, AnotherPersonReviews
from intake.break_glass.repository import emergencies
from intake.repository import cases
from intake.service.cases import entry
from intake.service.instruments import Instruments
from intake.service.sources import EMERGENCIES, EMERGENCY_REVIEWS

PURPOSE = "emergency_review"
_LATE = Counter("amanat_emergencies_not_reviewed_total", "Clinical emergencies that nobody reviewed in time")
_log = structlog.get_logger(__name__)


async def list_unreviewed(session: AsyncSession, principal: Principal, now: datetime) -> schemas.EmergenciesListed:
    """What waits for a review: at one's own cell's cases; and, for information, what one's own clinicians opened at
    another's, without the case's code. Operational, so no look: the reason is not among it.
    """
    rows = await emergencies.list_unreviewed(session, own(principal), principal.cells)
    return schemas.EmergenciesListed(
        emergencies=tuple(
            schemas.EmergencyListed(
                emergency=row.id,
                case=row.case_code if row.tenant in principal.cells else None,
                cell=row.tenant,
                clinician=row.subject,
                clinician_cell=row.clinician_cell,
                unit=row.unit,
                opened_at=row.opened_at,
                open_until=row.open_until,
                review_due_at=row.review_due_at,
                overdue=row.review_due_at <= now,
                for_information=row.tenant not in principal.cells,
            )
            for row in rows
        )
    )


async def look_at_review(
    database: Database, principal: Principal, emergency: UUID, now: datetime, instruments: Instruments
) -> schemas.ReviewShown:
    """The emergency with its reason, which may say anything of her and counts as care: the look is committed first.

    Raises NotFound.
    """
    access = own(principal)
    async with database.transaction(principal.cells) as session:
        found = await emergencies.find_of_cell(session, access, principal.cells, emergency)
    rows = await fetch(
        database,
        tenants=principal.cells,
        look=instruments.look(
            principal,
            tenant=principal.organisation if found is None else found.tenant,
            code=str(emergency) if found is None else found.case_code,
            refused=instruments.macs.refusal(str(emergency)),
            purpose=PURPOSE,
            categories=(Category.CARE,),
            at=now,
        ),
        statement=emergencies.review_statement(access, principal.cells, emergency),
    )
    if not rows:
        raise NotFound
    return _shown(rows[0], now, instruments)


async def review(
    session: AsyncSession,
    principal: Principal,
    emergency: UUID,
    body: schemas.NewReview,
    now: datetime,
    instruments: Instruments,
) -> schemas.ReviewRecorded:
    """Records what the supervisor found; late is never refused. Said again by the same person it changes nothing.

    An emergency found unjustified is not read again, whatever is left of its time. Raises NotFound,
    AnotherPersonReviews, AlreadyReviewed.
    """
    access = own(principal)
    found = await emergencies.find_of_cell(session, access, principal.cells, emergency)
    if found is None:
        raise NotFound
    if principal.subject == found.subject:
        raise AnotherPersonReviews
    tenant, code = found.tenant, found.case_code
    await cases.lock_case(session, [tenant], code)
    known = await emergencies.review_of(session, access, tenant, emergency)
    if known is not None:
        if (known.subject, known.finding) != (principal.subject, body.finding):
            raise AlreadyReviewed
        return schemas.ReviewRecorded(emergency=emergency, finding=known.finding, reviewed_at=known.reviewed_at)
    review_id, note = instruments.new_id(), body.note.encode()
    row = {
        "id": review_id,
        "tenant": tenant,
        "emergency": emergency,
        "clinician_cell": found.clinician_cell,
        "finding": body.finding,
        "note_sealed": instruments.at_rest.seal(
            note, **EMERGENCY_REVIEWS.at("note_sealed", review_id, tenant, emergency)
        ),
        "subject": principal.subject,
        "client": principal.client,
        "token_id": principal.token_id,
        "unit": principal.unit,
        "reviewed_at": now,
    }
    if not await emergencies.add_review(session, row):
        raise AlreadyReviewed
    await cases.touch_case(session, tenant, code)
    late = now > found.review_due_at
    told = entry(now, "emergency_reviewed", emergency=str(emergency), finding=body.finding, late=late)
    await cases.add_timeline(session, tenant, code, [told])
    statement = EMERGENCY_REVIEWS.statement("emergency_reviewed", code, now, row, {"note_sealed": note})
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)
    return schemas.ReviewRecorded(emergency=emergency, finding=body.finding, reviewed_at=now)


async def note_unreviewed(session: AsyncSession, tenant: str, code: str, now: datetime) -> None:
    """Puts emergencies on the timeline whose review is overdue, each once."""
    if await cases.lock_case(session, [tenant], code) is None:
        return
    rows = await emergencies.note_unreviewed(session, tenant, code, now)
    if not rows:
        return
    await cases.touch_case(session, tenant, code)
    late = [
        entry(now, "emergency_not_reviewed", emergency=str(row.id), review_due_at=row.review_due_at.isoformat())
        for row in rows
    ]
    await cases.add_timeline(session, tenant, code, late)
    for row in rows:
        _LATE.inc()
        _log.error("emergency_not_reviewed", emergency=str(row.id), cell=tenant, clinician_cell=row.clinician_cell)


def _shown(row: AnyRow, now: datetime, instruments: Instruments) -> schemas.ReviewShown:
    reason = instruments.at_rest.open(
        row.reason_sealed, **EMERGENCIES.at("reason_sealed", row.emergency, row.tenant, row.case_code)
    )
    note = None
    if row.review is not None:
        note = instruments.at_rest.open(
            row.note_sealed, **EMERGENCY_REVIEWS.at("note_sealed", row.review, row.tenant, row.emergency)
        ).decode()
    return schemas.ReviewShown(
        emergency=row.emergency,
        case=row.case_code,
        clinician=row.subject,
        clinician_cell=row.clinician_cell,
        unit=row.unit,
        found_by=row.found_by,
        reason=reason.decode(),
        opened_at=row.opened_at,
        open_until=row.open_until,
        review_due_at=row.review_due_at,
        overdue=(row.reviewed_at or now) > row.review_due_at,
        finding=row.finding,
        note=note,
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
    )
