"""What is decided of a disclosure outside: by a second person of another role and unit than who asked, or by time.

An approved one is a consent event with that basis: the plan that serves her own consents opens it, from the cell's
original and under the same ceilings, and ends it when it expires.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Category
from amanat.consent import GrantTerms, Recipient, own
from amanat.db import AnyRow
from amanat.errors import NotFound
from amanat.principal import Principal
from intake.break_glass import schemas
from intake.break_glass.errors import AlreadyDecided, DisclosureLapsed, SecondPersonNeeded
from intake.break_glass.repository import disclosures
from intake.break_glass.service.disclosures import DECIDING, again, opened, sealed, told
from intake.changes import Changes
from intake.my_case.service.calls import owe
from intake.repository import cases
from intake.service.consents import add_grant
from intake.service.instruments import Instruments
from intake.service.loading import load, plan_all, save, setting_of
from intake.service.recipients import check_recipient
from intake.service.sources import DECISIONS, DISCLOSURES, line

Decision = Literal["approved", "refused", "lapsed"]


async def approve(
    session: AsyncSession,
    principal: Principal,
    code: str,
    disclosure: UUID,
    now: datetime,
    instruments: Instruments,
) -> schemas.DisclosureTold:
    """The second person's yes: the grant is effective with this transaction, and the cell owes her a call, now or when
    a court's secrecy has ended. Said again by the same person it changes nothing. Raises NotFound, SecondPersonNeeded,
    AlreadyDecided, DisclosureLapsed, UnknownRecipient.
    """
    case = await load(session, own(principal), principal.cells, code, instruments)
    row = await _undecided(session, principal, case.tenant, code, disclosure, "approved", now)
    if row is not None:
        recipient = Recipient(agency=row.agency, organisation=row.organisation)
        check_recipient(recipient, "", case.tenant, instruments)
        terms = GrantTerms(
            recipient=recipient,
            categories=frozenset(Category(each) for each in row.categories),
            basis=row.basis,
            basis_reference=opened(
                row.reference_sealed, DISCLOSURES.at("reference_sealed", row.id, case.tenant, code), instruments
            ),
            expires_at=row.expires_at,
        )
        changes = Changes()
        line_told = told(row._asdict(), "disclosure_approved", now)
        consent_id = add_grant(case, changes, terms, "", instruments, now, told=line_told["detail"])
        changes.timeline.append(line_told)
        if row.secret_until is None or row.secret_until <= now:
            await owe(session, case.tenant, code, "disclosed_outside", instruments.new_id(), now)
        decision = decision_row(row, "approved", now, instruments, principal=principal, consent=consent_id)
        await disclosures.add_decision(session, decision)
        changes.ledger.append(line(DECISIONS, "disclosure_approved", code, decision, reason_sealed=None))
        minter = instruments.minter()
        plan_all(changes, case, setting_of(case, minter, instruments, now))
        await save(session, case, changes, minter, instruments, now)
    return await again(session, principal, case.tenant, code, disclosure, now)


async def refuse(
    session: AsyncSession,
    principal: Principal,
    code: str,
    disclosure: UUID,
    body: schemas.NewRefusal,
    now: datetime,
    instruments: Instruments,
) -> schemas.DisclosureTold:
    """The second person's no, with its reason. Raises what `approve` raises."""
    case = await cases.lock_case(session, principal.cells, code)
    if case is None:
        raise NotFound
    row = await _undecided(session, principal, case.tenant, code, disclosure, "refused", now)
    if row is not None:
        reason = body.reason.encode()
        decision = decision_row(row, "refused", now, instruments, principal=principal, reason=reason)
        await enter_decision(session, row, decision, reason, now, instruments)
    return await again(session, principal, case.tenant, code, disclosure, now)


def decision_row(
    asked_for: AnyRow,
    decision: Decision,
    now: datetime,
    instruments: Instruments,
    *,
    principal: Principal | None = None,
    consent: UUID | None = None,
    reason: bytes | None = None,
) -> dict[str, Any]:
    """The row of a decision; time's own (`lapsed`) has nobody."""
    decision_id = instruments.new_id()
    return {
        "id": decision_id,
        "tenant": asked_for.tenant,
        "disclosure": asked_for.id,
        "decision": decision,
        "consent": consent,
        "reason_sealed": sealed(
            reason, DECISIONS.at("reason_sealed", decision_id, asked_for.tenant, asked_for.id), instruments
        ),
        "subject": None if principal is None else principal.subject,
        "client": None if principal is None else principal.client,
        "token_id": None if principal is None else principal.token_id,
        "unit": None if principal is None else principal.unit,
        "decided_at": now,
    }


async def enter_decision(
    session: AsyncSession,
    asked_for: AnyRow,
    decision: Mapping[str, Any],
    reason: bytes | None,
    now: datetime,
    instruments: Instruments,
) -> None:
    """Writes a decision that grants nothing, on a case that is locked: row, timeline, ledger."""
    tenant, code, kind = asked_for.tenant, asked_for.case_code, f"disclosure_{decision['decision']}"
    await disclosures.add_decision(session, dict(decision))
    await cases.touch_case(session, tenant, code)
    await cases.add_timeline(session, tenant, code, [told(asked_for._asdict(), kind, now)])
    statement = DECISIONS.statement(kind, code, now, decision, {"reason_sealed": reason})
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)


async def _undecided(
    session: AsyncSession,
    principal: Principal,
    tenant: str,
    code: str,
    disclosure: UUID,
    decision: Decision,
    now: datetime,
) -> AnyRow | None:
    """What this person may decide now; None if the same person decided just so before. The case is locked."""
    row = await disclosures.read_disclosure(session, own(principal), tenant, code, disclosure)
    if row is None:
        raise NotFound
    if not second_person(principal, row):
        raise SecondPersonNeeded
    if row.decision is not None:
        if (row.decided_by, row.decision) == (principal.subject, decision):
            return None
        raise DisclosureLapsed if row.decision == "lapsed" else AlreadyDecided
    if row.lapses_at <= now:
        raise DisclosureLapsed
    return row


def second_person(principal: Principal, asked_for: AnyRow) -> bool:
    """Another person, another unit, another role, by the tokens of both; who has no unit is nobody's second."""
    return (
        principal.subject != asked_for.subject
        and bool(principal.unit and asked_for.unit)
        and principal.unit.casefold() != asked_for.unit.casefold()
        and bool(principal.roles & DECIDING)
        and not principal.roles & set(asked_for.roles)
    )


async def lapse(session: AsyncSession, tenant: str, code: str, now: datetime, instruments: Instruments) -> None:
    """Ends what nobody decided in time; asked for again it is another."""
    if await cases.lock_case(session, [tenant], code) is None:
        return
    for row in await disclosures.lapsed(session, tenant, code, now):
        await enter_decision(session, row, decision_row(row, "lapsed", now, instruments), None, now, instruments)
