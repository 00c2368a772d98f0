"""She takes a consent back: at once, whatever else is going on (law 5: a withdrawal never waits)."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Category
from amanat.consent import ConsentWithdrawn, Grant, own
from amanat.errors import FieldError, InvalidInput, NotFound
from amanat.principal import Principal
from intake import schemas
from intake.changes import Changes, Referral
from intake.service import cases as case_service
from intake.service.consents import endings
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, load, plan_all, save, save_event, setting_of
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

    Needs the key-encryption key only if something else is newly shared, which a withdrawal never does: the gate may be
    away. Repeating it changes nothing. Raises NotFound, InvalidInput for a category that is not in this consent.
    """
    case = await load(session, own(principal), principal.cells, code, instruments, mints=False)
    grant = next((grant for grant in case.grants if grant.grant_id == consent), None)
    if grant is None:
        raise NotFound
    categories = frozenset(body.categories) if body.categories is not None else None
    referral = find_referral(case, grant.agency, grant.organisation)
    if referral is None:
        raise NotFound
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
        still_shared=tuple(sorted(_shared_now(case, referral) & asked)),
    )


async def take_back(
    session: AsyncSession,
    case: LoadedCase,
    changes: Changes,
    taken: Iterable[tuple[Grant, frozenset[Category]]],
    instruments: Instruments,
    now: datetime,
) -> None:
    """Writes what she takes back, of each of these consents, and what ends by it, besides what `changes` hold already.

    The case is loaded, and locked, by the caller.
    """
    for grant, categories in taken:
        event = ConsentWithdrawn(
            consent_id=grant.grant_id,
            agency=grant.agency,
            organisation=grant.organisation,
            categories=categories,
            withdrawn_at=now,
        )
        await save_event(session, case, changes, event, instruments, now)
        named = sorted(categories & grant.categories)
        changes.timeline.append(
            {
                **case_service.entry(now, "consent_withdrawn", consent=str(grant.grant_id), categories=named),
                "agency": grant.agency,
                "organisation": grant.organisation,
            }
        )
    minter = instruments.minter()
    plan_all(changes, case, setting_of(case, minter, instruments, now, opens=False))
    await save(session, case, changes, minter, instruments, now)


def _asked(grant: Grant, categories: frozenset[Category] | None) -> frozenset[Category]:
    all_of_it = grant.categories | grant.withdrawn
    return all_of_it if categories is None else categories & all_of_it


def _shared_now(case: LoadedCase, referral: Referral) -> set[Category]:
    current = case.referral(referral.code)
    return set(current.shares) if current is not None else set()
