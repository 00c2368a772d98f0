"""Brings a locked case into memory: what a plan needs to know, opened, and how a plan is written back."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.categories import Agency, Category
from amanat.consent import Access, ConsentEvent, ConsentGiven, ConsentWithdrawn, Grant, GuardianExcluded, fold
from amanat.errors import NotFound
from intake.changes import Changes, Document, Referral, Share
from intake.repository import cases, consents, custody
from intake.repository import changes as changes_repository
from intake.service.ages import by_age, is_minor, newest_telling_age, person_of
from intake.service.documents import as_document, open_document, open_half
from intake.service.instruments import Instruments
from intake.service.setting import Minter, Setting
from intake.service.sharing import amend, plan
from intake.service.sources import CONSENT_EVENTS, line

_EVENT: TypeAdapter[ConsentEvent] = TypeAdapter(ConsentEvent)
_KINDS: dict[type, str] = {
    ConsentGiven: "given",
    ConsentWithdrawn: "withdrawn",
    GuardianExcluded: "guardian_excluded",
}


@dataclass
class LoadedCase:
    """A case whose row and referrals are locked until the transaction ends."""

    tenant: str
    code: str
    version: int = 1
    events: list[ConsentEvent] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    referrals: list[Referral] = field(default_factory=list)
    barcodes: list[str] = field(default_factory=list)
    unread: frozenset[str] = frozenset()
    """Tables of which a row did not open, where it was loaded only to end something (`service.ending`)."""

    @property
    def grants(self) -> frozenset[Grant]:
        """The state that all consent events amount to, by what is known of her age now."""
        return by_age(fold(self.events), person_of(self.documents))

    def referral(self, code: str) -> Referral | None:
        """The referral of this code, if it belongs to the case."""
        return next((referral for referral in self.referrals if referral.code == code), None)

    def replace(self, referral: Referral) -> None:
        """Keep the newer state of a referral."""
        self.referrals = [referral if known.code == referral.code else known for known in self.referrals]


async def load(
    session: AsyncSession,
    access: Access,
    tenants: Collection[str],
    code: str,
    instruments: Instruments,
    *,
    mints: bool = True,
) -> LoadedCase:
    """Locks and opens a case. Raises NotFound if none of these tenants keeps it.

    `mints` holds the key generation still for this transaction; without it no key may be minted.
    """
    if mints:
        await changes_repository.hold_generation(session)
    row = await cases.lock_case(session, tenants, code)
    if row is None:
        raise NotFound
    referral_rows = await consents.lock_referrals(session, row.tenant, code)
    share_rows = await consents.read_shares(session, row.tenant, [r.code for r in referral_rows])
    barcodes = await custody.barcodes_of(session, row.tenant, code)
    records = await cases.current_records(session, access, row.tenant, code)
    halves = await custody.read_halves(session, access, row.tenant, barcodes) if barcodes else ()
    documents = [open_document(record, instruments) for record in records]
    transfers = [
        as_document(
            half.id,
            open_half(half, instruments),
            half.half,
            half.barcode,
            (Agency(half.holder_agency), half.holder_organisation),
            half.recorded_at,
        )
        for half in halves
    ]
    return LoadedCase(
        tenant=row.tenant,
        code=code,
        version=row.version,
        events=await load_events(session, access, row.tenant, code, instruments),
        documents=list(merge(documents, transfers, key=lambda document: document.recorded_at)),
        referrals=[as_referral(referral, share_rows) for referral in referral_rows],
        barcodes=barcodes,
    )


def as_referral(row: Row[Any], share_rows: Sequence[Row[Any]]) -> Referral:
    """A referral with its open shares and the highest epoch of each category."""
    own = [share for share in share_rows if share.referral == row.code]
    return Referral(
        code=row.code,
        agency=Agency(row.agency),
        organisation=row.organisation,
        purpose=row.purpose,
        state=row.state,
        consent_version=row.consent_version,
        next_seq=row.next_seq,
        shares={Category(s.category): Share(Category(s.category), s.epoch, s.until) for s in own if s.ended_at is None},
        last_epochs={Category(s.category): s.epoch for s in own},
        epoch_floor=row.epoch_floor,
    )


async def load_events(
    session: AsyncSession, access: Access, tenant: str, code: str, instruments: Instruments
) -> list[ConsentEvent]:
    """The case's consent events, opened."""
    return [open_event(row, instruments) for row in await consents.read_events(session, access, tenant, code)]


