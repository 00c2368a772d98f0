"""A clinical emergency: one clinician reads care and identity of one case, in whichever cell, at once.

First everything is on record and committed: the emergency with its reason, the look, both their ledger entries, the
timeline. Only then is anything opened (law 6), and nothing but the two categories ever is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import PERSONAL, Agency, Category
from amanat.clocks import due
from amanat.codes import PREFIX, BadCode, parse_code
from amanat.consent import own
from amanat.contracts.records import RECORDS, project
from amanat.db import Database, narrow
from amanat.errors import NotFound, Refused
from amanat.looks import Look, fetch_within
from amanat.looks import record as record_looks
from amanat.principal import Principal
from intake.break_glass import schemas
from intake.break_glass.errors import EmergencyOver, NameOneCase, SeveralCases
from intake.break_glass.repository import emergencies
from intake.my_case.service.calls import owe
from intake.repository import cases
from intake.service.cases import INDEXED, entry
from intake.service.instruments import Instruments
from intake.service.sources import EMERGENCIES, RECORDS_OF_CASES

PURPOSE = "clinical_emergency"
OPENED: tuple[Literal[Category.CARE, Category.IDENTITY], ...] = (Category.CARE, Category.IDENTITY)
"""All that an emergency opens, whatever the case holds. Source: DESIGN.md, "Identity and access"."""
Place = tuple[str, str]
"""(cell, case code)"""


@dataclass(frozen=True)
class Looked:
    """What a look on record may open once its transaction has committed: sealed rows; none if it found nothing.

    `over` tells a clinician's own emergency, whose time is over, from one that is not hers.
    """

    rows: Sequence[Row[Any]]
    over: bool = False


class NotOneCase(Exception):
    """None, or several, bear what was given: the transaction is undone, and what was asked goes on record by itself."""

    def __init__(self, places: Sequence[Place], asked: str) -> None:
        super().__init__(len(places))
        self.places = places
        self.asked = asked

    @property
    def refused(self) -> Refused:
        """What the clinician is told."""
        return SeveralCases(len(self.places)) if self.places else NotFound()


def everywhere(principal: Principal, instruments: Instruments) -> frozenset[str]:
    """The cells in which the case is searched for: the directory's, whatever her token names. Hers is one of them."""
    return frozenset({cell.id for cell in instruments.directory.cells} | {principal.organisation})


async def open_emergency(
    session: AsyncSession, principal: Principal, body: schemas.NewEmergency, now: datetime, instruments: Instruments
) -> tuple[UUID, Looked]:
    """Puts an emergency and its look on record. The session sees the cells of `everywhere` until the case is found,
    then that case's cell (and her own, whose idempotency row it wrote). Opens nothing: see `show`.

    Raises NameOneCase, NotOneCase.
    """
    field, value = _named(body)
    places, asked = await _locate(session, principal, field, value, instruments)
    if len(places) != 1:
        raise NotOneCase(places, asked)
    [(tenant, code)] = places
    await narrow(session, {tenant, principal.organisation})
    await cases.lock_case(session, [tenant], code)
    emergency_id, reason = instruments.new_id(), body.reason.encode()
    until = now + instruments.emergency_lasts
    review_due_at = min(rule.due_at for rule in due(instruments.clock_rules, "emergency_opened", now))
    row = {
        "id": emergency_id,
        "tenant": tenant,
        "case_code": code,
        "clinician_cell": principal.organisation,
        "subject": principal.subject,
        "client": principal.client,
        "token_id": principal.token_id,
        "unit": principal.unit,
        "found_by": field,
        "reason_sealed": instruments.at_rest.seal(
            reason, **EMERGENCIES.at("reason_sealed", emergency_id, tenant, code)
        ),
        "opened_at": now,
        "open_until": until,
        "review_due_at": review_due_at,
    }
    await emergencies.add_emergency(session, row)
    await cases.touch_case(session, tenant, code)
    opened = entry(
        now,
        "emergency_opened",
        emergency=str(emergency_id),
        cell=principal.organisation,
        open_until=until.isoformat(),
        review_due_at=review_due_at.isoformat(),
    )
    await cases.add_timeline(session, tenant, code, [opened])
    await owe(session, tenant, code, "emergency_opened", instruments.new_id(), now)
    looked = await _look(session, principal, (tenant, code), emergency_id, now, instruments)
    statement = EMERGENCIES.statement("emergency_opened", code, now, row, {"reason_sealed": reason})
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)
    return emergency_id, looked


async def look_again(
    session: AsyncSession, principal: Principal, emergency: UUID, now: datetime, instruments: Instruments
) -> Looked:
    """A look of its own at what her emergency opened, or a refusal, on record. Sees only her own cell at first, then
    the case's alone beside it."""
    await narrow(session, {principal.organisation})
    found = await emergencies.find_of_clinician(
        session, own(principal), principal.organisation, principal.subject, emergency
    )
    if found is not None:
        await narrow(session, {found.tenant, principal.organisation})
    place = None if found is None else (found.tenant, found.case_code)
    return await _look(session, principal, place, emergency, now, instruments)


