"""She takes a consent back: at once, whatever else is going on (law 5: a withdrawal never waits)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Category
from amanat.consent import ConsentWithdrawn, Grant, own
from amanat.errors import FieldError, InvalidInput, NotFound
from amanat.principal import Principal
from intake import schemas
from intake.break_glass.errors import RestsOnLaw
from intake.changes import Changes, Referral, Share
from intake.service import cases as case_service
from intake.service.consents import endings
from intake.service.ending import CONSENTS, Named, load_to_end, named_of, plan_endings
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, add_event, save, setting_of
from intake.service.recipients import OUTSIDE_HER_CONSENT
from intake.service.referrals import find_referral


async def withdraw(
    session: AsyncSession,
    principal: Principal,
    code: str,
    consent: UUID,
    body: schemas.Withdrawal,
    now: datetime,
    instruments: Instruments,
) -> schemas.WithdrawalDone:
    """Takes a consent back, whole or in part, at once: keys deleted, tombstones out, in this transaction.

    Needs no key and no record: the gate may be away, and a record may be spoilt. Repeating it changes nothing. Raises
    NotFound, RestsOnLaw, InvalidInput for a category that is not in this consent.
    """
    case = await load_to_end(session, own(principal), principal.cells, code, instruments)
    categories = frozenset(body.categories) if body.categories is not None else None
    grant = next((grant for grant in case.grants if grant.grant_id == consent), None)
    if grant is None and CONSENTS in case.unread and case.referrals:
        return await _withdraw_unread(session, principal, case, consent, categories, now, instruments)
    if grant is None or find_referral(case, grant.agency, grant.organisation) is None:
        raise NotFound
    if grant.basis in OUTSIDE_HER_CONSENT:
        raise RestsOnLaw
    asked = _asked(grant, categories)
    if categories is not None and categories - asked:
        # A wrong consent named must not pass for a withdrawal: what she asked to end may rest on another.
        raise InvalidInput([FieldError(pointer="/categories", code="not-in-consent", message="not in this consent")])
    if asked & grant.categories:
        await take_back(session, case, Changes(), [(grant, asked)], instruments, now)
    return schemas.WithdrawalDone(
        case=code,
        consent=consent,
        withdrawn_at=now if asked & grant.categories else grant.withdrawn_at or now,
        endings=tuple(
            ending
            for ending in await endings(session, principal, case.tenant, code)
            if (ending.agency, ending.organisation) == (grant.agency, grant.organisation) and ending.category in asked
        ),
        still_shared=tuple(sorted(_shared_now(case, grant) & asked)),
        unread=bool(case.unread),
    )


async def _withdraw_unread(
    session: AsyncSession,
    principal: Principal,
    case: LoadedCase,
    consent: UUID,
    categories: frozenset[Category] | None,
    now: datetime,
    instruments: Instruments,
) -> schemas.WithdrawalDone:
    """The consent named is none that opens, and it may be one that does not: whose it was nobody can tell, so all
    offices' shares of these categories end. The withdrawal goes on record for when the consent is mended."""

    def meant(_: Referral, share: Share) -> bool:
        return categories is None or share.category in categories

    open_now = {category for referral in case.referrals for category in named_of(referral, meant)}
    if open_now or not any(isinstance(each, ConsentWithdrawn) and each.consent_id == consent for each in case.events):
        changes = Changes()
        for referral in case.referrals:
            event = ConsentWithdrawn(
                consent_id=consent,
                agency=referral.agency,
                organisation=referral.organisation,
                categories=categories,
                withdrawn_at=now,
            )
            add_event(case, changes, event, instruments, now)
        named = sorted(open_now if categories is None else categories)
        changes.timeline.append(case_service.entry(now, "consent_withdrawn", consent=str(consent), categories=named))
        await _end(session, case, changes, meant, instruments, now)
    return schemas.WithdrawalDone(
        case=case.code,
        consent=consent,
        withdrawn_at=now,
        endings=tuple(
            ending
            for ending in await endings(session, principal, case.tenant, case.code)
            if categories is None or ending.category in categories
        ),
        still_shared=(),
        unread=True,
    )


async def take_back(
    session: AsyncSession,
    case: LoadedCase,
    changes: Changes,
    taken: Collection[tuple[Grant, frozenset[Category]]],
    instruments: Instruments,
    now: datetime,
    *,
    meant: Named | None = None,
) -> None:
    """Writes what she takes back, of each of these consents, and what ends by it, besides what `changes` hold already.

    The case is loaded to end, and locked, by the caller. Where a consent does not open, what is `meant` ends; left out,
    what these consents had opened.
    """
    of = {(grant.agency, grant.organisation, category) for grant, categories in taken for category in categories}
    for grant, categories in taken:
        event = ConsentWithdrawn(
            consent_id=grant.grant_id,
            agency=grant.agency,
            organisation=grant.organisation,
            categories=categories,
            withdrawn_at=now,
        )
        add_event(case, changes, event, instruments, now)
        named = sorted(categories & grant.categories)
        changes.timeline.append(
            {
                **case_service.entry(now, "consent_withdrawn", consent=str(grant.grant_id), categories=named),
                "agency": grant.agency,
                "organisation": grant.organisation,
            }
        )

    def of_these(referral: Referral, share: Share) -> bool:
        return (referral.agency, referral.organisation, share.category) in of

    await _end(session, case, changes, meant or of_these, instruments, now)


async def _end(
    session: AsyncSession, case: LoadedCase, changes: Changes, meant: Named, instruments: Instruments, now: datetime
) -> None:
    minter = instruments.minter()
    plan_endings(changes, case, setting_of(case, minter, instruments, now, opens=False), meant)
    await save(session, case, changes, minter, instruments, now)


def _asked(grant: Grant, categories: frozenset[Category] | None) -> frozenset[Category]:
    all_of_it = grant.categories | grant.withdrawn
    return all_of_it if categories is None else categories & all_of_it


def _shared_now(case: LoadedCase, grant: Grant) -> set[Category]:
    current = find_referral(case, grant.agency, grant.organisation)
    return set(current.shares) if current is not None else set()
