"""She takes back a withdrawal that was made on her page: by her code word, under new consents and new epochs.

Who had her paper and her PIN could withdraw; giving again needs her voice and a word that stands on no paper.
"""

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Category
from amanat.consent import ConsentGiven, GrantTerms, own
from amanat.db import AnyRow, Database
from amanat.errors import FieldError, NotFound
from amanat.principal import Principal
from intake.my_case import schemas
from intake.my_case.errors import AlreadyUndone, CodeWordRefused, DecidersNeeded
from intake.my_case.repository import claims, sign_ins
from intake.my_case.service.pins import spelled_word
from intake.my_case.service.secret_words import bound_to
from intake.my_case.service.signing_in import MISSES_A_DAY, day_of, settle
from intake.my_case.service.tools import Tools
from intake.repository import cases
from intake.service import consents
from intake.service.cases import entry
from intake.service.loading import LoadedCase, load


async def undo(
    database: Database, principal: Principal, case: str, body: schemas.Undo, now: datetime, tools: Tools
) -> schemas.Undone:
    """Grants anew what one call's withdrawal took away. Raises NotFound, CodeWordRefused (five a day), AlreadyUndone,
    DecidersNeeded where others decided with her, and what giving a consent raises."""
    await _say_the_word(database, principal, case, body, now, tools)
    async with database.transaction(principal.tenants) as session:
        return await _give_again(session, principal, case, body, now, tools)


async def _say_the_word(
    database: Database, principal: Principal, case: str, body: schemas.Undo, now: datetime, tools: Tools
) -> None:
    """As a sign-in does: the try is on record first, then compared, then settled. Tries count by case and day; of one
    that is refused the timeline says whose it was."""
    async with tools.cells_turns.turn():
        async with database.transaction(principal.tenants) as session:
            call = await claims.find_call(session, principal.tenants, body.call)
            if call is None or call.case_code != case:
                raise NotFound
            # The word that she had chosen when it was taken back: a newer claim's could be anybody's at the cell.
            claim = await claims.read_claim_of(session, principal.tenants, call.claim)
            if claim is None or claim.case_code != case:
                raise NotFound
            digest = tools.instruments.macs.mac("code word", case.encode())
            await sign_ins.hold_claim(session, digest)
            form = tools.instruments.randomness(16)
            attempt = await sign_ins.add_attempt(session, digest, form, day_of(now), now, up_to=MISSES_A_DAY)
        word = spelled_word(body.code_word.get_secret_value())
        of = bound_to(claim.digest, claim.tenant, claim.case_code)
        right = await asyncio.to_thread(tools.words.matches, "code word", of, word, claim.code_word_hash)
        accepted = right and attempt.misses < MISSES_A_DAY
        await settle(database, digest, attempt.id, "hit" if accepted else "miss")
    if not accepted:
        await _note_refused(database, principal, case, body, now)
        raise CodeWordRefused


async def _note_refused(database: Database, principal: Principal, case: str, body: schemas.Undo, now: datetime) -> None:
    """Puts on the timeline who tried, in a transaction of its own: it stands though the request is refused.

    Whoever tries words at the cell's desk must know that the case says so. In the ledger it does not stand: what is
    her own page's goes into no court's file.
    """
    async with database.transaction(principal.tenants) as session:
        row = await cases.lock_case(session, principal.tenants, case)
        if row is not None:
            await cases.touch_case(session, row.tenant, case)
            refused = entry(now, "undo_refused", call=str(body.call), by=principal.subject)
            await cases.add_timeline(session, row.tenant, case, [refused])


async def _give_again(
    session: AsyncSession, principal: Principal, code: str, body: schemas.Undo, now: datetime, tools: Tools
) -> schemas.Undone:
    instruments = tools.instruments
    case = await load(session, own(principal), principal.cells, code, instruments)
    rows = await claims.undo_afar(session, case.tenant, body.call, now)
    if not rows:
        raise AlreadyUndone
    given, run_out = [], []
    for row in rows:
        terms = _terms(case, row, body)
        if terms.expires_at is not None and terms.expires_at <= now:
            run_out.append(row.consent_id)
            continue
        given.append(await consents.give(session, principal, code, terms, now, instruments))
    await cases.touch_case(session, case.tenant, code)
    await cases.add_timeline(session, case.tenant, code, [entry(now, "withdrawal_undone", call=str(body.call))])
    stated = ledger.Statement(case.tenant, "withdrawal_undone", code, now, {"call": str(body.call)})
    await ledger.enter(session, [stated], instruments.at_rest, instruments.randomness)
    return schemas.Undone(case=code, call=body.call, consents=tuple(given), run_out=tuple(run_out))


def _terms(case: LoadedCase, row: AnyRow, body: schemas.Undo) -> GrantTerms:
    """What she had given, of what she took back; by whom it is decided, explained and taken is today's."""
    before = next(e.terms for e in case.events if isinstance(e, ConsentGiven) and e.consent_id == row.consent_id)
    hers_alone = {decider.role for decider in before.deciders} == {"survivor"}
    if body.deciders is None and not hers_alone:
        raise DecidersNeeded([FieldError(pointer="/deciders", code="deciders-needed", message="say who decides now")])
    return before.model_copy(
        update={
            "categories": frozenset(Category(name) for name in row.categories),
            "deciders": before.deciders if body.deciders is None else body.deciders,
            "given_at": None,
            "language": body.language or before.language,
            "taken_by": body.taken_by,
            "witness": body.witness,
        }
    )
