"""Opening a case: made whole in memory, then written, by itself or together with others that come at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Agency
from amanat.clocks import due
from amanat.codes import PREFIX, new_code
from amanat.db import Database
from amanat.groupcommit import GroupCommit, Rows
from amanat.principal import Principal
from intake import schemas
from intake.changes import Changes
from intake.repository import changes as changes_repository
from intake.repository import opening as repository
from intake.service import consents
from intake.service.cases import cell_of, digests_of, entry, records_of
from intake.service.clocks import as_clock
from intake.service.documents import add_document
from intake.service.instruments import Instruments
from intake.service.loading import LoadedCase, entries_of, plan_all, setting_of
from intake.service.recipients import check_recipients
from intake.service.referrals import states


@dataclass(frozen=True)
class Opening:
    """A case as it will stand, and what makes it so."""

    case: LoadedCase
    rows: Rows
    entries: Sequence[ledger.Entry]
    generation: int | None
    """Of the key-encryption key that its keys were made under; None where it shares nothing yet."""
    answer: schemas.CaseOpened

    @property
    def together(self) -> Rows:
        """All of its rows, for `amanat.groupcommit`."""
        return repository.with_entries(self.rows, self.entries)

    def stands(self, instruments: Instruments) -> bool:
        """Whether the generation is still the current one. Asked while `hold_generation` holds it."""
        return self.generation is None or self.generation == instruments.kek.current()


def make(
    principal: Principal,
    body: schemas.NewCase,
    now: datetime,
    instruments: Instruments,
    identifiers: Mapping[str, Sequence[str]] | None = None,
) -> Opening:
    """A case with its records, consents, referrals and clocks, found again by `identifiers` too, {field: values}.

    Raises UnknownCell, UnknownRecipient, UnknownPurpose. A missing consent is no error: the referral waits.
    """
    tenant = cell_of(principal, body.cell)
    check_recipients(body, tenant, instruments)
    code = new_code(PREFIX[Agency.INTAKE], instruments.randomness)
    changes = Changes()
    changes.state("case_opened", code)
    documents = [
        add_document(
            changes, tenant, code, kind, record,
            author=(Agency.INTAKE, tenant), referral=None, corrects=None, reason=None, instruments=instruments, now=now,
        )
        for kind, record in records_of(body)
    ]  # fmt: skip
    case = LoadedCase(tenant, code, documents=documents)
    changes.timeline.append(entry(now, "case_opened"))
    if body.guardian_is_accused:
        # An event of its own: it must hold for a consent that is taken next week, too.
        consents.exclude_guardian(case, changes, None, instruments, now)
    for number, terms in enumerate(body.consents):
        consents.add_grant(case, changes, terms, f"/consents/{number}", instruments, now)
    consents.add_referrals(case, changes, body.referrals, instruments, now)
    minter = instruments.minter()
    plan_all(changes, case, setting_of(case, minter, instruments, now))
    digests = list(digests_of(tenant, body.person, instruments).items())
    for field, values in (identifiers or {}).items():
        digests += [(field, instruments.index.index(tenant, field, value)) for value in dict.fromkeys(values)]
    rows = repository.rows_of_case(
        tenant=tenant,
        code=code,
        presented_at=body.presented_at,
        digests=digests,
        running=_clocks(body, instruments, now),
        changes=changes,
        secret=minter.secret,
        now=now,
    )
    return Opening(
        case=case,
        rows=rows,
        entries=entries_of(tenant, changes, instruments, now),
        generation=None if minter.secret is None else minter.secret.generation,
        answer=schemas.CaseOpened(case=code, referrals=states(case, instruments)),
    )


async def open_case(
    session: AsyncSession,
    principal: Principal,
    body: schemas.NewCase,
    now: datetime,
    instruments: Instruments,
    identifiers: Mapping[str, Sequence[str]] | None = None,
) -> Opening:
    """The same, written in the caller's transaction: all or nothing."""
    await changes_repository.hold_generation(session)
    opening = make(principal, body, now, instruments, identifiers)
    await repository.write(session, opening.rows, opening.entries)
    return opening


def group(database: Database) -> GroupCommit:
    """What one process commits openings with that come at once."""
    return GroupCommit(database, repository.COLUMNS, fence=changes_repository.KEY_FENCE, admit=repository.admit)


def _clocks(body: schemas.NewCase, instruments: Instruments, now: datetime) -> list[dict[str, object]]:
    triggers = {"presentation": body.presented_at or now}
    if body.incident is not None and body.incident.occurred_at is not None:
        triggers["incident"] = body.incident.occurred_at
    running: dict[str, dict[str, object]] = {}
    for trigger, at in triggers.items():
        for row in due(instruments.clock_rules, trigger, at):
            running.setdefault(row.kind, as_clock(row))  # one that runs already keeps its trigger
    return list(running.values())
