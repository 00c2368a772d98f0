"""The tables of breaking the glass. What was asked, found and decided is appended to; free texts are sealed."""

from sqlalchemy import ARRAY, BigInteger, Column, ForeignKey, Identity, LargeBinary, Table, Text, UniqueConstraint, Uuid

from amanat.tables import Instant, metadata
from intake.models import cases

emergencies = Table(
    "emergencies",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey(cases.c.code), nullable=False),
    Column("clinician_cell", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("found_by", Text, nullable=False),
    Column("reason_sealed", LargeBinary, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("open_until", Instant, nullable=False),
    Column("review_due_at", Instant, nullable=False),
    Column("overdue_noted_at", Instant),
    UniqueConstraint("tenant", "id"),
)

emergency_reviews = Table(
    "emergency_reviews",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("emergency", Uuid, nullable=False),
    Column("clinician_cell", Text, nullable=False),
    Column("finding", Text, nullable=False),
    Column("note_sealed", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("reviewed_at", Instant, nullable=False),
    UniqueConstraint("tenant", "emergency"),
)

emergency_looks = Table(
    "emergency_looks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("look_id", Uuid, primary_key=True),
    Column("clinician_cell", Text, nullable=False),
)

outside_disclosures = Table(
    "outside_disclosures",
    metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey(cases.c.code), nullable=False),
    Column("agency", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("basis", Text, nullable=False),
    Column("reference_sealed", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("secrecy_sealed", LargeBinary),
    Column("secret_until", Instant),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("lapses_at", Instant, nullable=False),
    Column("secrecy_ended_noted_at", Instant),
    UniqueConstraint("tenant", "id"),
)

outside_decisions = Table(
    "outside_decisions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("disclosure", Uuid, nullable=False),
    Column("decision", Text, nullable=False),
    Column("consent", Uuid),
    Column("reason_sealed", LargeBinary),
    Column("subject", Text),
    Column("client", Text),
    Column("token_id", Text),
    Column("unit", Text),
    Column("decided_at", Instant, nullable=False),
    UniqueConstraint("tenant", "disclosure"),
)

outside_endings = Table(
    "outside_endings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("disclosure", Uuid, nullable=False),
    Column("reason_sealed", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("unit", Text),
    Column("ended_at", Instant, nullable=False),
    UniqueConstraint("tenant", "disclosure"),
)