def open_event(row: Row[Any], instruments: Instruments) -> ConsentEvent:
    """A sealed consent event, opened. Raises Unopenable, ValueError."""
    place = CONSENT_EVENTS.at("sealed", row.id, row.tenant, row.case_code)
    return _EVENT.validate_json(instruments.at_rest.open(row.sealed, **place))


async def load_grants(
    session: AsyncSession, access: Access, tenant: str, code: str, instruments: Instruments
) -> frozenset[Grant]:
    """The state that all consent events of the case amount to, by what is known of her age now."""
    persons = await cases.current_records(session, access, tenant, code, kind="person")
    person = newest_telling_age(open_document(row, instruments).record for row in reversed(persons))
    return by_age(fold(await load_events(session, access, tenant, code, instruments)), person)


def add_event(
    case: LoadedCase,
    changes: Changes,
    event: ConsentEvent,
    instruments: Instruments,
    now: datetime,
) -> None:
    """Adds one consent event, sealed at rest, and its line for the ledger; the case's grants follow it."""
    event_id, body, kind = instruments.new_id(), _EVENT.dump_json(event), _KINDS[type(event)]
    row = {
        "id": event_id,
        "tenant": case.tenant,
        "case_code": case.code,
        "kind": kind,
        "sealed": instruments.at_rest.seal(body, **CONSENT_EVENTS.at("sealed", event_id, case.tenant, case.code)),
        "recorded_at": now,
    }
    changes.events.append(row)
    stated = kind if isinstance(event, GuardianExcluded) else f"consent_{kind}"
    changes.ledger.append(line(CONSENT_EVENTS, stated, case.code, row, sealed=body))
    case.events.append(event)


def setting_of(
    case: LoadedCase,
    minter: Minter,
    instruments: Instruments,
    now: datetime,
    *,
    opens: bool = True,
    must_fit: bool = True,
) -> Setting:
    """What a plan of this case needs.

    Its time is never before what the case has on record: another process's clock may run ahead of this one's, and a
    consent that it recorded must not count as a future one here, or it would end.
    """
    given = [event.recorded_at for event in case.events if isinstance(event, ConsentGiven)]
    now = max([now, *given])
    return Setting(
        now=now,
        minor=is_minor(person_of(case.documents), now),
        barcodes=case.barcodes,
        minter=minter,
        new_id=instruments.new_id,
        lease_seconds=instruments.lease_of,
        rules=instruments.age_rules,
        opens=opens,
        must_fit=must_fit,
    )


def plan_all(changes: Changes, case: LoadedCase, setting: Setting) -> None:
    """Bring every referral of the case to what its grants say now."""
    for referral in case.referrals:
        case.replace(plan(changes, referral, case.grants, case.documents, setting))


def amend_all(changes: Changes, case: LoadedCase, touched: Iterable[Document], setting: Setting) -> None:
    """Send what changed in these documents to every referral that sees something of them."""
    documents = list(touched)
    for referral in case.referrals:
        case.replace(amend(changes, referral, case.documents, documents, setting))


async def save(
    session: AsyncSession,
    case: LoadedCase,
    changes: Changes,
    minter: Minter,
    instruments: Instruments,
    now: datetime,
) -> None:
    """Writes a plan, its ledger rows, and the case's new version."""
    await cases.touch_case(session, case.tenant, case.code)
    await changes_repository.apply(
        session,
        tenant=case.tenant,
        case=case.code,
        changes=changes,
        secret=minter.secret,
        ledger_entries=entries_of(case.tenant, changes, instruments, now),
        now=now,
    )


def entries_of(tenant: str, changes: Changes, instruments: Instruments, now: datetime) -> list[ledger.Entry]:
    """The entries of what a plan puts into the ledger."""
    return [
        ledger.entry(
            ledger.Statement(tenant, each.kind, each.subject, now, each.said, each.source, each.content),
            instruments.at_rest,
            instruments.randomness,
        )
        for each in changes.ledger
    ]
