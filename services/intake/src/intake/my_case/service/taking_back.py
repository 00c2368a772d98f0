"""She takes something back from afar: at once, and the cell is told to call her by the safe channel."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from amanat.categories import Agency, Category
from amanat.consent import Grant, own
from amanat.db import Database
from amanat.errors import NotFound
from intake.changes import Changes, Referral, Share
from intake.my_case import schemas
from intake.my_case.repository import claims
from intake.my_case.service.found import BY_LAW, Found
from intake.my_case.service.herself import herself
from intake.my_case.service.showing import Names
from intake.my_case.service.signing_in import Claim
from intake.my_case.service.tools import Tools
from intake.my_case.service.viewing import find
from intake.service.cases import entry
from intake.service.ending import CONSENTS, load_to_end, named_of
from intake.service.loading import LoadedCase
from intake.service.withdrawals import take_back

REASON = "withdrawn_from_afar"
Taken = list[tuple[Grant, frozenset[Category]]]


async def take_back_from_afar(
    database: Database, claim: Claim, wish: schemas.TakeBack, now: datetime, tools: Tools
) -> schemas.TakenBack:
    """Ends what she names, as far as it rests on consent, or on what does not open; keys, tombstones, the call and the
    timeline are one transaction. Repeating it changes nothing, and asks for no second call. Raises NotFound when the
    claim has ended.
    """
    she, instruments = herself(claim), tools.instruments
    access = own(she)
    async with database.transaction(she.tenants) as session:
        case = await load_to_end(session, access, she.cells, claim.case, instruments)
        live = await claims.read_claim(session, she.tenants, claim.case)
        if live is None or live.id != claim.id:
            raise NotFound
        taken = _taken(case, wish)

        def meant(referral: Referral, share: Share) -> bool:
            return _is_meant(wish, referral.agency, referral.organisation, share.category)

        # Of a consent that does not open nobody can tell what it holds: all that she means ends.
        blindly = CONSENTS in case.unread and any(named_of(referral, meant) for referral in case.referrals)
        call = instruments.new_id() if taken or blindly else None
        if call is not None:
            changes = Changes()
            await claims.add_call(
                session,
                {
                    "id": call,
                    "tenant": case.tenant,
                    "case_code": case.code,
                    "claim": claim.id,
                    "reason": REASON,
                    "at": now,
                },
            )
            if taken:
                await claims.add_afar(session, list(_rows(case, call, taken, now, tools)))
            changes.timeline.append(entry(now, REASON, call=str(call)))
            changes.state(REASON, case.code, call=str(call))
            await take_back(session, case, changes, taken, instruments, now, meant=meant)
        found = await find(session, access, claim, now, instruments)
    return _told(found, wish, call, now, Names(instruments, wish.language, claim.tenant))


def _taken(case: LoadedCase, wish: schemas.TakeBack) -> Taken:
    taken = []
    for grant in sorted(case.grants, key=lambda grant: (grant.given_at, str(grant.grant_id))):
        asked = frozenset(each for each in grant.categories if _is_meant(wish, grant.agency, grant.organisation, each))
        if asked and grant.basis not in BY_LAW:
            taken.append((grant, asked))
    return taken


def _is_meant(wish: schemas.TakeBack, agency: Agency, organisation: str, category: Category) -> bool:
    office = wish.agency is None or (wish.agency, wish.organisation) == (agency, organisation)
    return office and wish.category in (None, category)


def _rows(case: LoadedCase, call: UUID, taken: Taken, now: datetime, tools: Tools) -> Iterable[dict[str, object]]:
    for grant, categories in taken:
        yield {
            "id": tools.instruments.new_id(),
            "tenant": case.tenant,
            "case_code": case.code,
            "call_id": call,
            "consent_id": grant.grant_id,
            "agency": grant.agency,
            "organisation": grant.organisation,
            "categories": sorted(categories),
            "at": now,
        }


def _told(found: Found, wish: schemas.TakeBack, call: UUID | None, now: datetime, names: Names) -> schemas.TakenBack:
    return schemas.TakenBack(
        call=call,
        taken_back_at=now,
        ended=names.ended(
            each for each in found.over if _is_meant(wish, each.agency, each.organisation, each.category)
        ),
        stays=names.offices(
            each for each in found.shared if _is_meant(wish, each.agency, each.organisation, each.category)
        ),
        explained=names.explained(),
    )
