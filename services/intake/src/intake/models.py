"""The tables of intake: cases, their sealed records, consents, referrals, shares and keys, custody, clocks.

Personal content stands only in `sealed` columns (at rest, under intake's own key) and, for what crossed, under data
keys that live in `keys`. Everything else is operational.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from amanat.tables import metadata

__all__ = [
    "agency_looks",
    "bundles",
    "case_index",
    "cases",
    "clocks",
    "consent_events",
    "custody_halves",
    "custody_matches",
    "keys",
    "kits",
    "leases",
    "metadata",
    "records",
    "referrals",
    "request_secrets",
    "restoration_answers",
    "restorations",
    "rotations",
    "shares",
    "timeline",
]

Instant = DateTime(timezone=True)

cases = Table(
    "cases",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("code", Text, primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("presented_at", Instant),
    Column("version", BigInteger, nullable=False, server_default="1"),
)

case_index = Table(
    "case_index",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("case_code", Text, ForeignKey("cases.code"), primary_key=True),
)

records = Table(
    "records",
    metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("author_agency", Text, nullable=False),
    Column("author_organisation", Text, nullable=False),
    Column("referral", Text),
    Column("categories", ARRAY(Text), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("corrects", Uuid, ForeignKey("records.id")),
    Column("reason_sealed", LargeBinary),
)

consent_events = Table(
    "consent_events",
    metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

referrals = Table(
    "referrals",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("code", Text, primary_key=True),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("agency", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("progress", Text, nullable=False),
    Column("consent_version", BigInteger, nullable=False, server_default="0"),
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    Column("requested_at", Instant, nullable=False),
    Column("opened_at", Instant),
    Column("reminded_at", Instant),
    Column("epoch_floor", Integer, nullable=False, server_default="0"),
    UniqueConstraint("tenant", "case_code", "agency", "organisation"),
)

shares = Table(
    "shares",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("referral", Text, ForeignKey("referrals.code"), primary_key=True),
    Column("category", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("until", Instant),
    Column("ended_at", Instant),
    Column("closed_no_later_than", Instant),
    Column("confirmed_at", Instant),
)

request_secrets = Table(
    "request_secrets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("referral", Text, ForeignKey("referrals.code"), nullable=False),
    Column("category", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("secret_id", Uuid, ForeignKey("request_secrets.id"), nullable=False),
    Column("wrap", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("referral", Text, ForeignKey("referrals.code"), nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("consent_version", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("accounted_at", Instant),
    Column("alarmed_at", Instant),
)

agency_looks = Table(
    "agency_looks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("referral", Text, ForeignKey("referrals.code"), nullable=False),
    Column("look_id", Uuid, nullable=False),
    Column("at", Instant, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    UniqueConstraint("tenant", "referral", "look_id"),
)

kits = Table(
    "kits",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("barcode", Text, primary_key=True),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("opened_at", Instant, nullable=False),
)

custody_halves = Table(
    "custody_halves",
    metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("barcode", Text, nullable=False),
    Column("half", Text, nullable=False),
    Column("holder_agency", Text, nullable=False),
    Column("holder_organisation", Text, nullable=False),
    Column("counterpart_agency", Text, nullable=False),
    Column("counterpart_organisation", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

custody_matches = Table(
    "custody_matches",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("release_id", Uuid, ForeignKey("custody_halves.id"), primary_key=True),
    Column("receipt_id", Uuid, ForeignKey("custody_halves.id"), nullable=False, unique=True),
    Column("matched_at", Instant, nullable=False),
)

clocks = Table(
    "clocks",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("trigger_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("met_at", Instant),
    Column("overdue_noted_at", Instant),
)

timeline = Table(
    "timeline",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("agency", Text),
    Column("organisation", Text),
    Column("referral", Text),
    Column("detail", JSONB, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("with_looks", Boolean, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("pdf_sealed", LargeBinary),
    Column("at", Instant, nullable=False),
)

rotations = Table(
    "rotations",
    metadata,
    Column("generation", Integer, primary_key=True),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

restorations = Table(
    "restorations",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("restored_at", Instant, nullable=False),
    Column("reopened_at", Instant),
    Column("without", ARRAY(Text), nullable=False, server_default="{}"),
)

restoration_answers = Table(
    "restoration_answers",
    metadata,
    Column("request_id", Uuid, ForeignKey("restorations.request_id"), primary_key=True),
    Column("agency", Text, primary_key=True),
    Column("answer_id", Uuid, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("parts", Integer, nullable=False),
    Column("answered_at", Instant, nullable=False),
    Column("tombstones", Integer, nullable=False),
    Column("applied", Integer, nullable=False),
)