def show(looked: Looked, instruments: Instruments) -> schemas.EmergencyShown:
    """Opens what a committed look found: care and identity, as contracts know them. Raises NotFound, EmergencyOver."""
    if not looked.rows:
        raise EmergencyOver if looked.over else NotFound
    first = looked.rows[0]
    return schemas.EmergencyShown(
        emergency=first.emergency,
        case=first.case_code,
        cell=first.tenant,
        opened_at=first.opened_at,
        open_until=first.open_until,
        review_due_at=first.review_due_at,
        records=tuple(
            shown for row in looked.rows if row.record_id is not None for shown in _records(row, instruments)
        ),
    )


async def record_nothing(
    database: Database, principal: Principal, nothing: NotOneCase, now: datetime, instruments: Instruments
) -> None:
    """Commits what is on record of an emergency that was not opened. None found: a refusal at her own cell. Several:
    each of them gets a look at nothing and a line on its timeline, since she has learned that there are such cases.
    """
    if not nothing.places:
        async with database.transaction({principal.organisation}) as session:
            refusal = _look_of(principal, None, nothing.asked, (), now, instruments)
            await record_looks(session, [refusal], found=False)
        return
    async with database.transaction({tenant for tenant, _ in nothing.places}) as session:
        for tenant, code in nothing.places:
            await cases.lock_case(session, [tenant], code)
        for tenant, code in nothing.places:
            await cases.touch_case(session, tenant, code)
            asked = entry(now, "emergency_asked", cell=principal.organisation)
            await cases.add_timeline(session, tenant, code, [asked])
        looks = [_look_of(principal, place, nothing.asked, (), now, instruments) for place in nothing.places]
        await record_looks(session, looks, found=True)
        for each in looks:
            await emergencies.add_look(session, each.tenant, each.id, principal.organisation)


def _named(body: schemas.NewEmergency) -> tuple[str, str]:
    given = [(name, value) for name in ("case", *INDEXED) if (value := getattr(body, name)) is not None]
    if len(given) != 1:
        raise NameOneCase
    return given[0]


async def _locate(
    session: AsyncSession, principal: Principal, field: str, value: str, instruments: Instruments
) -> tuple[Sequence[Place], str]:
    """Where the case is, and what stands for the question in a refusal: never the identifier itself."""
    access, cells = own(principal), everywhere(principal, instruments)
    if field == "case":
        try:
            code = parse_code(value, PREFIX[Agency.INTAKE])
        except BadCode:
            return [], value
        return await emergencies.locate_code(session, access, cells, code), code
    digests: Mapping[str, bytes] = {cell: instruments.index.index(cell, field, value) for cell in cells}
    asked = b"".join(sorted(digests.values())).hex()
    return await emergencies.locate(session, access, field, digests), asked


async def _look(
    session: AsyncSession,
    principal: Principal,
    place: Place | None,
    emergency: UUID,
    now: datetime,
    instruments: Instruments,
) -> Looked:
    made = _look_of(principal, place, str(emergency), OPENED, now, instruments)
    statement = emergencies.reading_statement(
        own(principal),
        made.tenant,
        emergency,
        (principal.organisation, principal.subject),
        [each.value for each in OPENED],
        now,
    )
    rows = await fetch_within(session, look=made, statement=statement)
    if rows:
        await emergencies.add_look(session, made.tenant, made.id, principal.organisation)
    return Looked(rows, over=place is not None)


def _look_of(
    principal: Principal,
    place: Place | None,
    asked: str,
    categories: Collection[Category],
    now: datetime,
    instruments: Instruments,
) -> Look:
    tenant, code = place or (principal.organisation, asked)
    return instruments.look(
        principal,
        tenant=tenant,
        code=code,
        refused=instruments.macs.refusal(asked),
        purpose=PURPOSE,
        categories=frozenset(categories) & PERSONAL,
        at=now,
    )


def _records(row: Row[Any], instruments: Instruments) -> list[schemas.EmergencyRecord]:
    opened = instruments.at_rest.open(
        row.sealed, **RECORDS_OF_CASES.at("sealed", row.record_id, row.tenant, row.case_code)
    )
    record = RECORDS[row.kind].parse(opened)
    return [
        schemas.EmergencyRecord(
            record=row.record_id, kind=row.kind, category=category, recorded_at=row.recorded_at, fields=fields
        )
        for category in OPENED
        # Her own office's originals: no ceiling of an agency holds here, nor does her age.
        if (fields := project(record, category, Agency.INTAKE, adult=True)) is not None
    ]
