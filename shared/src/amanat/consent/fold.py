"""From the events of consent to the grants that stand: any order, any repetition, the same state."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from uuid import UUID

from amanat import law
from amanat.categories import Agency, Category
from amanat.consent.terms import ConsentEvent, ConsentGiven, ConsentWithdrawn, Decider, Grant, GuardianExcluded

_WITHDRAWABLE = frozenset({"consent", "guardian"})


@cache
def _purposes() -> dict[str, str]:
    return dict(law.table("purposes")["purpose"])


def purpose_of(agency: Agency) -> str:
    """The purpose for which an outside agency receives.

    Raises:
        KeyError: intake, or an agency that the table of purposes does not know.
    """
    return _purposes()[agency.value]


def fold(events: Iterable[ConsentEvent]) -> frozenset[Grant]:
    """The grants after all `events`, the withdrawn ones too (with no categories left, for the record).

    A withdrawal beats only grants given at or before it: a later grant stands. A grant counts as given at the earlier
    of the stated and the recorded time, so that a date in the future does not outlive a withdrawal. Of two *different*
    consents under one id neither stands: which was hers cannot be known.
    """
    given: dict[UUID, set[ConsentGiven]] = defaultdict(set)
    withdrawals: set[ConsentWithdrawn] = set()
    exclusions: set[GuardianExcluded] = set()
    for event in events:
        match event:
            case ConsentGiven():
                given[event.consent_id].add(event)
            case ConsentWithdrawn():
                withdrawals.add(event)
            case GuardianExcluded():
                exclusions.add(event)
    return frozenset(
        _grant(next(iter(variants)), withdrawals, exclusions) for variants in given.values() if len(variants) == 1
    )


def _grant(given: ConsentGiven, withdrawals: set[ConsentWithdrawn], exclusions: set[GuardianExcluded]) -> Grant:
    terms = given.terms
    beating = [withdrawal for withdrawal in withdrawals if _beats(withdrawal, given)]
    withdrawn: frozenset[Category] = frozenset().union(
        *(terms.categories if each.categories is None else each.categories & terms.categories for each in beating)
    )
    unsafe = terms.safety_finding is not None and terms.safety_finding.guardian_unsafe
    excluded = given.guardian_is_accused or unsafe
    deciders = tuple(
        decider
        for decider in terms.deciders
        if decider.role != "guardian" or not (excluded or _is_excluded(decider, exclusions))
    )
    return Grant(
        grant_id=given.consent_id,
        agency=terms.recipient.agency,
        organisation=terms.recipient.organisation,
        categories=terms.categories - withdrawn,
        withdrawn=withdrawn,
        purpose=terms.purpose or purpose_of(terms.recipient.agency),
        basis=terms.basis,
        basis_reference=terms.basis_reference,
        deciders=deciders,
        guardian_excluded=excluded or len(deciders) < len(terms.deciders),
        age_years_at_grant=given.age_years,
        adult_on=given.adult_on,
        capacity=terms.capacity,
        given_at=terms.given_at or given.recorded_at,
        recorded_at=given.recorded_at,
        expires_at=terms.expires_at,
        withdrawn_at=max((each.withdrawn_at for each in beating), default=None),
    )


def _beats(withdrawal: ConsentWithdrawn, given: ConsentGiven) -> bool:
    terms = given.terms
    if withdrawal.consent_id is not None:
        # Named by its id it must have existed, whatever the clocks of the two writers say.
        return withdrawal.consent_id == given.consent_id
    if withdrawal.agency != terms.recipient.agency or terms.basis not in _WITHDRAWABLE:
        return False
    if withdrawal.organisation not in (None, terms.recipient.organisation):
        return False
    return min(terms.given_at or given.recorded_at, given.recorded_at) <= withdrawal.withdrawn_at


def _is_excluded(guardian: Decider, exclusions: set[GuardianExcluded]) -> bool:
    return any(
        exclusion.guardian is None
        or guardian.authority_reference is None
        or guardian.authority_reference == exclusion.guardian
        for exclusion in exclusions
    )
