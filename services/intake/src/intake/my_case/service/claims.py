"""The cell gives her a claim code, prints it if she wants, and ends it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.consent import own
from amanat.db import AnyRow, Database
from amanat.errors import NotFound
from amanat.principal import Principal
from intake.my_case import schemas
from intake.my_case.repository import claims
from intake.my_case.service.pins import PREFIX, check_pins, new_code, spelled, spelled_word
from intake.my_case.service.secret_words import bound_to
from intake.my_case.service.tools import Tools
from intake.repository import cases
from intake.service.cases import entry
from intake.service.sources import CLAIMS


@dataclass(frozen=True)
class Chosen:
    """What she chose for the page of one case, hashed: made before the transaction, which must not wait for Argon2."""

    tenant: str
    case: str
    code: str = field(repr=False)
    hashes: Mapping[str, str] = field(repr=False)


async def choose(database: Database, principal: Principal, case: str, body: schemas.NewClaim, tools: Tools) -> Chosen:
    """Hashes what she chose, for a new code of this case. Raises WeakPin, NotFound, Unavailable when too many wait."""
    pin = body.pin.get_secret_value()
    duress = body.duress_pin.get_secret_value() if body.duress_pin is not None else None
    check_pins(pin, duress)
    async with database.transaction(principal.tenants) as session:
        tenant = await cases.tenant_of(session, own(principal), principal.tenants, case)
    if tenant is None:
        raise NotFound
    code = new_code(PREFIX, tools.instruments.randomness)
    of, words = bound_to(tools.claim_digest(code), tenant, case), tools.words

    def hashed() -> dict[str, str]:
        return {
            "pin_hash": words.hash("pin", of, spelled(pin)),
            "duress_hash": words.hash("duress", of, spelled(duress)) if duress else words.none("duress", of),
            "code_word_hash": words.hash("code word", of, spelled_word(body.code_word.get_secret_value())),
        }

    async with tools.cells_turns.turn():
        return Chosen(tenant, case, code, await asyncio.to_thread(hashed))


async def issue(
    session: AsyncSession,
    principal: Principal,
    chosen: Chosen,
    language: schemas.Language,
    now: datetime,
    tools: Tools,
) -> schemas.ClaimIssued:
    """A new code for the case's page; the one before it ends, with all visits that it opened. Raises NotFound."""
    instruments, case = tools.instruments, chosen.case
    tenant = await _locked(session, principal, case)
    if tenant != chosen.tenant:
        raise NotFound
    ended = await claims.end_claim(session, tenant, case, now)
    claim = instruments.new_id()
    row = {
        "id": claim,
        "tenant": tenant,
        "case_code": case,
        "digest": tools.claim_digest(chosen.code),
        "language": language,
        **chosen.hashes,
        "issued_at": now,
    }
    place = _place(claim, tenant, case)
    await claims.add_claim(session, {**row, "code_sealed": instruments.at_rest.seal(chosen.code.encode(), **place)})
    issued_one = CLAIMS.statement("claim_issued", case, now, row, claim=str(claim))
    await _note(session, tenant, case, [*_ended(tenant, case, ended, now), issued_one], now, tools)
    return schemas.ClaimIssued(case=case, claim=claim, code=chosen.code, address=tools.address, issued_at=now)


async def issued(
    session: AsyncSession, principal: Principal, case: str, claim: UUID, tools: Tools
) -> schemas.ClaimIssued:
    """The answer to the request that issued a claim, made anew while it lives. Raises NotFound."""
    row = await _live(session, principal, case)
    if row.id != claim:
        raise NotFound
    return schemas.ClaimIssued(
        case=case, claim=row.id, code=open_code(row, tools), address=tools.address, issued_at=row.issued_at
    )


async def end(
    session: AsyncSession, principal: Principal, case: str, now: datetime, tools: Tools
) -> schemas.ClaimEnded:
    """Ends the case's claim, and every visit. Repeating it changes nothing. Raises NotFound if there never was one."""
    tenant = await _locked(session, principal, case)
    ended = await claims.end_claim(session, tenant, case, now)
    if ended is not None:
        await _note(session, tenant, case, _ended(tenant, case, ended, now), now, tools)
    at = await claims.last_ended(session, [tenant], case)
    if at is None:
        raise NotFound
    return schemas.ClaimEnded(case=case, ended_at=at)


async def print_out(
    session: AsyncSession, principal: Principal, case: str, now: datetime, tools: Tools
) -> tuple[str, schemas.Language]:
    """The code of the case's live claim, and the language that she chose; that it was printed is on the timeline."""
    tenant = await _locked(session, principal, case)
    row = await _live(session, principal, case)
    await cases.touch_case(session, tenant, case)
    await cases.add_timeline(session, tenant, case, [entry(now, "claim_printed", claim=str(row.id))])
    return open_code(row, tools), row.language


def open_code(row: AnyRow, tools: Tools) -> str:
    """The code, as it rests sealed in a claim's row."""
    return tools.instruments.at_rest.open(row.code_sealed, **_place(row.id, row.tenant, row.case_code)).decode()


def _place(claim: UUID, tenant: str, case: str) -> dict[str, str]:
    """Where a code rests sealed: in the claim of this case, and of no other."""
    return {"table": "claims", "row": f"{claim}/{tenant}/{case}", "column": "code_sealed"}


async def _live(session: AsyncSession, principal: Principal, case: str) -> AnyRow:
    row = await claims.read_claim(session, principal.tenants, case)
    if row is None:
        raise NotFound
    return row


async def _locked(session: AsyncSession, principal: Principal, case: str) -> str:
    row = await cases.lock_case(session, principal.tenants, case)
    if row is None:
        raise NotFound
    return str(row.tenant)


def _ended(tenant: str, case: str, ended: UUID | None, now: datetime) -> list[ledger.Statement]:
    return [] if ended is None else [ledger.Statement(tenant, "claim_ended", case, now, {"claim": str(ended)})]


async def _note(
    session: AsyncSession, tenant: str, case: str, stated: list[ledger.Statement], now: datetime, tools: Tools
) -> None:
    await cases.touch_case(session, tenant, case)
    await cases.add_timeline(session, tenant, case, [entry(now, each.kind, **each.said) for each in stated])
    await ledger.enter(session, stated, tools.instruments.at_rest, tools.instruments.randomness)
