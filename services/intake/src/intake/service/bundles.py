"""A hospital's FHIR bundle becomes a case, or adds to the one that bears the same patient and visit.

What is in the case already is not written twice, and a consent that was recorded before is never recorded again: it may
have been withdrawn since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency
from amanat.consent import ConsentGiven, GrantTerms, own
from amanat.contracts.records import Person
from amanat.groupcommit import Key, Writing
from amanat.principal import Principal
from intake.changes import Changes
from intake.fhir import MappedBundle
from intake.repository import cases
from intake.repository.opening import Visit
from intake.service import cases as case_service
from intake.service import consents as consent_service
from intake.service.documents import add_document
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, amend_all, load, plan_all, save, setting_of
from intake.service.opening import make, open_case
from intake.service.recipients import check_recipients

PATIENT, ENCOUNTER = "fhir_patient", "fhir_encounter"


@dataclass(frozen=True)
class Taken:
    """The case that a bundle is in now, its records by kind, and whether it was open before."""

    case: str
    records: dict[str, UUID]
    mapped: MappedBundle
    added: bool

    @property
    def location(self) -> str:
        """What is kept of the answer, so that a replay can tell the same."""
        return f"{self.case}#added" if self.added else self.case


async def take(
    session: AsyncSession, principal: Principal, mapped: MappedBundle, now: datetime, instruments: Instruments
) -> Taken:
    """Opens a case or adds to one, all or nothing. Raises what opening a case raises."""
    cell = case_service.cell_of(principal, mapped.case.cell)
    # Two bundles of one visit at once must not open two cases, by whichever of her identifiers they know her.
    await cases.hold_identities(
        session, {instruments.index.index(cell, PATIENT, value) for value in mapped.patient_identifiers}
    )
    known = await find(session, principal, cell, mapped, instruments)
    if known is not None:
        return await _add(session, principal, known, mapped.for_known_case(), now, instruments)
    identifiers = _identifiers(mapped)
    opened = await open_case(session, principal, mapped.case, now, instruments, identifiers)
    return Taken(opened.case.code, _same(opened.case, mapped), mapped, added=False)


def prepare(
    principal: Principal,
    mapped: MappedBundle,
    key: Callable[[str], Key],
    now: datetime,
    instruments: Instruments,
) -> tuple[Taken, Writing]:
    """What `take` comes to if the cell knows no such case: for `opening.group`, which finds out. `key` makes the
    idempotency row of a location. Raises what opening a case raises."""
    cell, identifiers = case_service.cell_of(principal, mapped.case.cell), _identifiers(mapped)
    made = make(principal, mapped.case, now, instruments, identifiers)
    taken = Taken(made.case.code, _same(made.case, mapped), mapped, added=False)
    said = (principal.tenants, key(taken.location), made.together, lambda: made.stands(instruments))
    known_by = {
        field: [instruments.index.index(cell, field, value) for value in values]
        for field, values in identifiers.items()
    }
    return taken, Visit(*said, cell=cell, identities=known_by[PATIENT], known_by=known_by)


async def find(
    session: AsyncSession, principal: Principal, cell: str, mapped: MappedBundle, instruments: Instruments
) -> str | None:
    """The cell's case that bears one of the patient's and one of the visit's identifiers."""
    found: list[set[str]] = []
    for field, identifiers in ((PATIENT, mapped.patient_identifiers), (ENCOUNTER, mapped.encounter_identifiers)):
        digests = [instruments.index.index(cell, field, identifier) for identifier in identifiers]
        if not digests:
            return None
        found.append(set(await cases.find_by_index(session, own(principal), [cell], field, digests)))
    both = sorted(found[0] & found[1])
    return both[0] if both else None


async def retaken(
    session: AsyncSession,
    principal: Principal,
    mapped: MappedBundle,
    location: str,
    now: datetime,
    instruments: Instruments,
) -> Taken:
    """What `take` answered to the same bundle, made anew from its location. Raises NotFound."""
    code, _, added = location.partition("#")
    case = await load(session, own(principal), principal.cells, code, instruments, mints=False)
    known = _told(case, mapped.for_known_case(), now) if added else mapped
    return Taken(code, _same(case, known), known, added=bool(added))


def _identifiers(mapped: MappedBundle) -> dict[str, Sequence[str]]:
    return {PATIENT: mapped.patient_identifiers, ENCOUNTER: mapped.encounter_identifiers}


def _same(case: LoadedCase, mapped: MappedBundle) -> dict[str, UUID]:
    wanted = case_service.records_of(mapped.case)
    return {
        d.kind: d.record_id for kind, record in wanted for d in case.documents if (d.kind, d.record) == (kind, record)
    }


async def _add(
    session: AsyncSession,
    principal: Principal,
    code: str,
    mapped: MappedBundle,
    now: datetime,
    instruments: Instruments,
) -> Taken:
    case = await load(session, own(principal), principal.cells, code, instruments)
    check_recipients(mapped.case, case.tenant, instruments)
    changes, touched = Changes(), []
    here = _same(case, mapped)
    for kind, record in case_service.records_of(mapped.case):
        if kind in here:
            continue
        document = add_document(
            changes, case.tenant, code, kind, record,
            author=(Agency.INTAKE, case.tenant), referral=None, corrects=None, reason=None,
            instruments=instruments, now=now,
        )  # fmt: skip
        case.documents.append(document)
        touched.append(document)
        changes.timeline.append(case_service.entry(now, "record_added", record=kind))
        if isinstance(record, Person):
            await case_service.index_person(session, case.tenant, code, record, instruments)
    if mapped.case.guardian_is_accused and not consent_service.every_guardian_excluded(case):
        consent_service.exclude_guardian(case, changes, None, instruments, now)
    for number, terms in enumerate(mapped.case.consents):
        standing = _not_withdrawn(case, terms, now)
        if standing is not None and not _recorded(case, terms):
            consent_service.add_grant(case, changes, standing, f"/consents/{number}", instruments, now)
    consent_service.add_referrals(case, changes, mapped.case.referrals, instruments, now)
    minter = instruments.minter()
    setting = setting_of(case, minter, instruments, now)
    plan_all(changes, case, setting)
    amend_all(changes, case, touched, setting)
    await save(session, case, changes, minter, instruments, now)
    return Taken(code, _same(case, mapped), _told(case, mapped, now), added=True)


def _told(case: LoadedCase, mapped: MappedBundle, now: datetime) -> MappedBundle:
    return mapped.without_withdrawn(lambda terms: consent_service.withdrawn_since(case, terms, terms.given_at or now))


def _not_withdrawn(case: LoadedCase, terms: GrantTerms, now: datetime) -> GrantTerms | None:
    """The consent without what she took back since; None when nothing is left of it."""
    left = terms.categories - consent_service.withdrawn_since(case, terms, terms.given_at or now)
    return terms.model_copy(update={"categories": left}) if left else None


def _recorded(case: LoadedCase, terms: GrantTerms) -> bool:
    """Whether this consent is on record, valid or withdrawn: the same recipient, categories, basis and time.

    One without a time is any that is otherwise the same: taken for a new one, it would give back what she took back.
    """
    return any(
        isinstance(event, ConsentGiven)
        and (event.terms.recipient, event.terms.categories, event.terms.basis)
        == (terms.recipient, terms.categories, terms.basis)
        # A time ahead of this clock was recorded as the time of recording.
        and (terms.given_at is None or event.terms.given_at == min(terms.given_at, event.recorded_at))
        for event in case.events
    )
