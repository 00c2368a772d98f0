"""Referrals as their cell sees them: how each stands, and what it waits for."""

from collections.abc import Iterable

from amanat.categories import Agency
from amanat.consent import Grant, missing_deciders
from intake import schemas
from intake.changes import Referral
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase


def states(
    case: LoadedCase, instruments: Instruments, only: Referral | None = None
) -> tuple[schemas.ReferralState, ...]:
    """How each referral stands, with what valid grants still lack."""
    return tuple(
        state_of(referral, "sent", case.grants, instruments)
        for referral in case.referrals
        if only is None or referral.code == only.code
    )


def state_of(
    referral: Referral, progress: str, grants: Iterable[Grant], instruments: Instruments
) -> schemas.ReferralState:
    """One referral as its cell sees it."""
    missing = missing_of(grants, referral.agency, referral.organisation, instruments) if not referral.shares else ()
    return schemas.ReferralState(
        referral=referral.code,
        agency=referral.agency,
        organisation=referral.organisation,
        purpose=referral.purpose,
        state=referral.state,
        progress=progress,
        categories=tuple(sorted(referral.shares)),
        missing=missing,
    )


def missing_of(grants: Iterable[Grant], agency: Agency, organisation: str, instruments: Instruments) -> tuple[str, ...]:
    """What a referral waits for: "consent" where nobody gave any, else the deciders that its grants lack."""
    own_grants = [g for g in grants if (g.agency, g.organisation) == (agency, organisation) and g.categories]
    if not own_grants:
        return ("consent",)
    return tuple(sorted({name for grant in own_grants for name in missing_deciders(grant, instruments.age_rules)}))


def find_referral(case: LoadedCase, agency: Agency, organisation: str) -> Referral | None:
    """The case's referral to this organisation."""
    return next((r for r in case.referrals if (r.agency, r.organisation) == (agency, organisation)), None)
