"""What an organisation reports: its own record, the referral's state, the sealed fact and the ledger's row, together.

A referral must once have been opened to the organisation; whether it still is, is not asked: an act done stays an act,
and the cell decides what becomes of it. To anybody else it is 404.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger, outbox
from amanat.agency import repository
from amanat.agency.instruments import Instruments
from amanat.agency.reading import OWN_COLUMN, OWN_RECORDS
from amanat.agency.schemas import Reported
from amanat.consent import Access, own
from amanat.contracts.base import Fact
from amanat.contracts.records import Record
from amanat.db import AnyRow
from amanat.errors import Conflict, NotFound
from amanat.principal import Principal

SENT = "sent"
"""A referral's state when it has arrived and nobody here has acted on it."""


@dataclass(frozen=True)
class Act:
    """One kind of report. `record` names it, `becomes` is the referral's state after it.

    `not_after` gives the refusal for each state in which it cannot be: an act that was already done, for instance.
    """

    record: str
    becomes: str
    not_after: Mapping[str, type[Conflict]] = field(default_factory=dict)


@dataclass(frozen=True)
class By:
    """Who recorded: the organisation's access to its own, and the token's subject and id."""

    access: Access
    subject: str
    token_id: str

    @classmethod
    def principal(cls, principal: Principal) -> By:
        return cls(own(principal), principal.subject, principal.token_id)


async def report(
    session: AsyncSession,
    principal: Principal,
    code: str,
    act: Act,
    fact: Fact,
    record: Record,
    now: datetime,
    instruments: Instruments,
) -> Reported:
    """Keeps an act on a referral and sends the fact. Raises NotFound, or the Conflict that `act` names."""
    referral = await repository.lock_referral(session, own(principal), repository.of_code(code))
    if referral is None:
        raise NotFound
    refused = act.not_after.get(referral.state)
    if refused is not None:
        raise refused
    record_id = await keep(
        session,
        By.principal(principal),
        referral,
        kind=act.record,
        fields=fields_of(record),
        fact=fact,
        becomes=act.becomes,
        now=now,
        instruments=instruments,
    )
    return Reported(referral=code, state=act.becomes, record=record_id)


async def reported(session: AsyncSession, principal: Principal, code: str, record: UUID) -> Reported:
    """The answer to a replay, as it stands now. Raises NotFound."""
    state = await repository.state_of(session, own(principal), code)
    if state is None:
        raise NotFound
    return Reported(referral=code, state=state, record=record)


def fields_of(record: Record) -> dict[str, JsonValue]:
    """A record's set fields as JSON values."""
    fields: dict[str, JsonValue] = record.model_dump(mode="json", exclude_none=True)
    return fields


async def keep(
    session: AsyncSession,
    by: By,
    referral: AnyRow,
    *,
    kind: str,
    fields: dict[str, JsonValue],
    fact: Fact,
    now: datetime,
    instruments: Instruments,
    becomes: str | None = None,
    record_id: UUID | None = None,
    recorded_at: datetime | None = None,
) -> UUID:
    """Writes one own record of a referral that the caller has locked, and its fact. Returns the record's id."""
    record_id = record_id or instruments.new_id()
    tenant, code, seq = by.access.organisation, str(referral.code), int(referral.next_seq)
    plaintext = json.dumps(fields).encode()
    sealed = instruments.at_rest.seal(plaintext, **OWN_RECORDS.at(OWN_COLUMN, record_id, tenant, code))
    await repository.advance(session, by.access, code, {} if becomes is None else {"state": becomes})
    row = {
        "tenant": tenant,
        "id": record_id,
        "referral": code,
        "kind": kind,
        "sealed": sealed,
        "recorded_at": recorded_at or now,
        "recorded_by": by.subject,
        "seq": seq,
    }
    await repository.add_own_record(session, row)
    await send(session, fact, tenant=tenant, seq=seq, now=now, instruments=instruments)
    statement = OWN_RECORDS.statement(kind, code, now, row, {OWN_COLUMN: plaintext}, token=by.token_id)
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)
    return record_id


async def send(
    session: AsyncSession, fact: Fact, *, tenant: str, seq: int | None, now: datetime, instruments: Instruments
) -> None:
    """Signs and seals a fact for the gate and saves it in the outbox, in the caller's transaction."""
    event_id = instruments.new_id()
    sealed = instruments.sealer.seal(fact, event_id=event_id, type=fact.type, referral=fact.referral, time=now)
    await outbox.add(
        session,
        outbox.row(
            topic=f"facts.{instruments.agency}",
            event=sealed,
            event_id=event_id,
            tenant=tenant,
            seq=seq,
            now=now,
            source=f"/{instruments.agency}",
        ),
    )
