"""The cell's rows that its ledger commits to."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from amanat.categories import Agency
from amanat.contracts.records import RECORDS, categories_of, project
from amanat.ledger import Source
from amanat.ledger.sources import Opened
from amanat.looks import LOOKS
from intake.break_glass.models import (
    emergencies,
    emergency_reviews,
    outside_decisions,
    outside_disclosures,
    outside_endings,
)
from intake.changes import Line
from intake.models import agency_looks, bundles, consent_events, custody_halves, leases, records
from intake.my_case.models import claims

OF_CASE = ("tenant", "case_code")
REASON, EVENT, SAFETY = "reason", "event", "safety_reason"


def _record_parts(row: Mapping[str, Any], opened: Opened) -> dict[str, JsonValue]:
    """One part per category that this kind of record can hold, even where it holds nothing of it: that a laboratory
    looked for HIV must not show by a part that is there. Why it was corrected is a part as well. Raises ValueError."""
    contract, body, reason = RECORDS.get(row["kind"]), opened["sealed"], opened["reason_sealed"]
    if contract is None or body is None:
        raise ValueError("no record of a kind that there is")
    record = contract.parse(body)
    parts: dict[str, JsonValue] = {
        category.value: project(record, category, Agency.INTAKE, adult=True) or {}
        for category in sorted(categories_of(contract))
    }
    return {**parts, REASON: None if reason is None else reason.decode()}


def _consent_parts(_: Mapping[str, Any], opened: Opened) -> dict[str, JsonValue]:
    """A consent, and apart from it why a guardian was found unsafe: what staff wrote of her home is no court's.
    Raises ValueError, TypeError."""
    event = json.loads(opened["sealed"] or b"null")
    if not isinstance(event, dict):
        raise TypeError("no consent event")
    terms = event.get("terms")
    finding = terms.get("safety_finding") if isinstance(terms, dict) else None
    return {SAFETY: finding.pop("reason", None) if isinstance(finding, dict) else None, EVENT: event}


RECORDS_OF_CASES = Source(
    records,
    (
        "tenant",
        "id",
        "case_code",
        "kind",
        "author_agency",
        "author_organisation",
        "referral",
        "recorded_at",
        "corrects",
    ),
    sealed=("sealed", "reason_sealed"),
    hidden=("categories",),
    parts=_record_parts,
    bound=OF_CASE,
)
CONSENT_EVENTS = Source(
    consent_events,
    ("tenant", "id", "case_code", "kind", "recorded_at"),
    sealed=("sealed",),
    parts=_consent_parts,
    bound=OF_CASE,
)
HALVES = Source(
    custody_halves,
    (
        "tenant", "id", "barcode", "half", "holder_agency", "holder_organisation", "counterpart_agency",
        "counterpart_organisation", "recorded_at",
    ),
    sealed=("sealed",),
    bound=("tenant", "barcode"),
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
    bound=OF_CASE,
)
EMERGENCY_REVIEWS = Source(
    emergency_reviews,
    ("tenant", "id", "emergency", "clinician_cell", "finding", *_WHO, "reviewed_at"),
    sealed=("note_sealed",),
    bound=("tenant", "emergency"),
)
DISCLOSURES = Source(
    outside_disclosures,
    (
        "tenant", "id", "case_code", "agency", "organisation", "categories", "basis", "expires_at", "secret_until",
        *_WHO, "roles", "asked_at", "lapses_at",
    ),
    sealed=("reference_sealed", "secrecy_sealed"),
    bound=OF_CASE,
)  # fmt: skip
DECISIONS = Source(
    outside_decisions,
    ("tenant", "id", "disclosure", "decision", "consent", *_WHO, "decided_at"),
    sealed=("reason_sealed",),
    bound=("tenant", "disclosure"),
)
ENDINGS = Source(
    outside_endings,
    ("tenant", "id", "disclosure", *_WHO, "ended_at"),
    sealed=("reason_sealed",),
    bound=("tenant", "disclosure"),
)
CLAIMS = Source(
    claims,
    (
        "tenant", "id", "case_code", "digest", "language", "pin_hash", "duress_hash", "code_word_hash", "issued_at",
    ),
)  # fmt: skip
"""Of whose page, by which code, PINs and word. The code itself is of no use to an audit, and when a claim ended is an
entry of its own."""
BREAK_GLASS = (EMERGENCIES, EMERGENCY_REVIEWS, DISCLOSURES, DECISIONS, ENDINGS)
BUNDLES = Source(
    bundles,
    ("tenant", "id", "case_code", "asked_by", "client", "token_id", "basis", "with_looks", "manifest", "at"),
    sealed=("sealed",),
    parts=lambda _row, _opened: {},
    bound=OF_CASE,
)
SOURCES = (RECORDS_OF_CASES, CONSENT_EVENTS, HALVES, LEASES, LOOKS, LOOKS_TOLD, BUNDLES, CLAIMS, *BREAK_GLASS)
"""What an audit of this service reads again."""


def line(source: Source, kind: str, subject: str, row: Mapping[str, Any], **opened: bytes | None) -> Line:
    """The ledger's line of a row that was just written; `opened` are its sealed columns in the plain."""
    return Line(kind, subject, {}, source.name(row["id"]), source.content(row, opened))
