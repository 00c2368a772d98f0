"""The cell's rows that its ledger commits to."""

from collections.abc import Mapping
from typing import Any

from amanat.ledger import Source
from amanat.looks import LOOKS
from intake.changes import Line
from intake.models import agency_looks, consent_events, custody_halves, leases, records

RECORDS_OF_CASES = Source(
    records,
    (
        "tenant", "id", "case_code", "kind", "author_agency", "author_organisation", "referral", "categories",
        "recorded_at", "corrects",
    ),
    sealed=("sealed", "reason_sealed"),
)  # fmt: skip
CONSENT_EVENTS = Source(consent_events, ("tenant", "id", "case_code", "kind", "recorded_at"), sealed=("sealed",))
HALVES = Source(
    custody_halves,
    (
        "tenant", "id", "barcode", "half", "holder_agency", "holder_organisation", "counterpart_agency",
        "counterpart_organisation", "recorded_at",
    ),
    sealed=("sealed",),
)  # fmt: skip
LEASES = Source(leases, ("tenant", "id", "referral", "client", "token_id", "categories", "consent_version", "at"))
LOOKS_TOLD = Source(
    agency_looks, ("tenant", "id", "case_code", "referral", "look_id", "at", "categories", "purpose", "received_at")
)
SOURCES = (RECORDS_OF_CASES, CONSENT_EVENTS, HALVES, LEASES, LOOKS, LOOKS_TOLD)
"""What an audit of this service reads again."""


def line(source: Source, kind: str, subject: str, row: Mapping[str, Any], **opened: bytes | None) -> Line:
    """The ledger's line of a row that was just written; `opened` are its sealed columns in the plain."""
    return Line(kind, subject, {}, source.name(row["id"]), source.content(row, opened))
