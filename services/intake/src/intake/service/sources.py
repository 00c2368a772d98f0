"""The cell's rows that its ledger commits to."""

from collections.abc import Mapping
from typing import Any

from amanat.ledger import Source
from amanat.looks import LOOKS
from intake.break_glass.models import emergencies, emergency_reviews, outside_decisions, outside_disclosures
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
_WHO = ("subject", "client", "token_id", "unit")
EMERGENCIES = Source(
    emergencies,
    ("tenant", "id", "case_code", "clinician_cell", *_WHO, "found_by", "opened_at", "open_until", "review_due_at"),
    sealed=("reason_sealed",),
)
EMERGENCY_REVIEWS = Source(
    emergency_reviews,
    ("tenant", "id", "emergency", "clinician_cell", "finding", *_WHO, "reviewed_at"),
    sealed=("note_sealed",),
)
DISCLOSURES = Source(
    outside_disclosures,
    (
        "tenant", "id", "case_code", "agency", "organisation", "categories", "basis", "expires_at", "secret_until",
        *_WHO, "roles", "asked_at", "lapses_at",
    ),
    sealed=("reference_sealed", "secrecy_sealed"),
)  # fmt: skip
DECISIONS = Source(
    outside_decisions,
    ("tenant", "id", "disclosure", "decision", "consent", *_WHO, "decided_at"),
    sealed=("reason_sealed",),
)
BREAK_GLASS = (EMERGENCIES, EMERGENCY_REVIEWS, DISCLOSURES, DECISIONS)
SOURCES = (RECORDS_OF_CASES, CONSENT_EVENTS, HALVES, LEASES, LOOKS, LOOKS_TOLD, *BREAK_GLASS)
"""What an audit of this service reads again."""


def line(source: Source, kind: str, subject: str, row: Mapping[str, Any], **opened: bytes | None) -> Line:
    """The ledger's line of a row that was just written; `opened` are its sealed columns in the plain."""
    return Line(kind, subject, {}, source.name(row["id"]), source.content(row, opened))
