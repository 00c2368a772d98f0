"""Adding to a case, and finding it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.categories import Agency, Category
from amanat.consent import own
from amanat.contracts.records import RECORDS, Person, Record
from amanat.errors import PreconditionFailed
from amanat.inputs import invalid_input
from amanat.looks import record as record_looks
from amanat.principal import Principal
from intake import schemas
from intake.changes import Changes
from intake.errors import AlreadyCorrected, OneIdentifier, UnknownCell
from intake.repository import cases
from intake.service.documents import add_document
from intake.service.instruments import Instruments
from intake.service.loading import amend_all, load, plan_all, save, setting_of
from intake.service.reading import PURPOSE

INDEXED = ("mlc_number", "cnic", "hospital_record_number")
Author = tuple[Agency, str]


async def add_record(
    session: AsyncSession,
    principal: Principal,
    code: str,
    body: schemas.NewRecord,
    now: datetime,
    instruments: Instruments,
    fits: Callable[[int], bool] | None = None,
) -> schemas.RecordAdded:
    """Appends a document, or a correction that replaces one and keeps it; agencies that share it get the new whole.

    `fits` says whether the client knew this version of the case; asked under the case's lock, so that of two
    corrections made from one reading the second is refused. Raises NotFound, PreconditionFailed, AlreadyCorrected,
    InvalidInput with pointers below /record.
    """
    record = parse_record(body.kind, body.record)
    case = await load(session, own(principal), principal.cells, code, instruments)
    if fits is not None and not fits(case.version):
        raise PreconditionFailed
    touched = []
    if body.corrects is not None:
        corrected = next((d for d in case.documents if d.record_id == body.corrects), None)
        if corrected is None or corrected.kind != body.kind or corrected.author_agency is not Agency.INTAKE:
            raise AlreadyCorrected
        touched.append(corrected)
        case.documents.remove(corrected)
    changes = Changes()
    document = add_document(
        changes, case.tenant, code, body.kind, record,
        author=(Agency.INTAKE, case.tenant), referral=None, corrects=body.corrects, reason=body.reason,
        instruments=instruments, now=now,
    )  # fmt: skip
    case.documents.append(document)
    touched.append(document)
    if isinstance(record, Person):
        await index_person(session, case.tenant, code, record, instruments)
    kind = "record_added" if body.corrects is None else "record_corrected"
    changes.timeline.append(entry(now, kind, record=body.kind))
    if body.kind == "examination":
        await cases.stop_clock(session, case.tenant, code, ("examination",), now)
    minter = instruments.minter()
    # What is known of her age now may complete a grant, or show that it never had every decider.
    setting = setting_of(case, minter, instruments, now, opens=isinstance(record, Person))
    plan_all(changes, case, setting)
    amend_all(changes, case, touched, setting)
    await save(session, case, changes, minter, instruments, now)
    return schemas.RecordAdded(case=code, record=document.record_id)


async def search(
    session: AsyncSession, principal: Principal, body: schemas.CaseSearch, now: datetime, instruments: Instruments
) -> schemas.CasesFound:
    """Codes of this client's own cases that bear the identifier, each with a look on record: who finds a case by a CNIC
    has learned whose it is. Raises OneIdentifier unless exactly one is given.
    """
    given = [(name, value) for name in INDEXED if (value := getattr(body, name)) is not None]
    if len(given) != 1:
        raise OneIdentifier
    [(field, value)] = given
    digests = [instruments.index.index(cell, field, value) for cell in principal.cells]
    found = await cases.find_by_index(session, own(principal), principal.cells, field, digests)
    kept = {code: await cases.tenant_of(session, own(principal), principal.cells, code) for code in found}
    nothing = instruments.macs.refusal(b"".join(sorted(digests)).hex())
    looks = [
        instruments.look(
            principal,
            tenant=kept.get(code) or principal.organisation,
            code=code,
            refused=nothing,
            purpose=PURPOSE,
            categories=(Category.IDENTITY,),
            at=now,
        )
        for code in found or ("",)
    ]
    await record_looks(session, looks, found=bool(found))
    return schemas.CasesFound(cases=tuple(found))


def parse_record(kind: str, content: Mapping[str, Any]) -> Record:
    """A document of this kind. Raises InvalidInput that points at known fields and echoes nothing."""
    try:
        return RECORDS[kind].model_validate(dict(content))
    except ValidationError as error:
        raise invalid_input(error, RECORDS[kind], within="/record") from None


def cell_of(principal: Principal, named: str | None) -> str:
    """The cell that a client speaks for. Raises UnknownCell unless it is unambiguous and the client's own."""
    if named is None and len(principal.cells) == 1:
        return next(iter(principal.cells))
    if named is None or named not in principal.cells:
        raise UnknownCell
    return named


def records_of(body: schemas.NewCase) -> list[tuple[str, Record]]:
    """The documents of an intake with their kinds; parts not sent are left out."""
    parts: list[tuple[str, Record | None]] = [
        ("person", body.person),
        ("safe_contact", body.contact),
        ("incident", body.incident),
        ("examination", body.examination),
        ("care_note", body.care),
        ("counselling_note", body.counselling),
        *(("digital_item", item) for item in body.digital),
        *(("image", image) for image in body.images),
    ]
    return [(kind, record) for kind, record in parts if record is not None]


def entry(at: datetime, kind: str, **detail: Any) -> dict[str, Any]:
    """A timeline entry of the cell's own."""
    return {"at": at, "kind": kind, "agency": None, "organisation": None, "referral": None, "detail": detail}


async def index_person(
    session: AsyncSession, tenant: str, code: str, person: Person | None, instruments: Instruments
) -> None:
    """Makes the case findable by her identifiers, of which only blind digests are kept."""
    digests = {
        field: digest
        for field, digest in digests_of(tenant, person, instruments).items()
        if digest not in await cases.has_index(session, tenant, code, field)
    }
    await cases.add_index(session, tenant=tenant, case=code, digests=digests)


def digests_of(tenant: str, person: Person | None, instruments: Instruments) -> dict[str, bytes]:
    """Blind digests of her identifiers, {field: digest}."""
    known = {} if person is None else {field: getattr(person, field) for field in INDEXED}
    return {field: instruments.index.index(tenant, field, value) for field, value in known.items() if value is not None}
