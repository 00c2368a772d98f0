"""A case's documents between their sealed rows and memory: records, and the halves of its kits' custody."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from amanat.categories import Agency
from amanat.contracts.records import RECORDS, CustodyHalf, Record, categories_in
from amanat.contracts.records.custody import Counterpart
from intake.changes import Changes, Document
from intake.service.instruments import Instruments
from intake.service.sources import HALVES, RECORDS_OF_CASES, line


def open_document(row: Row[Any], instruments: Instruments) -> Document:
    """A sealed record, opened."""
    plaintext = instruments.at_rest.open(row.sealed, **RECORDS_OF_CASES.at("sealed", row.id, row.tenant, row.case_code))
    return Document(
        record_id=row.id,
        kind=row.kind,
        record=RECORDS[row.kind].parse(plaintext),
        recorded_at=row.recorded_at,
        author_agency=Agency(row.author_agency),
        author_organisation=row.author_organisation,
    )


def open_half(row: Row[Any], instruments: Instruments) -> CustodyHalf:
    """A kept half, opened."""
    return CustodyHalf.parse(
        instruments.at_rest.open(row.sealed, **HALVES.at("sealed", row.id, row.tenant, row.barcode))
    )


def as_document(
    half_id: UUID,
    half: CustodyHalf,
    direction: Literal["release", "receipt"],
    barcode: str,
    holder: tuple[Agency, str],
    recorded_at: datetime,
) -> Document:
    """A half as it goes on to others: with its kit, its direction and its holder, to whom it never returns."""
    named = Counterpart(agency=holder[0], organisation=holder[1])
    told = half.model_copy(update={"half": direction, "barcode": barcode, "holder": named})
    return Document(half_id, "custody_half", told, recorded_at, *holder)


def add_document(
    changes: Changes,
    tenant: str,
    code: str,
    kind: str,
    record: Record,
    *,
    author: tuple[Agency, str],
    referral: str | None,
    corrects: UUID | None,
    reason: str | None,
    instruments: Instruments,
    now: datetime,
) -> Document:
    """Adds one record, sealed at rest, and its line for the ledger."""
    record_id, body = instruments.new_id(), record.body()
    seal = instruments.at_rest.seal
    why = None if reason is None else reason.encode()
    row = {
        "id": record_id,
        "tenant": tenant,
        "case_code": code,
        "kind": kind,
        "author_agency": author[0],
        "author_organisation": author[1],
        "referral": referral,
        "categories": sorted(categories_in(record)),
        "sealed": seal(body, **RECORDS_OF_CASES.at("sealed", record_id, tenant, code)),
        "recorded_at": now,
        "corrects": corrects,
        "reason_sealed": (
            None if why is None else seal(why, **RECORDS_OF_CASES.at("reason_sealed", record_id, tenant, code))
        ),
    }
    changes.records.append(row)
    stated = "record_added" if corrects is None else "record_corrected"
    changes.ledger.append(line(RECORDS_OF_CASES, stated, code, row, sealed=body, reason_sealed=why))
    return Document(record_id, kind, record, now, author[0], author[1])
